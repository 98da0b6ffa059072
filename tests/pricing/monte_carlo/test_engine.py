"""The engine: what a result depends on, statistics that are honest, Greeks, transformations and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc
from gpujax.pricing.monte_carlo import blocks, engine, prices
from gpujax.pricing.monte_carlo.arguments import make_grid

MARKET = {"spot": 100.0, "volatility": 0.2, "rate": 0.05, "dividend_yield": 0.02}
STOCK = mc.processes.GeometricBrownianMotion(**MARKET)
CALL = mc.payoffs.european(strike=105.0)
TIMES = np.array([0.25, 0.5, 1.0])


def exact(strike=105.0, which=("price",), **changes):
    market = {**MARKET, **changes}
    return black_scholes.greeks(**market, strike=strike, expiry=1.0, which=which)


def prepared(paths, key=1, devices=(), **options):
    grid = make_grid(TIMES, STOCK, np.float64)
    inputs = engine.make_inputs(STOCK, [CALL], key, grid)
    return inputs, blocks.make_plan(STOCK, mc.methods.PseudoRandom(**options), paths, grid, inputs, devices=devices)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("times", [1.0, TIMES, np.linspace(0.1, 1.0, 10)], ids=["one", "three", "ten"])
def test_a_european_option(times, dtype, within):
    found = mc.price(STOCK, CALL, key=11, paths=200_000, times=times, dtype=dtype)
    within(found, exact().price)
    assert found.paths == 200_000
    spread = 15.0 / np.sqrt(200_000)
    assert 0.7 * spread < float(found.standard_error) < 1.4 * spread


def test_z_scores_are_standard_normal():
    """Four hundred independent runs: a bias of a tenth of a standard error, or an error that is out by a tenth, would show."""
    price = float(exact().price)

    inputs, plan = prepared(4096)

    @jax.jit
    def scores(keys):
        def one(key):
            value, error = prices._price(inputs._replace(key=(jnp.uint32(0), key)), plan=plan)
            return (value[0] - price) / error[0]

        return jax.lax.map(one, keys)

    z = np.asarray(scores(jnp.arange(400, dtype=jnp.uint32)))
    assert abs(z.mean()) < 4 / np.sqrt(400)
    assert abs(z.std() - 1) < 4 / np.sqrt(800)
    assert stats.kstest(z, "norm").pvalue > 1e-3


def test_results_do_not_depend_on_the_blocks(monkeypatch):
    whole = mc.price(STOCK, CALL, key=1, paths=30_000, times=TIMES)
    monkeypatch.setattr(blocks, "BLOCK", 4096)
    cut = mc.price(STOCK, CALL, key=1, paths=30_000, times=TIMES)
    np.testing.assert_allclose(cut.value, whole.value, rtol=1e-13)
    np.testing.assert_allclose(cut.standard_error, whole.standard_error, rtol=1e-12)
    paths = mc.simulate(STOCK, key=1, paths=30_000, times=TIMES)
    payoff = np.exp(-0.05) * np.maximum(np.asarray(paths)[:, -1] - 105.0, 0)
    np.testing.assert_allclose(whole.value, payoff.mean(), rtol=1e-13)
    np.testing.assert_allclose(whole.standard_error, payoff.std(ddof=1) / np.sqrt(30_000), rtol=1e-11)


def test_paths_belong_to_their_index():
    many = mc.simulate(STOCK, key=5, paths=100, times=TIMES)
    np.testing.assert_array_equal(mc.simulate(STOCK, key=5, paths=7, times=TIMES), many[:7])
    assert not np.any(np.asarray(mc.simulate(STOCK, key=6, paths=100, times=TIMES)) == np.asarray(many))
    longer = mc.simulate(STOCK, key=5, paths=100, times=np.append(TIMES, 2.0))
    np.testing.assert_allclose(longer[:, :3], many, rtol=1e-15)


def test_many_payoffs_share_the_paths():
    payoffs = {"call": CALL, "put": mc.payoffs.european(strike=105.0, is_call=False)}
    found = mc.price(STOCK, payoffs, key=1, paths=50_000, times=TIMES)
    alone = mc.price(STOCK, CALL, key=1, paths=50_000, times=TIMES)
    np.testing.assert_allclose(found["call"].value, alone.value, rtol=1e-13)
    # Put-call parity holds path by path, up to the simulated forward.
    paths = np.asarray(mc.simulate(STOCK, key=1, paths=50_000, times=TIMES))[:, -1]
    parity = np.exp(-0.05) * (paths.mean() - 105.0)
    np.testing.assert_allclose(found["call"].value - found["put"].value, parity, rtol=1e-10)
    assert isinstance(mc.price(STOCK, (CALL, CALL), key=1, paths=10, times=1.0), tuple)


def test_reverse_differentiation_through_the_price():
    def value(spot):
        process = mc.processes.GeometricBrownianMotion(**{**MARKET, "spot": spot})
        return mc.price(process, CALL, key=2, paths=50_000, times=TIMES).value

    forward = mc.greeks(STOCK, CALL, wrt=("spot",), key=2, paths=50_000, times=TIMES)["spot"].value
    np.testing.assert_allclose(jax.grad(value)(100.0), forward, rtol=1e-12)


def test_common_random_numbers_under_vmap():
    strikes = jnp.array([90.0, 100.0, 110.0])
    prices = jax.vmap(lambda k: mc.price(STOCK, mc.payoffs.european(strike=k), key=3, paths=20_000, times=TIMES).value)(
        strikes
    )
    alone = [
        mc.price(STOCK, mc.payoffs.european(strike=float(k)), key=3, paths=20_000, times=TIMES).value for k in strikes
    ]
    np.testing.assert_allclose(prices, alone, rtol=1e-13)


def test_a_user_s_own_process_and_payoff(within):
    """Bachelier's model, written as a pair of functions."""
    from gpujax.pricing import bachelier

    own = mc.processes.CustomProcess(
        start=lambda values: values["forward"],
        move=lambda values, x, time, step, draws: x + values["volatility"] * jnp.sqrt(step) * draws[0],
        values={"forward": 5.0, "volatility": 20.0}, normals=1, rate=0.03,
    )  # fmt: skip
    middle = mc.payoffs.of_path(lambda path: jnp.maximum(path[2], 0), times=3)
    found = mc.price(own, {"end": mc.payoffs.european(strike=0.0), "middle": middle}, key=4, paths=200_000, times=TIMES)
    price = bachelier.price(forward=5.0, strike=0.0, expiry=1.0, volatility=20.0, rate=0.03)
    within(found["end"], price)
    half = bachelier.price(forward=5.0, strike=0.0, expiry=0.5, volatility=20.0)
    within(found["middle"], np.exp(-0.03) * half)


