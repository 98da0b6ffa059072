"""Early exercise against quadrature, QuantLib and published brackets; limits, biases in the right direction, and errors."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import QuantLib as ql

from benchmarks.contestants.monte_carlo_contracts import AmericanPut, reference
from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.random import key_words
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.heston import HestonParams
from gpujax.pricing.monte_carlo import early_exercise as ee
from gpujax.pricing.monte_carlo.early_exercise import dual
from gpujax.pricing.monte_carlo.early_exercise.bases import polynomial
from gpujax.pricing.monte_carlo.early_exercise.fit import stream

STOCK = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.2, rate=0.06)
PUT = mc.payoffs.european(strike=40.0, is_call=False)
TIMES = np.arange(1, 11) / 10
PATHS, FITTED = 65_536, 4096


def put(spot=36.0, steps=10, expiry=1.0, volatility=0.2):
    """The Bermudan put by quadrature; strike 40, rate 6 %."""
    found = reference(AmericanPut(spots=(spot,), steps=steps, expiry=expiry, volatility=volatility))
    return float(found["price"][0])


@pytest.fixture(scope="module")
def policy():
    return ee.fit_policy(STOCK, PUT, key=1, paths=FITTED, times=TIMES)


def between(lower, upper, low, high=None):
    """Lower and upper bounds leave room for the value, but for four standard errors each."""
    high = low if high is None else high
    assert lower.value <= high + 4 * lower.standard_error, f"lower bound {lower} above {high}"
    assert upper.value >= low - 4 * upper.standard_error, f"upper bound {upper} below {low}"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_bermudan_put_by_quadrature(dtype, within):
    for spot in (36.0, 40.0, 44.0):
        stock = mc.processes.GeometricBrownianMotion(spot=spot, volatility=0.2, rate=0.06)
        found = mc_american(stock, PUT, dtype=dtype)
        # A cubic loses a tenth of a percent.
        within(found, put(spot), bias=0.001 * put(spot))
        assert found.paths == PATHS
        assert found.value.dtype == np.float64


def mc_american(process, payoff, key=1, times=TIMES, policy_paths=FITTED, **settings):
    return ee.longstaff_schwartz(
        process, payoff, key=key, paths=PATHS, times=times, policy_paths=policy_paths, **settings
    )


@pytest.mark.shared_data
def test_the_table_of_longstaff_and_schwartz(shared):
    """Puts that may be exercised 50 times a year, so Bermudan ones: the bracket holds the values of table 1."""
    with open(shared / "refvalues" / "lsm2001_table1.csv", newline="") as file:
        rows = [
            {k: float(v) for k, v in row.items()} for row in csv.DictReader(line for line in file if line[0] != "#")
        ]
    assert len(rows) == 20
    year = [row for row in rows if row["T"] == 1]
    for row in year:
        stock = mc.processes.GeometricBrownianMotion(spot=row["spot"], volatility=row["vol"], rate=row["r"])
        found = ee.bracket(
            stock,
            PUT,
            key=3,
            paths=PATHS,
            times=np.arange(1, 51) / 50,
            policy_paths=FITTED,
            outer_paths=64,
            inner_paths=64,
        )
        check_row(row, found.lower)
        # Its differences are a little low where the volatility is high.
        between(found.lower, found.upper, row["fd_american"], row["fd_american"] + 6e-3)
        assert 0 < found.gap.value < 0.008 * row["fd_american"] + 4 * found.gap.standard_error


@pytest.mark.shared_data
def test_two_years_have_a_hundred_dates(shared):
    with open(shared / "refvalues" / "lsm2001_table1.csv", newline="") as file:
        rows = [
            {k: float(v) for k, v in row.items()} for row in csv.DictReader(line for line in file if line[0] != "#")
        ]
    for row in (row for row in rows if row["T"] == 2 and row["spot"] in (36, 44)):
        stock = mc.processes.GeometricBrownianMotion(spot=row["spot"], volatility=row["vol"], rate=row["r"])
        check_row(row, mc_american(stock, PUT, key=3, times=np.arange(1, 101) / 50))


def check_row(row, lower):
    """Against the finite differences, and the paper's own simulation within both errors."""
    assert abs(lower.value - row["fd_american"]) < 4 * lower.standard_error + 0.002 * row["fd_american"]
    error = np.hypot(row["lsm_se"], lower.standard_error)
    assert abs(lower.value - row["lsm_simulated"]) < 4 * error + 0.002 * row["fd_american"]


