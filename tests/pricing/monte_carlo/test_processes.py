"""Processes: their laws against closed forms, exact steps, weak order, and inputs that no process has."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from gpujax.errors import InputError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo.correlation import cholesky

CORRELATION = np.array([[1.0, 0.5, -0.2], [0.5, 1.0, 0.3], [-0.2, 0.3, 1.0]])
THREE = mc.processes.CorrelatedGeometricBrownianMotion(
    spot=np.array([100.0, 90.0, 110.0]), volatility=np.array([0.2, 0.3, 0.15]), correlation=CORRELATION,
    rate=0.03, dividend_yield=np.array([0.01, 0.0, 0.04]),
)  # fmt: skip


def test_several_assets_have_their_own_prices_and_correlations(within):
    paths = 200_000
    for i in range(3):
        call = mc.payoffs.on(lambda spots, i=i: spots[i], mc.payoffs.european(strike=100.0))
        found = mc.price(THREE, call, key=1, paths=paths, times=[0.4, 1.0])
        expected = black_scholes.price(
            spot=THREE.spot[i], strike=100.0, expiry=1.0, volatility=THREE.volatility[i], rate=0.03,
            dividend_yield=THREE.dividend_yield[i],
        )  # fmt: skip
        within(found, expected)
    logs = np.log(np.asarray(mc.simulate(THREE, key=2, paths=paths, times=[0.4, 1.0])))
    for step in (logs[:, 0], logs[:, 1] - logs[:, 0]):
        np.testing.assert_allclose(np.corrcoef(step.T), CORRELATION, atol=5 / np.sqrt(paths))


def test_exchange_option_is_margrabe_s(within):
    """W. Margrabe, Journal of Finance 33 (1978), 177-186: Black-Scholes on the ratio."""
    two = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.array([100.0, 95.0]), volatility=np.array([0.3, 0.2]), correlation=np.array([[1.0, 0.6], [0.6, 1.0]]),
        rate=0.05, dividend_yield=np.array([0.02, 0.01]),
    )  # fmt: skip
    volatility = np.sqrt(0.09 + 0.04 - 2 * 0.6 * 0.3 * 0.2)
    exact = black_scholes.price(
        spot=100.0, strike=95.0, expiry=2.0, volatility=volatility, rate=0.01, dividend_yield=0.02
    )
    within(mc.price(two, mc.payoffs.spread(), key=3, paths=200_000, times=2.0), exact)


@pytest.mark.shared_data
def test_two_asset_options_of_stulz(shared, within):
    """Calls and puts on the better and worse of two assets (R. M. Stulz, 1982; the table's own accuracy is 1e-3)."""
    with open(shared / "refvalues" / "basket_two_asset_stulz.csv", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    chosen = [row for row in rows if row["basket"] in ("MinBasket", "MaxBasket")][::5]
    assert {(row["basket"], row["type"]) for row in chosen} >= {("MinBasket", "Call"), ("MaxBasket", "Put")}
    for row in chosen:
        number = {name: float(x) for name, x in row.items() if name not in ("basket", "type")}
        two = mc.processes.CorrelatedGeometricBrownianMotion(
            spot=np.array([number["s1"], number["s2"]]), volatility=np.array([number["v1"], number["v2"]]),
            correlation=np.array([[1.0, number["rho"]], [number["rho"], 1.0]]), rate=number["r"],
            dividend_yield=np.array([number["q1"], number["q2"]]),
        )  # fmt: skip
        kind = mc.payoffs.worst_of if row["basket"] == "MinBasket" else mc.payoffs.best_of
        payoff = kind(strike=number["strike"], is_call=row["type"] == "Call")
        within(mc.price(two, payoff, key=5, paths=100_000, times=number["t"]), number["value"], bias=2e-3)


def test_cholesky_of_singular_matrices():
    """Perfectly correlated assets are allowed; the factor reproduces the matrix and its derivatives are finite."""
    one = np.ones((3, 3))
    for matrix in (CORRELATION, one, np.eye(3), np.array([[1, -1, 0], [-1, 1, 0], [0, 0, 1.0]])):
        factor = np.array([[float(x) for x in row] for row in cholesky(jnp.asarray(matrix))])
        np.testing.assert_allclose(factor @ factor.T, matrix, atol=1e-14)
        slope = jax.jacfwd(lambda m: jnp.stack([jnp.stack(row) for row in cholesky(m)]))(jnp.asarray(matrix))
        assert np.all(np.isfinite(slope))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"correlation": np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])},
            "smallest eigenvalue is -0.8",
        ),
        ({"correlation": np.array([[1.0, 0.5], [0.5, 1.0]])}, r"correlation: shape \(2, 2\); expected \(3, 3\)"),
        ({"correlation": CORRELATION + np.triu(np.ones((3, 3)), 1) * 0.1}, "expected a symmetric matrix"),
        ({"volatility": np.array([0.2, 0.3])}, r"volatility: shape \(2,\); expected \(3,\)"),
    ],
)
def test_impossible_assets_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        mc.processes.CorrelatedGeometricBrownianMotion(
            **{"spot": THREE.spot, "volatility": THREE.volatility, "correlation": CORRELATION, **change}
        )


