"""Several Heston assets: each is the Heston model, together they have the correlations given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.errors import InputError
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.heston import HestonParams

PARAMS = HestonParams(
    v0=np.array([0.04, 0.06, 0.05]), kappa=np.array([2.0, 1.5, 3.0]), theta=np.array([0.06, 0.05, 0.05]),
    sigma=np.array([0.4, 0.3, 0.5]), rho=np.array([-0.7, -0.5, -0.2]),
)  # fmt: skip
PRICES = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 1.0]])
MARKET = {
    "spot": np.array([100.0, 90.0, 110.0]),
    "params": PARAMS,
    "rate": 0.03,
    "dividend_yield": np.array([0.01, 0, 0.02]),
}
THREE = mc.processes.CorrelatedHeston(**MARKET, correlation=PRICES)
TIMES = np.linspace(0.125, 0.5, 4)


def whole(prices, rho):
    """All correlations, where each variance follows its own price."""
    mixed = prices * rho
    variances = rho[:, None] * mixed
    np.fill_diagonal(variances, 1.0)
    return np.block([[prices, mixed], [mixed.T, variances]])


@pytest.fixture(scope="module")
def logs():
    paths = np.asarray(mc.simulate(THREE, key=1, paths=100_000, times=TIMES))
    return np.log(paths)


def test_one_asset_is_heston_path_by_path():
    params = HestonParams(0.04, 0.5, 0.04, 1.0, -0.9)
    one = mc.processes.CorrelatedHeston(
        spot=np.array([100.0]),
        params=jax.tree.map(lambda x: np.array([x]), params),
        correlation=np.ones((1, 1)),
        rate=0.03,
    )
    times = np.linspace(0.25, 2.0, 8)
    alone = mc.simulate(mc.processes.Heston(spot=100.0, params=params, rate=0.03), key=4, paths=1000, times=times)
    together = mc.simulate(one, key=4, paths=1000, times=times)
    np.testing.assert_allclose(together[:, :, 0], alone, rtol=1e-9)


def test_each_asset_has_its_own_law(logs):
    """Against each asset alone: mean of the price, and spread and skewness of its logarithm."""
    paths = len(logs)
    forwards = MARKET["spot"] * np.exp((0.03 - MARKET["dividend_yield"]) * 0.5)
    last = np.exp(logs[:, -1])
    assert np.all(np.abs(last.mean(0) - forwards) < 4 * last.std(0) / np.sqrt(paths))
    for i in range(3):
        alone = mc.processes.Heston(
            spot=MARKET["spot"][i], params=HestonParams(*(x[i] for x in PARAMS)), rate=0.03,
            dividend_yield=MARKET["dividend_yield"][i],
        )  # fmt: skip
        single = np.log(np.asarray(mc.simulate(alone, key=100 + i, paths=paths, times=TIMES)))
        for step in (0, -1):
            for moment in (2, 3):
                ours, other = ((x - x.mean()) ** moment for x in (logs[:, step, i], single[:, step]))
                assert abs(ours.mean() - other.mean()) < 4 * np.hypot(ours.std(), other.std()) / np.sqrt(paths)


def test_returns_have_the_correlations_given(logs):
    found = np.corrcoef(logs[:, 0].T)
    np.testing.assert_allclose(found, PRICES, atol=0.02)


def test_the_whole_matrix(logs):
    """The one that is implied gives the same paths; another one links the variances differently, and only them."""
    implied = mc.processes.CorrelatedHeston(**MARKET, correlation=whole(PRICES, PARAMS.rho))
    paths = mc.simulate(implied, key=1, paths=1000, times=TIMES)
    np.testing.assert_allclose(np.log(paths), logs[:1000], rtol=1e-10)
    variances = np.array([[1.0, 0.3, 0.2], [0.3, 1.0, 0.4], [0.2, 0.4, 1.0]])
    other = np.block([[np.eye(3), np.diag(PARAMS.rho)], [np.diag(PARAMS.rho), variances]])
    linked = mc.processes.CorrelatedHeston(**MARKET, correlation=other)
    state = (jnp.zeros((3, 50_000)), jnp.broadcast_to(jnp.asarray(PARAMS.v0)[:, None], (3, 50_000)))
    draws = tuple(jnp.asarray(z) for z in np.random.default_rng(1).normal(size=(6, 50_000)))
    x, v = linked.advance(state, jnp.float64(0), jnp.float64(0.02), draws)
    found = np.corrcoef(np.concatenate([x, v]))
    np.testing.assert_allclose(found, other, atol=0.03)


def test_perfect_correlation_has_finite_derivatives():
    """Identical assets move as one, and the derivative by the correlation is finite."""
    twins = mc.processes.CorrelatedHeston(
        spot=np.array([100.0, 100.0]), params=jax.tree.map(lambda x: np.array([x[0], x[0]]), PARAMS),
        correlation=np.ones((2, 2)),
    )  # fmt: skip
    draws = tuple(jnp.asarray(z) for z in np.random.default_rng(2).normal(size=(4, 50)))

    @jax.jit
    def move(correlation):
        process = mc.processes.CorrelatedHeston(spot=twins.spot, params=twins.params, correlation=correlation)
        state = tuple(jnp.broadcast_to(leaf[:, None], (2, 50)) for leaf in process.initial())
        return process.advance(state, jnp.float64(0), jnp.float64(0.25), draws)

    x, v = move(jnp.ones((2, 2)))
    # The variances have noise of their own even so.
    assert np.std(np.asarray(v[0] - v[1])) > 1e-3
    own = jnp.asarray(whole(np.ones((2, 2)), np.asarray(twins.params.rho)))
    own = own.at[2, 3].set(1.0).at[3, 2].set(1.0).at[0, 3].set(-0.7).at[3, 0].set(-0.7)
    x, v = move(own)
    np.testing.assert_allclose(x[0], x[1], atol=1e-12)
    np.testing.assert_allclose(v[0], v[1], atol=1e-12)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.jacfwd(move)(own))


def test_a_payoff_on_several_in_float32(within):
    payoffs = {
        "best": mc.payoffs.best_of(strike=100.0),
        "basket": mc.payoffs.basket(strike=100.0, weights=(0.5, 0.3, 0.2)),
    }
    double = mc.price(THREE, payoffs, key=5, paths=50_000, times=TIMES)
    single = mc.price(THREE, payoffs, key=6, paths=50_000, times=TIMES, dtype=np.float32)
    for name in payoffs:
        error = float(double[name].standard_error)
        within(single[name], double[name].value, bias=4 * error)
        assert 0.01 < error < 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params": PARAMS._replace(sigma=np.array([0.4, 0.3]))}, r"params.sigma: shape \(2,\); expected \(3,\)"),
        (
            {"params": PARAMS._replace(rho=np.array([-0.7, -1.5, 0.0]))},
            r"rho: \[-0.7, -1.5, 0.0\]; expected numbers in",
        ),
        ({"correlation": np.eye(4)}, r"correlation: shape \(4, 4\); expected \(3, 3\)"),
        ({"correlation": np.eye(6)}, "between prices and their own variances; expected params.rho"),
        ({"correlation": PRICES - 0.7 * (1 - np.eye(3))}, "smallest eigenvalue"),
        ({"correlation": whole(PRICES, PARAMS.rho) * (1 - np.eye(6)) * 1.35 + np.eye(6)}, "smallest eigenvalue"),
        ({"spot": np.array([100.0, -1.0, 3.0])}, "spot: .*expected numbers > 0"),
    ],
)
def test_impossible_assets_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        mc.processes.CorrelatedHeston(**{**MARKET, "correlation": PRICES, **change})
