"""Greeks: four estimators against closed forms, what they are blind to, and what they refuse."""

import jax
import numpy as np
import pytest

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes, digital
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.heston import HestonParams

MARKET = {"spot": 100.0, "volatility": 0.2, "rate": 0.05, "dividend_yield": 0.02}
STOCK = mc.processes.GeometricBrownianMotion(**MARKET)
CALL = mc.payoffs.european(strike=105.0)
TIMES = np.array([0.5, 1.0])
HESTON = mc.processes.Heston(spot=100.0, params=HestonParams(0.04, 1.0, 0.04, 0.3, -0.5))
NAMES = ("spot", "volatility", "rate", "dividend_yield")
RUN = {"key": 2, "paths": 65_536, "times": TIMES}


@pytest.fixture(scope="module")
def exact():
    names = ("price", "delta", "vega", "rho", "dividend_rho", "gamma", "vanna", "volga")
    return black_scholes.greeks(**MARKET, strike=105.0, expiry=1.0, which=names)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("estimator", ["pathwise", "reverse", "likelihood-ratio"])
def test_first_derivatives(estimator, dtype, exact, within):
    found = mc.greeks(STOCK, CALL, wrt=NAMES, estimator=estimator, dtype=dtype, **RUN)
    values = (exact.price, exact.delta, exact.vega, exact.rho, exact.dividend_rho)
    for name, value in zip(("value", *NAMES), values, strict=True):
        within(found[name], value)
        assert 0 < float(found[name].standard_error) < 0.06 * abs(float(value)) + 0.05


def test_reverse_is_forward(exact):
    forward = mc.greeks(STOCK, CALL, wrt=NAMES, **RUN)
    backward = mc.greeks(STOCK, CALL, wrt=NAMES, estimator="reverse", **RUN)
    for name in ("value", *NAMES):
        np.testing.assert_allclose(backward[name].value, forward[name].value, rtol=1e-11)
        # From means of 64 paths each, the error itself is less certain.
        np.testing.assert_allclose(backward[name].standard_error, forward[name].standard_error, rtol=0.1)
    odd = mc.greeks(STOCK, CALL, wrt=("spot",), estimator="reverse", **{**RUN, "paths": 1001})
    same = mc.greeks(STOCK, CALL, wrt=("spot",), **{**RUN, "paths": 1001})
    np.testing.assert_allclose(odd["spot"].value, same["spot"].value, rtol=1e-11)


def test_several_assets_have_arrays_of_derivatives(within):
    """An exchange option: Margrabe's deltas, and one for every entry of the correlation."""
    two = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.array([100.0, 95.0]), volatility=np.array([0.3, 0.2]), correlation=np.array([[1.0, 0.6], [0.6, 1.0]])
    )
    spread = np.sqrt(0.3**2 + 0.2**2 - 2 * 0.6 * 0.3 * 0.2)
    g = black_scholes.greeks(spot=100.0, strike=95.0, expiry=1.0, volatility=spread, which=("delta", "dual_delta"))
    for estimator in ("pathwise", "reverse", "likelihood-ratio"):
        found = mc.greeks(two, mc.payoffs.spread(), wrt=("spot", "correlation"), estimator=estimator, **RUN)
        assert found["spot"].value.shape == (2,)
        assert found["correlation"].value.shape == (2, 2)
        within(found["spot"], np.array([g.delta, g.dual_delta]))


def test_memory_of_the_reverse_mode_is_bounded():
    """A thousand steps of a hundred thousand paths would be gigabytes if every number were kept."""
    from gpujax.pricing.monte_carlo import sensitivities

    def bytes_of(paths):
        run = {"key": 1, "times": np.arange(1, 1001) / 1000, "dtype": None, "method": mc.methods.PseudoRandom(),
               "drift": None, "max_step": None, "devices": ()}  # fmt: skip
        inputs, plan = sensitivities._prepared(STOCK, CALL, ("spot",), paths=paths, **run)
        plan, group = sensitivities._reverse_plan(plan, inputs)
        lowered = sensitivities._reverse.lower(inputs, plan=plan, wrt=("spot",), group=group)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert bytes_of(1 << 17) < 150_000_000


def test_likelihood_ratios_see_jumps(within):
    """A digital option's delta, to which pathwise derivatives are blind; a call spread sees it with a bias."""
    payoff = mc.payoffs.digital(strike=105.0)
    exact = jax.grad(lambda s: digital.cash_or_nothing(**{**MARKET, "spot": s}, strike=105.0, expiry=1.0))(100.0)
    run = {"key": 3, "paths": 200_000, "times": 1.0, "wrt": ("spot",)}
    within(mc.greeks(STOCK, payoff, estimator="likelihood-ratio", **run)["spot"], exact)
    assert float(mc.greeks(STOCK, payoff, **run)["spot"].value) == 0
    smoothed = mc.payoffs.digital(strike=105.0, smoothing=0.04)
    within(mc.greeks(STOCK, smoothed, **run)["spot"], exact, bias=0.0005)


