"""Geometric Brownian motion: closed forms, term structures, dividends, several assets, and inputs that there cannot be."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo.correlation import cholesky
from gpujax.pricing.monte_carlo.term_structure import average, discount_factor, growth, root_mean_square

PiecewiseConstant, Dividends = mc.processes.PiecewiseConstant, mc.processes.Dividends

CORRELATION = np.array([[1.0, 0.5, -0.2], [0.5, 1.0, 0.3], [-0.2, 0.3, 1.0]])
THREE = mc.processes.CorrelatedGeometricBrownianMotion(
    spot=np.array([100.0, 90.0, 110.0]), volatility=np.array([0.2, 0.3, 0.15]), correlation=CORRELATION,
    rate=0.03, dividend_yield=np.array([0.01, 0.0, 0.04]),
)  # fmt: skip

RATE = PiecewiseConstant(times=(0.0, 0.3, 0.9), values=(0.01, 0.06, 0.03))
YIELD = PiecewiseConstant(times=(0.0, 0.6), values=(0.02, -0.01))
VOLATILITY = PiecewiseConstant(times=(0.0, 0.25, 0.5), values=(0.4, 0.1, 0.2))


# --- functions of time ---


@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 0.1), (0.1, 0.3), (0.2, 2.0), (0.9, 1.0), (5.0, 7.0), (0.5, 0.5), (1.0, 0.2)]
)
def test_integrals_are_exact(start, end):
    corners = np.clip([0.3, 0.9], min(start, end), max(start, end))
    expected = integrate.quad(lambda t: float(RATE(t)), start, end, points=corners, epsabs=1e-13)[0]
    np.testing.assert_allclose(RATE.integral(start, end), expected, atol=1e-12)
    expected = integrate.quad(lambda t: float(RATE(t)) ** 2, start, end, points=corners, epsabs=1e-13)[0]
    np.testing.assert_allclose(RATE.integral_of_square(start, end), expected, atol=1e-12)


def test_pieces_are_open_to_the_right():
    times = jnp.array([0.0, 0.3 - 1e-9, 0.3, 0.9, 100.0])
    np.testing.assert_allclose(RATE(times), [0.01, 0.01, 0.06, 0.03, 0.03])
    starts = jnp.array([0.0, 0.2])
    np.testing.assert_allclose(RATE.integral(starts, starts + 0.2), [0.002, 0.1 * 0.01 + 0.1 * 0.06], rtol=1e-14)


def test_numbers_pass_through():
    assert average(0.05, 1.0, 0.5) == 0.05
    assert root_mean_square(0.2, 1.0, 0.5) == 0.2
    assert growth(0.05, 2.0) == 0.1
    np.testing.assert_allclose(average(RATE, 0.2, 0.2), 0.035, rtol=1e-14)
    np.testing.assert_allclose(root_mean_square(VOLATILITY, 0.0, 0.5), np.sqrt((0.16 + 0.01) / 2), rtol=1e-14)
    np.testing.assert_allclose(discount_factor(RATE, 1.0), np.exp(-(0.003 + 0.036 + 0.003)), rtol=1e-14)


def test_a_short_step_late_keeps_its_average_in_float32():
    """Where edges are subtracted from each other, not from the start of the step, this is out by parts in a thousand."""
    curve = PiecewiseConstant(times=(0.0, 5.0), values=np.array([0.01, 0.07], np.float32))
    start, step = np.float32(29.996), np.float32(0.004)
    np.testing.assert_allclose(average(curve, jnp.asarray(start), jnp.asarray(step)), np.float32(0.07), rtol=2e-7)


def test_volatility_zero_has_finite_derivatives():
    slope = jax.grad(lambda v: root_mean_square(PiecewiseConstant(times=(0.0,), values=v), 0.0, 1.0))(jnp.zeros(1))
    assert np.all(np.isfinite(slope.values if hasattr(slope, "values") else slope))


# --- one asset ---


def test_term_structures_give_black_scholes_with_averages(within):
    """Any step is exact: one, and several that do not meet the corners."""
    process = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=VOLATILITY, rate=RATE, dividend_yield=YIELD)
    rate, dividend_yield = float(RATE.integral(0, 1)), float(YIELD.integral(0, 1))
    volatility = float(np.sqrt(VOLATILITY.integral_of_square(0, 1)))
    exact = black_scholes.price(
        spot=100.0, strike=105.0, expiry=1.0, volatility=volatility, rate=rate, dividend_yield=dividend_yield
    )
    for times, dtype in ((1.0, np.float64), ([0.15, 0.47, 0.91, 1.0], np.float32)):
        found = mc.price(process, mc.payoffs.european(strike=105.0), key=1, paths=100_000, times=times, dtype=dtype)
        within(found, exact)
    # The law at a time on the way, and the discount of a payment there.
    half = mc.price(process, mc.payoffs.european(strike=100.0), key=2, paths=100_000, times=0.4)
    exact = black_scholes.price(
        spot=100.0, strike=100.0, expiry=1.0, volatility=np.sqrt(float(VOLATILITY.integral_of_square(0, 0.4))),
        rate=float(RATE.integral(0, 0.4)), dividend_yield=float(YIELD.integral(0, 0.4)),
    )  # fmt: skip
    within(half, exact)


def test_derivatives_by_the_pieces(within):
    """Of a term structure of rates: the forward's, spread over the pieces by their length."""
    process = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=RATE)
    found = mc.greeks(
        process, mc.payoffs.european(strike=105.0), wrt=("rate.values",), key=3, paths=100_000, times=[0.5, 1.0]
    )
    rho = black_scholes.greeks(
        spot=100.0, strike=105.0, expiry=1.0, volatility=0.2, rate=float(RATE.integral(0, 1)), which=("rho",)
    ).rho
    within(found["rate.values"], float(rho) * np.array([0.3, 0.6, 0.1]))