# M. Broadie and P. Glasserman's max-call: three years, nine dates, as in Glasserman (2003), p. 462.
def alike(assets, spot):
    return mc.processes.CorrelatedGeometricBrownianMotion(
        spot=np.full(assets, spot), volatility=np.full(assets, 0.2), correlation=np.eye(assets), rate=0.05, dividend_yield=0.1
    )  # fmt: skip


@pytest.mark.parametrize(("spot", "value"), [(90.0, 8.08), (100.0, 13.90), (110.0, 21.34)])
def test_the_higher_of_two_assets(spot, value):
    times = np.arange(1, 10) / 3
    found = ee.bracket(
        alike(2, spot), mc.payoffs.best_of(strike=100.0), key=5, paths=PATHS, times=times, policy_paths=8192,
        outer_paths=256, inner_paths=128,
    )  # fmt: skip
    between(found.lower, found.upper, value - 5e-3, value + 5e-3)
    assert found.lower.value > 0.995 * value - 4 * found.lower.standard_error
    assert found.gap.value < 0.01 * value + 4 * found.gap.standard_error


def test_the_highest_of_five_assets():
    """L. Andersen and M. Broadie (2004), table 2: [26.115, 26.165] covers the value with 95 %."""
    found = mc_american(
        alike(5, 100.0), mc.payoffs.best_of(strike=100.0), key=5, times=np.arange(1, 10) / 3, policy_paths=8192,
        basis=polynomial(2, of="sorted"),
    )  # fmt: skip
    assert 0.99 * 26.115 - 4 * found.standard_error < found.value < 26.165 + 4 * found.standard_error


def test_exercise_may_pay_any_function_of_the_price():
    written = mc_american(STOCK, lambda spot: 40.0 - spot)
    payoff = mc_american(STOCK, PUT)
    assert written.value == payoff.value
    assert written.standard_error == payoff.standard_error


def test_one_date_of_exercise_is_a_european_option():
    for exercise_at in ([-1], np.arange(10) == 9):
        found = mc_american(STOCK, PUT, exercise_at=exercise_at)
        plain = mc.price(STOCK, PUT, key=1, paths=PATHS, times=TIMES)
        np.testing.assert_allclose(found.value, plain.value, rtol=1e-13)
        np.testing.assert_allclose(found.standard_error, plain.standard_error, rtol=1e-11)


def test_a_call_without_dividends_waits():
    """Early exercise of such a call never pays; on the same paths a good policy loses next to nothing."""
    call = mc.payoffs.european(strike=40.0)
    stock = mc.processes.GeometricBrownianMotion(spot=44.0, volatility=0.2, rate=0.06)
    found = mc_american(stock, call)
    plain = mc.price(stock, call, key=1, paths=PATHS, times=TIMES)
    assert plain.value - 0.02 < found.value < plain.value + 4 * 0.02


def test_a_put_at_zero_rates_waits():
    stock = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.2, rate=0.0)
    found = mc_american(stock, PUT)
    plain = mc.price(stock, PUT, key=1, paths=PATHS, times=TIMES)
    assert plain.value - 0.03 < found.value < plain.value + 4 * 0.01


def test_what_is_worth_exercising_at_once_is():
    """Deep in the money, at a high rate: on the first date everybody exercises."""
    stock = mc.processes.GeometricBrownianMotion(spot=10.0, volatility=0.2, rate=0.06)
    found = mc_american(stock, PUT)
    np.testing.assert_allclose(found.value, 40 * np.exp(-0.006) - 10, rtol=0, atol=4 * float(found.standard_error))