def test_memory_does_not_grow_with_the_paths():
    def bytes_of(paths):
        inputs, plan = prepared(paths)
        return prices._price.lower(inputs, plan=plan).compile().memory_analysis().temp_size_in_bytes

    assert bytes_of(100_000_000) < bytes_of(1_000_000) + 1_000_000 < 64_000_000


CASES = [
    ({"times": [0.5, 0.5]}, InputError, "times: 0.5 at place 1 does not come after 0.5"),
    ({"times": [0.0, 1.0]}, InputError, "times: 0.0 at place 0"),
    ({"times": []}, InputError, "times: shape"),
    ({"times": [1.0, np.nan]}, InputError, "times: nan at place 1"),
    ({"times": np.inf}, InputError, "times: infinite"),
    ({"paths": 0}, InputError, "paths: 0; expected 1"),
    ({"paths": 1e6}, InputTypeError, "paths: 1000000.0; expected an integer"),
    ({"key": None}, InputTypeError, "key: None; expected an integer"),
    ({"dtype": np.int32}, InputTypeError, "dtype: .*expected float64 or float32"),
    ({"payoff": lambda path: path}, InputTypeError, "payoff: .*expected one of monte_carlo.payoffs"),
    ({"payoff": mc.payoffs.forward_start(set_at=3)}, InputError, "set_at: 3; expected at most 0, the last of 1"),
    ({"payoff": {"a": CALL, 1.0: CALL}}, InputTypeError, r"payoff: names \['a', 1.0\] of different types"),
    ({"process": 3.0}, InputTypeError, "process: 3.0; expected one of monte_carlo.processes"),
    (
        {"payoff": mc.payoffs.of_path(lambda path: path, times=1)},
        InputError,
        r"payoff: its values have shape \(2, 10\)",
    ),
]


@pytest.mark.parametrize(("change", "error", "message"), CASES, ids=[str(next(iter(c[0].items())))[:30] for c in CASES])
def test_bad_input_is_named(change, error, message):
    arguments = {"process": STOCK, "payoff": CALL, "key": 1, "paths": 10, "times": 1.0, **change}
    process, payoff = arguments.pop("process"), arguments.pop("payoff")
    with pytest.raises(error, match=message):
        mc.price(process, payoff, **arguments)