def test_a_constant_curve_is_the_number():
    constant = PiecewiseConstant(times=(0.0, 0.4), values=(0.05, 0.05))
    number = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    curve = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=constant)
    paths = [mc.simulate(p, key=1, paths=50, times=[0.3, 0.8, 1.5]) for p in (number, curve)]
    np.testing.assert_allclose(paths[0], paths[1], rtol=1e-13)


# --- dividends ---


def _with(times, amounts, proportional=False, **changes):
    market = {"spot": 100.0, "volatility": 0.3, "rate": 0.04, **changes}
    return mc.processes.GeometricBrownianMotion(
        **market, dividends=Dividends(times=times, amounts=amounts, proportional=proportional)
    )


def test_proportional_dividends_are_black_scholes_with_a_lower_spot(within):
    process = _with((0.2, 0.6, 1.7), (0.03, 0.02, 0.5), True)
    spot = 100.0 * 0.97 * 0.98
    exact = black_scholes.price(spot=spot, strike=95.0, expiry=1.0, volatility=0.3, rate=0.04)
    within(mc.price(process, mc.payoffs.european(strike=95.0), key=1, paths=100_000, times=[0.3, 0.6, 1.0]), exact)


def _one_cash_dividend(strike, cash, date, expiry, spot=100.0, volatility=0.3, rate=0.04, is_call=True):
    """Haug, Haug and Lewis (2003), equation 2: the Black-Scholes price at the ex-date, over the lognormal law there."""
    drift, deviation = (rate - volatility**2 / 2) * date, volatility * np.sqrt(date)

    def after(z):
        left = max(spot * np.exp(drift + deviation * z) - cash, 0.0)
        price = 0.0 if is_call else strike * np.exp(-rate * (expiry - date))
        if left > 0:
            price = black_scholes.price(
                spot=left, strike=strike, expiry=expiry - date, volatility=volatility, rate=rate, is_call=is_call
            )
        return float(price) * stats.norm.pdf(z)

    zero = (np.log(cash / spot) - drift) / deviation
    value = integrate.quad(after, max(zero, -9), 9, epsabs=1e-8, limit=200)[0]
    below = integrate.quad(after, -9, zero, epsabs=1e-8)[0] if zero > -9 else 0.0
    return np.exp(-rate * date) * (value + below)


@pytest.mark.parametrize(("cash", "is_call"), [(7.0, True), (7.0, False), (70.0, False)])
def test_a_cash_dividend(cash, is_call, within):
    """Against quadrature; an amount that takes most of the price too, where many paths end at zero."""
    exact = _one_cash_dividend(90.0, cash, 0.75, 1.0, is_call=is_call)
    found = mc.price(
        _with((0.75,), (cash,)),
        mc.payoffs.european(strike=90.0, is_call=is_call),
        key=2,
        paths=100_000,
        times=[0.5, 1.0],
    )
    within(found, exact)