def test_biases_are_on_the_side_where_they_belong(policy):
    """On its own paths a policy fitted to few of them earns too much; on new ones it never earns more than the best."""
    exact, excess, new = put(), [], []
    good = ee.exercised(PUT, policy)
    for key in range(24):
        small = ee.fit_policy(STOCK, PUT, key=key, paths=64, times=TIMES, basis=polynomial(5))
        # What a nearly best policy earns on the same paths.
        own = jax.random.wrap_key_data(jnp.stack(stream(key_words(key), 1)))
        excess.append(float(small.in_sample.value - mc.price(STOCK, good, key=own, paths=64, times=TIMES).value))
        fresh = ee.lower_bound(small, STOCK, PUT, key=key, paths=PATHS)
        new.append(float(fresh.value))
        assert fresh.value < exact + 4 * fresh.standard_error
    assert np.mean(excess) > 4 * np.std(excess, ddof=1) / np.sqrt(24)
    assert np.mean(new) < exact - 0.05


@mc.processes.parameters()
class Prepared(mc.processes.GeometricBrownianMotion):
    """Makes its noise for whole paths, and could not go on from a date."""

    def prepare(self, times, draws):
        return draws


def test_the_noise_in_the_regressions_makes_better_policies(policy):
    """Without it, as where noise is prepared, a policy fitted to as many paths loses several times as much."""
    prepared = Prepared(spot=36.0, volatility=0.2, rate=0.06)
    losses = []
    for process in (prepared, STOCK):
        values = []
        for key in range(4):
            fitted = ee.fit_policy(process, PUT, key=key, paths=1024, times=TIMES)
            values.append(float(ee.lower_bound(fitted, STOCK, PUT, key=9, paths=PATHS).value))
        losses.append(float(ee.lower_bound(policy, STOCK, PUT, key=9, paths=PATHS).value) - np.mean(values))
    assert losses[0] > 3 * max(losses[1], 0.002)
    with pytest.raises(InputTypeError, match="process: Prepared makes the noise of whole paths at once"):
        ee.duality_gap(policy, prepared, PUT, key=1)


def test_the_gap_shrinks_with_the_inner_paths_and_bounds_what_is_lost(policy):
    """Both bounds around the exact value, the lower one with the forward as a control and antithetic paths."""
    exact = put()
    control = mc.Control(mc.payoffs.european(strike=0.0), 36.0)
    lower = ee.lower_bound(
        policy, STOCK, PUT, key=1, paths=4 * PATHS, control=control, method=mc.methods.PseudoRandom(antithetic=True)
    )
    plain = ee.lower_bound(policy, STOCK, PUT, key=1, paths=PATHS)
    assert lower.standard_error < 0.33 * plain.standard_error
    gaps = [ee.duality_gap(policy, STOCK, PUT, key=1, outer_paths=256, inner_paths=inner) for inner in (32, 512)]
    errors = [float(gap.standard_error) for gap in gaps]
    assert float(gaps[0].value) > float(gaps[1].value) + 4 * np.hypot(*errors)
    between(lower, ee.upper_bound(lower, gaps[1]), exact)
    assert float(lower.value) > exact - float(gaps[1].value) - 4 * float(lower.standard_error)
    assert gaps[1].value < 0.02


def test_the_gap_does_not_depend_on_the_blocks(policy, monkeypatch):
    whole = ee.duality_gap(policy, STOCK, PUT, key=1, outer_paths=256, inner_paths=32)
    monkeypatch.setattr(dual, "_TOGETHER", 1024)
    cut = ee.duality_gap(policy, STOCK, PUT, key=1, outer_paths=256, inner_paths=32)
    np.testing.assert_allclose(cut.value, whole.value, rtol=1e-12)


def test_pathwise_greeks_of_a_put(within):
    names = ("spot", "volatility")
    found = ee.longstaff_schwartz_greeks(STOCK, PUT, wrt=names, key=1, paths=PATHS, times=TIMES, policy_paths=FITTED)
    same = mc_american(STOCK, PUT)
    np.testing.assert_allclose(found["value"].value, same.value, rtol=1e-13)
    delta = (put(36.05) - put(35.95)) / 0.1
    vega = (put(volatility=0.2005) - put(volatility=0.1995)) / 0.001
    within(found["spot"], delta, bias=0.008 * abs(delta))
    within(found["volatility"], vega, bias=0.01 * vega)
    by_reverse = jax.grad(
        lambda spot: mc_american(mc.processes.GeometricBrownianMotion(spot=spot, volatility=0.2, rate=0.06), PUT).value
    )(36.0)
    np.testing.assert_allclose(by_reverse, found["spot"].value, rtol=1e-10)