def test_a_gradient_by_a_whole_process_is_one():
    """It has the class of the process and numbers that no process has; nothing checks those."""
    two = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.array([100.0, 95.0]), volatility=np.array([0.3, 0.2]), correlation=np.array([[1.0, 0.6], [0.6, 1.0]])
    )
    slope = jax.grad(lambda process: mc.price(process, mc.payoffs.spread(), key=1, paths=1024, times=1.0).value)(two)
    assert isinstance(slope, mc.processes.CorrelatedGeometricBrownianMotion)
    assert slope.spot[1] < 0 < slope.spot[0]


@pytest.mark.parametrize("estimator", ["mixed", "likelihood-ratio", "bumped"])
def test_second_derivatives(estimator, exact, within):
    pairs = (("spot", "spot"), ("volatility", "spot"))
    found = mc.second_order(STOCK, CALL, wrt=pairs, estimator=estimator, **{**RUN, "times": 1.0})
    within(found[pairs[0]], exact.gamma, bias=2e-6)
    within(found[pairs[1]], exact.vanna, bias=1e-4)
    most = {"mixed": 0.03, "likelihood-ratio": 0.2, "bumped": 0.04}[estimator]
    assert 0 < float(found[pairs[0]].standard_error) < most * float(exact.gamma)


def test_cross_gammas_of_a_basket(within):
    """Mixed and bumped estimates agree, and the matrix is symmetric within the error."""
    two = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.array([100.0, 95.0]), volatility=np.array([0.3, 0.2]), correlation=np.array([[1.0, 0.6], [0.6, 1.0]])
    )
    payoff = mc.payoffs.best_of(strike=100.0)
    run = {"wrt": (("spot", "spot"),), "key": 4, "paths": 65_536, "times": 1.0}
    mixed = mc.second_order(two, payoff, **run)["spot", "spot"]
    bumped = mc.second_order(two, payoff, estimator="bumped", **run)["spot", "spot"]
    apart = np.abs(np.asarray(mixed.value - bumped.value))
    assert np.all(apart < 4 * np.hypot(mixed.standard_error, bumped.standard_error) + 1e-5)
    assert mixed.value.shape == (2, 2)
    backward = mc.second_order(two, payoff, estimator="bumped reverse", **run)["spot", "spot"]
    np.testing.assert_allclose(backward.value, bumped.value, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(backward.standard_error, bumped.standard_error, rtol=0.15)


@pytest.mark.parametrize(
    "method", [mc.methods.Sobol(replicates=8), mc.methods.PseudoRandom(antithetic=True)], ids=["sobol", "antithetic"]
)
def test_greeks_by_other_methods(method, exact, within):
    plain = mc.greeks(STOCK, CALL, wrt=("spot",), **RUN)["spot"]
    found = mc.greeks(STOCK, CALL, wrt=("spot",), method=method, **RUN)["spot"]
    within(found, exact.delta)
    assert float(found.standard_error) < 0.8 * float(plain.standard_error)


BAD = [
    ({"wrt": ("vol",)}, InputError, "wrt: 'vol' is no parameter of GeometricBrownianMotion; there are spot, volatility"),
    ({"estimator": "smoothed"}, InputError, "estimator: 'smoothed'; expected one of 'pathwise', 'reverse'"),
    ({"process": HESTON, "estimator": "likelihood-ratio"}, InputTypeError,
     "estimator: 'likelihood-ratio' needs a process with a method noise"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), BAD)
def test_bad_input_is_named(change, error, message):
    arguments = {"process": STOCK, "payoff": CALL, "wrt": ("spot",), "key": 1, "paths": 10, "times": 1.0, **change}
    process, payoff = arguments.pop("process"), arguments.pop("payoff")
    with pytest.raises(error, match=message):
        mc.greeks(process, payoff, **arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wrt": ("spot",)}, "wrt: 'spot'; expected pairs"),
        ({"bump": 0.0}, "bump: 0.0; expected"),
        ({"estimator": "x"}, "estimator: 'x'"),
    ],
)
def test_bad_second_derivatives_are_named(change, message):
    with pytest.raises(InputError, match=message):
        mc.second_order(STOCK, CALL, **{"wrt": (("spot", "spot"),), "key": 1, "paths": 10, "times": 1.0, **change})