def test_the_quadrature_of_a_late_dividend():
    """The oracle itself: a dividend just before the expiry raises the strike by its amount."""
    late = _one_cash_dividend(100.0, 7.0, 0.9999, 1.0)
    moved = float(black_scholes.price(spot=100.0, strike=107.0, expiry=1.0, volatility=0.3, rate=0.04))
    np.testing.assert_allclose(late, moved, atol=2e-3)


def test_the_ex_date_shows_the_price_without_the_dividend():
    dividends = {"times": (0.5, 1.0), "amounts": (5.0, 0.1), "proportional": (False, True)}
    plain = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.3, rate=0.04)
    for dtype in (np.float64, np.float32):
        without = np.asarray(mc.simulate(plain, key=4, paths=200, times=[0.25, 0.5, 1.0], dtype=dtype))
        found = np.asarray(mc.simulate(_with(**dividends), key=4, paths=200, times=[0.25, 0.5, 1.0], dtype=dtype))
        rtol = 1e-12 if dtype == np.float64 else 1e-5
        np.testing.assert_allclose(found[:, 0], without[:, 0], rtol=rtol)
        np.testing.assert_allclose(found[:, 1], without[:, 1] - 5, rtol=rtol)
        np.testing.assert_allclose(found[:, 2], found[:, 1] / without[:, 1] * without[:, 2] * 0.9, rtol=rtol)


def test_every_ex_date_is_paid_once():
    """Steps of any length, in both precisions: the proportions multiply up, whatever rounding does to the times."""
    dates = tuple(np.cumsum(np.random.default_rng(1).uniform(0.01, 0.3, 40)).tolist())
    process = _with(dates, (0.01,) * 40, True, volatility=0.0, rate=0.0)
    for dtype in (np.float64, np.float32):
        times = np.concatenate([np.linspace(0.1, 7.0, 50), dates[::3]])
        times = np.unique(times)
        paths = np.asarray(mc.simulate(process, key=1, paths=2, times=times, dtype=dtype))[0]
        paid = np.array([np.sum(np.asarray(dates) <= t) for t in times])
        np.testing.assert_allclose(paths, 100 * 0.99**paid, rtol=1e-12 if dtype == np.float64 else 1e-5)


def test_dividends_that_take_all():
    """Zero is zero for ever; derivatives are finite there, and right elsewhere."""
    process = _with((0.5, 0.8), (90.0, 3.0))
    paths = np.asarray(mc.simulate(process, key=1, paths=4000, times=[0.5, 0.7, 0.8, 1.0]))
    dead = paths[:, 0] == 0
    assert 0.1 < dead.mean() < 0.6
    assert np.all(paths[dead] == 0)
    assert np.all(paths[~dead, :2] > 0)
    call = mc.payoffs.european(strike=20.0)

    def value(amounts, key=1):
        moved = mc.processes.GeometricBrownianMotion(
            spot=100.0, volatility=0.3, rate=0.04, dividends=Dividends(times=(0.5, 0.8), amounts=amounts)
        )
        return mc.price(moved, call, key=key, paths=4000, times=1.0).value

    amounts = jnp.array([90.0, 3.0])
    both = jax.jit(jax.value_and_grad(value))
    slope = both(amounts)[1]
    bumped = [(both(amounts + d)[0] - both(amounts - d)[0]) / 2e-4 for d in 1e-4 * np.eye(2)]
    np.testing.assert_allclose(slope, bumped, rtol=1e-3)
    assert np.all(np.asarray(slope) < 0)


# --- several assets ---