def heston_put(params, spot, rate, days, dates):
    """A Bermudan put under Heston by QuantLib's finite differences."""
    today = ql.Date(7, 11, 2002)
    ql.Settings.instance().evaluationDate = today
    curve, none = (ql.YieldTermStructureHandle(ql.FlatForward(today, r, ql.Actual360())) for r in (rate, 0.0))
    process = ql.HestonProcess(curve, none, ql.QuoteHandle(ql.SimpleQuote(spot)), *params)
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(ql.Option.Put, 100.0),
        ql.BermudanExercise([today + days * (k + 1) // dates for k in range(dates)]),
    )
    option.setPricingEngine(ql.FdHestonVanillaEngine(ql.HestonModel(process), 200, 200, 80))
    return option.NPV()


def test_heston_s_variance_is_known_to_the_policy():
    """The default basis sees the variance. So does the best policy: with the price alone more is lost."""
    params = HestonParams(v0=0.09, kappa=1.5, theta=0.06, sigma=0.9, rho=-0.3)
    process = mc.processes.Heston(spot=100.0, params=params, rate=0.08)
    right = mc.payoffs.european(strike=100.0, is_call=False)
    exact = heston_put(params, 100.0, 0.08, 360, 10)
    found = mc_american(process, right)
    by_price = mc_american(process, right, basis=polynomial(3))
    assert abs(found.value - exact) < 4 * found.standard_error + 0.005 * exact
    assert found.value > by_price.value + 0.01


def jump(values, x, time, step, draws):
    """A crash of a fifth, once in two years, and growth that makes up for it."""
    crashes = draws[1] < 0.5 * step
    moved = x + (0.06 - 0.5 * 0.15**2 + 0.5 * 0.2) * step + 0.15 * jnp.sqrt(step) * draws[0]
    return moved + jnp.where(crashes, jnp.log(0.8), 0.0).astype(x.dtype)


# Each with the value of the right that may be exercised on the last date only.
CASES = {
    "jumps": (mc.processes.CustomProcess(start=lambda values: jnp.log(100.0), move=jump, values=(), normals=1, uniforms=1,
                                         price=jnp.exp, rate=0.06),
              mc.payoffs.european(strike=100.0, is_call=False), 5.600),
    "average": (mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.25, rate=0.05, dividend_yield=0.05),
                mc.payoffs.asian(strike=98.0), 7.206),
    "random rates": (mc.processes.Vasicek(rate=0.03, kappa=0.5, theta=0.04, sigma=0.02),
                     mc.payoffs.on(lambda rate: 100 * rate, mc.payoffs.european(strike=3.5, is_call=False)), 0.675),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_any_process_and_right_are_bracketed_closely(name):
    """Two bounds that are close together prove each other, whatever the process."""
    process, payoff, european = CASES[name]
    times = TIMES[1::2]
    found = ee.bracket(
        process, payoff, key=7, paths=PATHS, times=times, policy_paths=FITTED, outer_paths=128, inner_paths=128
    )
    assert found.lower.value > european + 4 * found.lower.standard_error
    assert 0 < float(found.gap.value) < 0.02 * float(found.lower.value)
    assert float(found.upper.value) == float(found.lower.value) + float(found.gap.value)


def test_dates_of_exercise_among_the_times(within):
    """Every other time, by number or by flag; steps that payoffs do not see change nothing."""
    half = put(steps=5)
    by_index = ee.fit_policy(STOCK, PUT, key=1, paths=FITTED, times=TIMES, exercise_at=[1, 3, 5, 7, -1])
    flags = np.arange(12) % 2 == 1
    flags[11] = False
    by_flag = ee.fit_policy(STOCK, PUT, key=1, paths=FITTED, times=[*TIMES, 1.1, 1.2], exercise_at=flags)
    np.testing.assert_array_equal(by_index.coefficients, by_flag.coefficients)
    assert by_index.exercise_at == by_flag.exercise_at == (1, 3, 5, 7, 9)
    assert by_index.times == by_flag.times == tuple(TIMES)
    assert np.all(np.isinf(by_index.coefficients[::2, 0]))
    assert np.all(np.isfinite(by_index.coefficients[1::2]))
    assert np.all(np.asarray(by_index.in_the_money)[::2] == 0)
    assert half < put() - 0.03
    finer = ee.bracket(
        STOCK, PUT, key=1, paths=PATHS, times=TIMES, exercise_at=[1, 3, 5, 7, 9], policy_paths=FITTED, max_step=0.05,
        outer_paths=64, inner_paths=64,
    )  # fmt: skip
    within(finer.lower, half, bias=0.002 * half)
    between(finer.lower, finer.upper, half)
    assert 0 < finer.gap.value < 0.01 * half


def test_a_policy_is_used_again(policy, within):
    """In a market close by it still is nearly best, as a payoff like any other; at other times it is refused."""
    other = mc.processes.GeometricBrownianMotion(spot=37.0, volatility=0.2, rate=0.06)
    right = ee.exercised(PUT, policy)
    found = mc.price(other, {"right": right, "put": PUT}, key=4, paths=PATHS, times=policy.times)
    within(found["right"], put(37.0), bias=0.002 * put(37.0))
    assert found["right"].value > found["put"].value
    with pytest.raises(InputError, match=r"times: 4, but the policy is for 10; expected policy\.times"):
        right.check(4)
    assert np.isnan(mc.price(STOCK, right, key=1, paths=PATHS, times=2 * TIMES).value)


def test_policies_do_not_depend_on_how_a_polynomial_is_written(policy):
    """Families of one degree span one space; Laguerre's is another, and nearly as good."""
    for family, allowed in (("chebyshev", 1e-9), ("laguerre", 0.01)):
        other = ee.fit_policy(STOCK, PUT, key=1, paths=FITTED, times=TIMES, basis=polynomial(3, family=family))
        assert abs(other.in_sample.value - policy.in_sample.value) < allowed, family


def own_regressors(seen):
    x = seen.spot / 40.0
    return [x, x * x, x * x * x, seen.exercise]


def test_a_user_s_own_basis(policy):
    """The cubic again, with a regressor that is a combination of others: it is dropped."""
    own = ee.fit_policy(STOCK, PUT, key=1, paths=FITTED, times=TIMES, basis=own_regressors)
    assert np.all(np.asarray(own.coefficients)[:-1, 4] == 0)
    np.testing.assert_allclose(own.in_sample.value, policy.in_sample.value, rtol=1e-7)


def test_where_hardly_a_path_is_in_the_money_nothing_is_exercised():
    stock = mc.processes.GeometricBrownianMotion(spot=55.0, volatility=0.2, rate=0.06)
    policy = ee.fit_policy(stock, PUT, key=1, paths=FITTED, times=TIMES)
    few = np.asarray(policy.in_the_money) <= 2 * 6  # a constant, three powers, two of the noise
    assert few[0]
    assert not few[-1]
    np.testing.assert_array_equal(np.isinf(policy.coefficients[:, 0]), few)
    found = ee.lower_bound(policy, stock, PUT, key=1, paths=PATHS)
    assert abs(found.value - put(55.0)) < 4 * found.standard_error + 0.002


def test_nothing_moves():
    """Without volatility all paths are one, and every regressor is a constant."""
    stock = mc.processes.GeometricBrownianMotion(spot=36.0, volatility=0.0, rate=0.06)
    found = mc_american(stock, PUT)
    np.testing.assert_allclose(found.value, 40 * np.exp(-0.006) - 36, rtol=1e-12)


def test_keys_give_streams_of_their_own(policy):
    again = ee.fit_policy(STOCK, PUT, key=1, paths=FITTED, times=TIMES)
    np.testing.assert_array_equal(again.coefficients, policy.coefficients)
    other = ee.fit_policy(STOCK, PUT, key=2, paths=FITTED, times=TIMES)
    assert not np.any(np.asarray(other.coefficients)[:-1] == np.asarray(policy.coefficients)[:-1])
    # A policy is not fitted to the paths that the same key values it on.
    assert (
        abs(float(policy.in_sample.value) - float(ee.lower_bound(policy, STOCK, PUT, key=1, paths=FITTED).value)) > 1e-6
    )


def test_scenarios_under_vmap():
    strikes = jnp.array([38.0, 40.0])

    def value(strike):
        return mc_american(STOCK, mc.payoffs.european(strike=strike, is_call=False)).value

    alone = [value(float(strike)) for strike in strikes]
    np.testing.assert_allclose(jax.vmap(value)(strikes), alone, rtol=1e-9)


ERRORS = [
    ({"exercise_at": [3, 10]}, InputError, "exercise_at: 10 is not among the 10 times"),
    ({"exercise_at": []}, InputError, "exercise_at: empty"),
    (
        {"exercise_at": [True, False]},
        InputError,
        r"exercise_at: shape \(2,\); expected a bool for each of the 10 times",
    ),
    ({"exercise_at": [0.5]}, InputTypeError, r"exercise_at: \[0.5\]; expected indices"),
    ({"basis": 3}, InputTypeError, "basis: 3; expected bases.polynomial"),
    ({"basis": lambda seen: []}, InputError, "basis: it gives list; expected a list of at least one array"),
    ({"basis": lambda seen: [seen.spot[:3]]}, InputError, r"basis: a regressor has shape \(3,\); expected one number"),
    ({"policy_paths": 0}, InputError, "policy_paths: 0; expected 1"),
    ({"paths": 0}, InputError, "^paths: 0; expected 1"),
    ({"times": [0.5, 0.5]}, InputError, "times: 0.5 at place 1"),
    ({"payoff": 40.0}, InputTypeError, "exercise_value: 40.0; expected one of monte_carlo.payoffs"),
    ({"process": 3.0}, InputTypeError, "process: 3.0; expected one of monte_carlo.processes"),
    ({"dtype": np.int32}, InputTypeError, "dtype: .*expected float64 or float32"),
]


@pytest.mark.parametrize(("change", "error", "message"), ERRORS, ids=[c[2][:40] for c in ERRORS])
def test_bad_input_is_named(change, error, message):
    arguments = {"process": STOCK, "payoff": PUT, "key": 1, "paths": 16, "times": TIMES, "policy_paths": 16, **change}
    process, payoff = arguments.pop("process"), arguments.pop("payoff")
    with pytest.raises(error, match=message):
        ee.longstaff_schwartz(process, payoff, **arguments)


def test_bad_bounds_are_named(policy):
    for change, message in (
        ({"inner_paths": 2}, "inner_paths: 2; expected a multiple of 4"),
        ({"inner_paths": 0}, "inner_paths: 0; expected 1"),
        ({"outer_paths": 1}, "outer_paths: 1; expected at least 2"),
        ({"outer_paths": 1 << 20, "inner_paths": 1 << 16}, "inner_paths: 65536 for each of 1048576"),
    ):
        with pytest.raises(InputError, match=message):
            ee.duality_gap(policy, STOCK, PUT, key=1, **change)
    with pytest.raises(InputTypeError, match="policy: 3; expected one of fit_policy"):
        ee.lower_bound(3, STOCK, PUT, key=1, paths=10)
    with pytest.raises(InputError, match="policy: its basis gives 2 variables here and gave 1"):
        ee.lower_bound(
            ee.fit_policy(STOCK, PUT, key=1, paths=64, times=[1.0, 2.0], basis=polynomial(1, of="state")),
            mc.processes.Heston(spot=36.0, params=HestonParams(0.04, 1.0, 0.04, 0.3, 0.0)), PUT, key=1, paths=10,
        )  # fmt: skip
    with pytest.raises(InputError, match="wrt: 'vol' is no parameter of GeometricBrownianMotion"):
        ee.longstaff_schwartz_greeks(STOCK, PUT, wrt=("vol",), key=1, paths=PATHS, times=TIMES, policy_paths=FITTED)


def test_bad_bases_are_named():
    for arguments, message in (
        ({"degree": 0}, "degree: 0; expected an integer from 1"),
        ({"family": "fourier"}, "family: 'fourier'; expected one of 'power', 'hermite'"),
        ({"of": "prices"}, "of: 'prices'; expected 'spot', 'sorted', 'state' or a function"),
    ):
        with pytest.raises(InputError, match=message):
            polynomial(**arguments)
