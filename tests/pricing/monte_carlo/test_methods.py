"""Methods: every one is unbiased with an honest error, gains where theory says so, and refuses what it cannot give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes, geometric_asian
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo import blocks, engine, prices
from gpujax.pricing.monte_carlo.arguments import make_grid

MARKET = {"spot": 100.0, "volatility": 0.2, "rate": 0.05, "dividend_yield": 0.02}
STOCK = mc.processes.GeometricBrownianMotion(**MARKET)
CALL = mc.payoffs.european(strike=105.0)
TIMES = np.array([0.25, 0.5, 1.0])
EXACT = float(black_scholes.price(**MARKET, strike=105.0, expiry=1.0))
FORWARD = mc.Control(mc.payoffs.european(strike=0.0), 100.0 * np.exp(-0.02))
UNCHANGED = mc.methods.PseudoRandom()

# method, control, drift, and the most that its standard error may be of that of as many independent paths
CASES = {
    "antithetic": (mc.methods.PseudoRandom(antithetic=True), None, None, 0.9),
    "sobol": (mc.methods.Sobol(replicates=8), None, None, 0.2),
    "sobol-pca": (mc.methods.Sobol(replicates=8, construction="pca"), None, None, 0.2),
    "latin hypercube": (mc.methods.LatinHypercube(replicates=8), None, None, 0.2),
    "moments": (mc.methods.MomentMatched(batch=512), None, None, 0.7),
    "control": (UNCHANGED, FORWARD, None, 0.55),
    "sobol, control": (mc.methods.Sobol(replicates=8), FORWARD, None, 0.2),
    "drift": (UNCHANGED, None, np.array([0.6]), 0.6),
    "antithetic, control, drift": (mc.methods.PseudoRandom(antithetic=True), FORWARD, np.array([0.3]), 0.6),
}


def scores(method, control, drift, runs, paths=4096):
    """Values and standard errors of independent runs."""
    grid = make_grid(TIMES, STOCK, np.float64)
    inputs = engine.make_inputs(STOCK, [CALL], 0, grid, control, drift)
    plan = blocks.make_plan(STOCK, method, paths, grid, inputs, devices=())

    @jax.jit
    def all_runs(keys):
        def one(key):
            value, error = prices._price(inputs._replace(key=(jnp.uint32(7), key)), plan=plan)
            return value[0], error[0]

        return jax.lax.map(one, keys)

    return map(np.asarray, all_runs(jnp.arange(runs, dtype=jnp.uint32)))


@pytest.mark.parametrize("name", CASES)
def test_values_are_unbiased_and_errors_honest(name):
    """Two hundred runs: the mean within its error, and the standard errors equal to the spread of the values."""
    method, control, drift, gain = CASES[name]
    value, error = scores(method, control, drift, runs=200)
    assert abs(value.mean() - EXACT) < 4 * value.std() / np.sqrt(200)
    assert value.std() == pytest.approx(np.sqrt(np.mean(error**2)), rel=0.25)
    alone = np.exp(-0.05) * 15.0 / np.sqrt(4096)
    assert np.sqrt(np.mean(error**2)) < gain * alone


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sobol_converges_faster_than_monte_carlo(dtype):
    """Errors against the number of points: a slope of -1/2 would be that of independent paths."""
    average = mc.payoffs.asian(strike=100.0, average="geometric")
    times = np.arange(1, 9) / 8
    exact = geometric_asian.price(spot=100.0, strike=100.0, times=jnp.asarray(times), volatility=0.2, rate=0.05)
    stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    errors = []
    for points in (256, 8192):
        found = mc.price(stock, average, key=3, paths=16 * points, times=times, dtype=dtype, method=mc.methods.Sobol())
        errors.append(float(found.standard_error))
        assert abs(float(found.value) - float(exact)) < 5 * errors[-1]
    assert np.log2(errors[0] / errors[1]) / 5 > 0.8


def test_the_geometric_average_controls_the_arithmetic_one(within):
    payoff, times = mc.payoffs.asian(strike=100.0), np.arange(1, 9) / 8
    stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    run = {"key": 5, "paths": 65_536, "times": times}
    plain = mc.price(stock, payoff, **run)
    control = mc.geometric_average(stock, strike=100.0, times=times)
    controlled = mc.price(stock, payoff, control=control, **run)
    assert float(controlled.standard_error) < float(plain.standard_error) / 25
    within(plain, controlled.value)
    # A control that is a copy of another changes nothing.
    twice = mc.price(stock, payoff, control=(control, control), **run)
    np.testing.assert_allclose(twice.value, controlled.value, rtol=1e-9)


def test_antithetic_paths_are_mirror_images():
    """A payoff that is linear in the normal number has no variance left."""
    level = mc.processes.CustomProcess(
        start=lambda values: values, move=lambda values, x, time, step, draws: x + jnp.sqrt(step) * draws[0],
        values=1.0, normals=1,
    )  # fmt: skip
    found = mc.price(level, mc.payoffs.of_path(lambda path: path[-1], times=3), key=1, paths=1000, times=TIMES,
                     method=mc.methods.PseudoRandom(antithetic=True))  # fmt: skip
    np.testing.assert_allclose(found.value, 1.0, atol=1e-15)
    assert float(found.standard_error) < 1e-15
    assert found.paths == 1000


def test_a_latin_hypercube_fills_every_stratum():
    """Of 64 paths, every normal number takes each of the 64 equally likely intervals once."""
    from scipy.special import ndtr

    layout = mc.methods.Layout(steps=3, normals=2, uniforms=1)
    method = mc.methods.LatinHypercube(replicates=2, construction="incremental")
    path = jnp.arange(64, 128, dtype=jnp.uint32)
    drawn = method.numbers((jnp.uint32(1), jnp.uint32(2)), path, 64, layout, np.dtype(np.float64), None)
    probabilities = np.concatenate([ndtr(np.asarray(drawn[0])), ndtr(np.asarray(drawn[1])), np.asarray(drawn[2])])
    np.testing.assert_array_equal(
        np.sort(np.floor(64 * probabilities).astype(int), axis=1), np.tile(np.arange(64), (9, 1))
    )
    order = np.argsort(probabilities, axis=1)
    assert abs(np.corrcoef(order)[np.triu_indices(9, 1)]).max() < 0.5


def test_moments_are_matched():
    layout = mc.methods.Layout(steps=5, normals=1, uniforms=0)
    path = jnp.arange(256, dtype=jnp.uint32)
    (z,) = mc.methods.MomentMatched(batch=256).numbers(
        (jnp.uint32(1), jnp.uint32(2)), path, 256, layout, np.dtype(np.float64), None
    )
    np.testing.assert_allclose(np.mean(z, axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(np.mean(np.square(z), axis=1), 1, rtol=1e-14)


@pytest.mark.parametrize("method", [UNCHANGED, mc.methods.Sobol(replicates=4)], ids=["pseudo", "sobol"])
def test_the_same_on_one_two_four_and_eight_devices(method):
    """Up to the rounding of sums: the paths are the same."""
    book = {"call": CALL, "average": mc.payoffs.asian(strike=100.0)}
    run = {"key": 9, "paths": 1 << 17, "times": TIMES, "method": method, "control": FORWARD}
    one = mc.price(STOCK, book, devices=jax.devices()[:1], **run)
    for count in (2, 4, 8):
        several = mc.price(STOCK, book, devices=jax.devices()[:count], **run)
        for name in book:
            np.testing.assert_allclose(several[name].value, one[name].value, rtol=1e-13)
            np.testing.assert_allclose(several[name].standard_error, one[name].standard_error, rtol=1e-9)
            # Results live on one device again, whatever computed them.
            assert abs(float(several[name].value - one[name].value)) < 1e-10


def test_work_is_spread_over_the_devices():
    grid = make_grid(TIMES, STOCK, np.float64)
    inputs = engine.make_inputs(STOCK, [CALL], 0, grid)
    plan = blocks.make_plan(STOCK, UNCHANGED, 1 << 20, grid, inputs)
    assert plan.mesh is not None
    assert plan.mesh.size == len(jax.devices()) == 8
    small = blocks.make_plan(STOCK, UNCHANGED, 1000, grid, inputs)
    assert small.mesh is None


@pytest.mark.parametrize("method", [UNCHANGED, mc.methods.Sobol(replicates=4)], ids=["pseudo", "sobol"])
def test_steps_between_the_times_are_not_seen(method, within):
    """Substeps change the paths but not the law; payoffs count and average over the given times alone."""
    average, lookback = mc.payoffs.asian(strike=100.0), mc.payoffs.lookback(strike=100.0)
    run = {"key": 2, "paths": 1 << 16, "method": method}
    fine = mc.price(STOCK, (average, lookback), times=TIMES, max_step=0.1, **run)
    coarse = mc.price(STOCK, (average, lookback), times=TIMES, **run)
    for a, b in zip(fine, coarse, strict=True):
        assert abs(float(a.value - b.value)) < 4 * float(jnp.hypot(a.standard_error, b.standard_error))
    assert mc.simulate(STOCK, key=1, paths=5, times=TIMES, max_step=0.1).shape == (5, 3)


def test_a_process_may_prepare_its_noise():
    """Whole-path noise: here the running mean of the normal numbers so far, as one matrix product."""

    @mc.processes.parameters()
    class Smoothed:
        scale: float

        @property
        def normals(self):
            return 1

        def initial(self):
            return jnp.zeros(())

        def prepare(self, times, draws):
            matrix = np.tril(np.ones((len(times), len(times)))) / np.arange(1, len(times) + 1)[:, None]
            return (jnp.matmul(jnp.asarray(matrix, draws[0].dtype), draws[0]),)

        def advance(self, state, time, step, draws):
            return self.scale * draws[0]

        def observe(self, state):
            return state

        def discount(self, time, state):
            return jnp.ones(())

    found = np.asarray(mc.simulate(Smoothed(scale=2.0), key=3, paths=100, times=TIMES))
    plain = mc.processes.CustomProcess(
        start=lambda values: 0.0 * values, move=lambda values, x, time, step, draws: draws[0], values=1.0, normals=1
    )
    drawn = np.asarray(mc.simulate(plain, key=3, paths=100, times=TIMES))
    np.testing.assert_allclose(found, 2 * np.cumsum(drawn, axis=1) / np.arange(1, 4), rtol=1e-12, atol=1e-14)


BAD = [
    ({"method": mc.methods.Sobol(), "paths": 100_000}, InputError,
     r"paths: 100000; expected 16 replicates of a power.*65536 or 131072"),
    ({"method": mc.methods.LatinHypercube(), "paths": 8}, InputError, r"paths: 8; expected 16 replicates"),
    ({"method": mc.methods.PseudoRandom(antithetic=True), "paths": 11}, InputError, "paths: 11; expected an even number"),
    ({"method": mc.methods.MomentMatched(batch=8), "paths": 20}, InputError, "paths: 20; expected a multiple of the batch, 8"),
    ({"method": mc.methods.Sobol(), "paths": 64, "times": np.arange(1, 30_000) / 1000}, InputError, "take 29999 dimensions"),
    ({"max_step": 0.0}, InputError, "max_step: 0.0; expected a number of years > 0"),
    ({"drift": np.zeros(2)}, InputError, r"drift: shape \(2,\); expected \(1, 1\)"),
    ({"process": mc.processes.RoughBergomi(spot=100.0, xi=0.04, eta=1.9, rho=-0.9, hurst=0.1), "drift": np.zeros(3)}, InputError,
     "drift: RoughBergomi turns normal numbers into others"),
    ({"control": CALL}, InputTypeError, r"control: .*; expected"),
    ({"control": mc.Control(CALL, np.nan)}, InputError, "control: value nan; expected the exact, finite value"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=[str(next(iter(c[0].values())))[:30] for c in BAD])
def test_bad_input_is_named(change, error, message):
    with pytest.raises(error, match=message):
        mc.price(**{"process": STOCK, "payoff": CALL, "key": 1, "paths": 10, "times": 1.0, **change})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mc.methods.Sobol(replicates=1), "replicates: 1; expected at least 2"),
        (lambda: mc.methods.Sobol(scramble="faure"), "scramble: 'faure'; expected one of 'owen', 'shift'"),
        (lambda: mc.methods.LatinHypercube(construction="haar"), "construction: 'haar'; expected one of"),
        (lambda: mc.methods.MomentMatched(batch=1), "batch: 1; expected an integer from 2"),
    ],
)
def test_bad_methods_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_traced_times_are_refused_where_they_have_to_be_known():
    with pytest.raises(InputTypeError, match="times: traced, but Sobol needs them known"):
        jax.jit(lambda t: mc.price(STOCK, CALL, key=1, paths=64, times=t, method=mc.methods.Sobol()).value)(1.0)
    with pytest.raises(InputTypeError, match="times: traced, but max_step adds steps"):
        jax.jit(lambda t: mc.price(STOCK, CALL, key=1, paths=64, times=t, max_step=0.1).value)(1.0)