def test_several_assets_have_their_own_prices_and_correlations():
    paths, times = 100_000, (0.4, 1.0)
    logs = np.log(np.asarray(mc.simulate(THREE, key=2, paths=paths, times=times)))
    drift = 0.03 - THREE.dividend_yield - 0.5 * THREE.volatility**2
    before, then = np.log(THREE.spot), 0.0
    for i, time in enumerate(times):
        moved, step = logs[:, i] - before, time - then
        deviation = THREE.volatility * np.sqrt(step)
        assert np.all(np.abs(moved.mean(0) - drift * step) < 4 * deviation / np.sqrt(paths))
        np.testing.assert_allclose(moved.std(0), deviation, rtol=4 / np.sqrt(2 * paths))
        np.testing.assert_allclose(np.corrcoef(moved.T), CORRELATION, atol=5 / np.sqrt(paths))
        before, then = logs[:, i], time


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


def test_a_curve_of_rates_for_several_assets(within):
    curve = mc.processes.CorrelatedGeometricBrownianMotion(
        spot=THREE.spot, volatility=THREE.volatility, correlation=CORRELATION, rate=RATE
    )
    first = mc.payoffs.on(lambda spots: spots[0], mc.payoffs.european(strike=100.0))
    exact = black_scholes.price(spot=100.0, strike=100.0, expiry=1.0, volatility=0.2, rate=float(RATE.integral(0, 1)))
    within(mc.price(curve, first, key=1, paths=100_000, times=[0.4, 1.0]), exact)


def test_the_loop_does_not_factor_the_matrix():
    """In the compiled program nothing in the loop over steps reads the correlation matrix: its factor is made before."""

    def run(process, draws, steps):
        def move(state, row):
            return process.advance(state, 0.0, row[1], row[0]), None

        start = tuple(jnp.broadcast_to(x, draws[0].shape[1:]) for x in process.initial())
        return jax.lax.scan(move, start, (draws, steps))[0]

    draws = tuple(jnp.ones((8, 512)) for _ in range(3))
    text = jax.jit(run).lower(jax.tree.map(jnp.asarray, THREE), draws, jnp.ones(8)).compile().as_text()
    loops = [line for line in text.splitlines() if " while(" in line]
    assert len(loops) == 1
    assert "f64[3,3]" in text
    assert "f64[3,3]" not in loops[0]


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


STOCK = {"spot": 100.0, "volatility": 0.2}
BAD = [
    (lambda: mc.processes.GeometricBrownianMotion(**{**STOCK, "spot": -1.0}), "spot: -1.0; expected a number > 0"),
    (
        lambda: mc.processes.GeometricBrownianMotion(**{**STOCK, "volatility": -0.1}),
        "volatility: -0.1; expected a number >= 0",
    ),
    (lambda: mc.processes.GeometricBrownianMotion(**STOCK, rate=np.nan), "rate: nan; expected a number finite"),
    (
        lambda: mc.processes.GeometricBrownianMotion(
            spot=1.0, volatility=PiecewiseConstant(times=(0.0,), values=(-0.1,))
        ),
        r"volatility: \[-0.1\]; expected numbers >= 0",
    ),
    (lambda: PiecewiseConstant(times=(0.1, 0.2), values=(1.0, 2.0)), "times: .*the first of them 0.0"),
    (lambda: PiecewiseConstant(times=(0.0, 0.2, 0.2), values=(1.0, 2.0, 3.0)), "times: .*expected increasing years"),
    (lambda: PiecewiseConstant(times=(0.0, 0.2), values=(1.0,)), r"values: shape \(1,\); expected \(2,\)"),
    (lambda: PiecewiseConstant(times=(0.0,), values=(np.inf,)), "values: .*expected finite numbers"),
    (lambda: Dividends(times=(0.0, 0.5), amounts=(1.0, 1.0)), "times: .*expected increasing years > 0"),
    (lambda: Dividends(times=(0.5, 0.5), amounts=(1.0, 1.0)), "add up what is paid on one date"),
    (lambda: Dividends(times=(0.5,), amounts=(-1.0,)), "amounts: .*expected numbers >= 0"),
    (lambda: Dividends(times=(0.5,), amounts=(1.5,), proportional=True), "amounts: .*where they are shares"),
    (lambda: Dividends(times=(0.5, 0.7), amounts=(2.0, 0.1), proportional=(False,)), "proportional: .*one for each"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message[:25] for _, message in BAD])
def test_impossible_parameters_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_times_have_to_be_known():
    with pytest.raises(InputTypeError, match=r"times: .*expected a tuple of years that are known"):
        PiecewiseConstant(times=jnp.array([0.0]), values=(1.0,))


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