def test_the_nearest_correlation_matrix():
    """Against an example that is solved by hand, Higham's (2002, section 1), and by its being the nearest."""
    impossible = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    found = mc.nearest_correlation(impossible)
    np.testing.assert_allclose(found, [[1, 0.5, -0.5], [0.5, 1, 0.5], [-0.5, 0.5, 1]], atol=1e-8)
    higham = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1.0]])
    expected = [[1, 0.7607, 0.1573], [0.7607, 1, 0.7607], [0.1573, 0.7607, 1]]
    np.testing.assert_allclose(mc.nearest_correlation(higham), expected, atol=5e-5)
    np.testing.assert_allclose(mc.nearest_correlation(CORRELATION), CORRELATION, atol=1e-12)
    random = np.random.default_rng(1).uniform(-1, 1, (8, 8))
    random = np.tril(random, -1) + np.tril(random, -1).T + np.eye(8)
    near = mc.nearest_correlation(random)
    assert np.linalg.eigvalsh(near)[0] > -1e-8
    distance = np.sum((near - random) ** 2)
    for seed in range(20):
        other = np.corrcoef(np.random.default_rng(seed).normal(size=(8, 12)))
        assert np.sum((near + 0.01 * (other - near) - random) ** 2) > distance
    for wrong, message in (
        (np.ones((2, 3)), r"matrix: shape \(2, 3\)"),
        (np.array([[1.0, 0.2], [0.3, 1.0]]), "symmetric"),
    ):
        with pytest.raises(InputError, match=message):
            mc.nearest_correlation(wrong)


def _andersen(shared):
    with open(shared / "refvalues" / "heston_andersen_qe.csv", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            yield row["case"], {name: float(x) for name, x in row.items() if name != "case" and x}


@pytest.mark.shared_data
@pytest.mark.parametrize("case", ["I", "II", "III-r0", "III-r5"])
def test_heston_reproduces_andersen_s_cases(shared, case, within):
    """Andersen (2008): ten to fifteen years, a volatility of variance up to one, Feller's condition far from holding."""
    rows = [row for name, row in _andersen(shared) if name == case]
    assert len(rows) >= 3
    row = rows[0]
    params = HestonParams(v0=row["v0"], kappa=row["kappa"], theta=row["theta"], sigma=row["sigma"], rho=row["rho"])
    process = mc.processes.Heston(spot=row["S0"], params=params, rate=row["r"], dividend_yield=row["q"])
    steps = round(8 * row["T"])
    times = np.linspace(row["T"] / steps, row["T"], steps)
    strikes = {str(r["strike"]): mc.payoffs.european(strike=r["strike"]) for r in rows}
    found = mc.price(process, strikes, key=7, paths=100_000, times=times)
    for r in rows:
        within(found[str(r["strike"])], r["price_25dps"], bias=2e-2)


def test_heston_s_discounted_price_is_a_martingale(within):
    """The correction makes it so for any step, however coarse."""
    params = HestonParams(v0=0.04, kappa=0.5, theta=0.04, sigma=1.0, rho=-0.9)
    process = mc.processes.Heston(spot=100.0, params=params, rate=0.05, dividend_yield=0.01)
    forward = mc.payoffs.european(strike=0.0)
    for steps in (1, 4, 20):
        times = np.linspace(5.0 / steps, 5.0, steps)
        within(mc.price(process, forward, key=9, paths=400_000, times=times), 100 * np.exp(-0.05))


def test_heston_with_a_quiet_variance_is_black_scholes(within):
    params = HestonParams(v0=0.04, kappa=1.0, theta=0.04, sigma=1e-4, rho=0.0)
    process = mc.processes.Heston(spot=100.0, params=params, rate=0.02)
    found = mc.price(process, mc.payoffs.european(strike=100.0), key=2, paths=200_000, times=[0.5, 1.0])
    exact = black_scholes.price(spot=100.0, strike=100.0, expiry=1.0, volatility=0.2, rate=0.02)
    within(found, exact, bias=1e-4)


def _lewis(strike, expiry, rate, params, spot):
    """A Heston call by the single integral of A. Lewis, "Option Valuation under Stochastic Volatility" (2000), by quadrature."""
    v0, kappa, theta, sigma, rho = params

    def transform(u):
        d = np.sqrt((kappa - 1j * rho * sigma * u) ** 2 + sigma**2 * (u * u + 1j * u))
        g = (kappa - 1j * rho * sigma * u - d) / (kappa - 1j * rho * sigma * u + d)
        decay = np.exp(-d * expiry)
        c = (
            kappa
            * theta
            / sigma**2
            * ((kappa - 1j * rho * sigma * u - d) * expiry - 2 * np.log((1 - g * decay) / (1 - g)))
        )
        return np.exp(c + v0 / sigma**2 * (kappa - 1j * rho * sigma * u - d) * (1 - decay) / (1 - g * decay))

    forward = spot * np.exp(rate * expiry)
    x = np.log(forward / strike)
    area = quad(
        lambda u: (np.exp(1j * u * x) * transform(u - 0.5j)).real / (u * u + 0.25), 0, 200, epsabs=1e-11, limit=400
    )
    return np.exp(-rate * expiry) * (forward - np.sqrt(forward * strike) / np.pi * area[0])


def test_heston_greeks_against_the_exact_price(within):
    """Pathwise derivatives. The scheme switches between two laws, a jump that they do not see; they differ by little there."""
    params = HestonParams(v0=0.05, kappa=1.2, theta=0.06, sigma=0.5, rho=-0.6)
    process = mc.processes.Heston(spot=100.0, params=params, rate=0.02)
    names = ("spot", *(f"params.{name}" for name in params._fields))
    call = mc.payoffs.european(strike=100.0)
    found = mc.greeks(process, call, wrt=names, key=3, paths=100_000, times=np.linspace(0.125, 1.0, 8))
    within(found["value"], _lewis(100.0, 1.0, 0.02, params, 100.0), bias=0.01)
    for name in names:
        parts = dict(zip(names, (100.0, *params), strict=True))
        bump = 1e-4 * max(abs(parts[name]), 0.1)
        ends = []
        for side in (1, -1):
            moved = {**parts, name: parts[name] + side * bump}
            ends.append(_lewis(100.0, 1.0, 0.02, tuple(moved[n] for n in names[1:]), moved["spot"]))
        exact = (ends[0] - ends[1]) / (2 * bump)
        within(found[name], exact, bias=0.02 * abs(exact) + 0.05)
