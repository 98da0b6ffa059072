"""Runs to a target: what they stop at, that they are `price` in pieces, and that they survive being interrupted."""

import json

import jax
import numpy as np
import pytest

from gpujax.errors import InputError
from gpujax.pricing import black_scholes
from gpujax.pricing import monte_carlo as mc

MARKET = {"spot": 100.0, "volatility": 0.2, "rate": 0.05}
STOCK = mc.processes.GeometricBrownianMotion(**MARKET)
CALL = mc.payoffs.european(strike=105.0)
RUN = {"key": 4, "times": [0.5, 1.0], "chunk": 32_768}


def test_it_stops_when_every_error_is_small_enough():
    book = {"call": CALL, "put": mc.payoffs.european(strike=95.0, is_call=False)}
    run = mc.price_until(STOCK, book, standard_error=0.04, **RUN)
    assert run.stopped == "standard error"
    assert list(run.estimates) == ["call", "put"]
    assert max(e.standard_error for e in run.estimates.values()) <= 0.04
    assert 100_000 < run.paths < 200_000
    assert run.paths % RUN["chunk"] == 0
    exact = float(black_scholes.price(**MARKET, strike=105.0, expiry=1.0))
    assert abs(run.estimates["call"].value - exact) < 4 * run.estimates["call"].standard_error


@pytest.mark.parametrize("method", [mc.methods.PseudoRandom(), mc.methods.PseudoRandom(antithetic=True)])
def test_chunks_are_one_run(method):
    run = mc.price_until(STOCK, CALL, most_paths=4 * RUN["chunk"], method=method, **RUN)
    whole = mc.price(STOCK, CALL, key=4, times=[0.5, 1.0], paths=run.paths, method=method)
    assert run.stopped == "paths"
    assert run.paths == 4 * RUN["chunk"]
    np.testing.assert_allclose(run.estimates.value, whole.value, rtol=1e-13)
    np.testing.assert_allclose(run.estimates.standard_error, whole.standard_error, rtol=1e-11)


def test_scrambles_are_added(within):
    method = mc.methods.Sobol(replicates=8)
    control = mc.Control(mc.payoffs.european(strike=0.0), 100.0)
    short = mc.price_until(STOCK, CALL, most_paths=RUN["chunk"], method=method, control=control, **RUN)
    long = mc.price_until(STOCK, CALL, most_paths=8 * RUN["chunk"], method=method, control=control, **RUN)
    assert long.paths == 8 * short.paths
    assert long.estimates.standard_error < 0.6 * short.estimates.standard_error
    within(long.estimates, black_scholes.price(**MARKET, strike=105.0, expiry=1.0))


def test_a_time_budget_is_kept():
    seen = []
    run = mc.price_until(STOCK, CALL, seconds=3.0, progress=seen.append, **RUN)
    assert run.stopped == "seconds"
    assert run.seconds < 6.0  # a loaded machine may be slow, but not twice
    assert [p.paths for p in seen] == [RUN["chunk"] * (i + 1) for i in range(len(seen))]
    assert seen[-1].standard_error < 1.2 * seen[0].standard_error / np.sqrt(len(seen))
    assert seen[-1].needed is None


def test_a_saved_run_goes_on_where_it_was(tmp_path):
    file = tmp_path / "run.npz"
    control = mc.Control(mc.payoffs.european(strike=0.0), 100.0)
    first = mc.price_until(STOCK, CALL, most_paths=2 * RUN["chunk"], control=control, save=file, **RUN)
    second = mc.price_until(STOCK, CALL, most_paths=5 * RUN["chunk"], control=control, save=file, **RUN)
    whole = mc.price_until(STOCK, CALL, most_paths=5 * RUN["chunk"], control=control, **RUN)
    assert (first.paths, second.paths) == (2 * RUN["chunk"], 5 * RUN["chunk"])
    np.testing.assert_allclose(second.estimates[:2], whole.estimates[:2], rtol=1e-12)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]
    again = mc.price_until(STOCK, CALL, most_paths=5 * RUN["chunk"], control=control, save=file, **RUN)
    assert again.estimates == second.estimates


def test_an_interrupted_run_is_saved(tmp_path):
    file = tmp_path / "run.npz"

    def interrupt(progress):
        if progress.paths >= 3 * RUN["chunk"]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mc.price_until(STOCK, CALL, standard_error=1e-3, progress=interrupt, save=file, **RUN)
    run = mc.price_until(STOCK, CALL, most_paths=4 * RUN["chunk"], save=file, **RUN)
    whole = mc.price_until(STOCK, CALL, most_paths=4 * RUN["chunk"], **RUN)
    np.testing.assert_allclose(run.estimates.value, whole.estimates.value, rtol=1e-13)


def test_a_state_of_another_calculation_is_refused(tmp_path):
    file = tmp_path / "run.npz"
    run = {**RUN, "most_paths": RUN["chunk"], "save": file}
    mc.price_until(STOCK, CALL, **run)
    before = file.read_bytes()
    other = mc.processes.GeometricBrownianMotion(**{**MARKET, "volatility": 0.21})
    custom = [mc.payoffs.on(underlying, CALL) for underlying in (lambda s: s, lambda s: 2 * s)]
    for process, payoff, change in (
        (other, CALL, {}),
        (STOCK, mc.payoffs.european(strike=105.0, is_call=False), {}),
        (STOCK, CALL, {"key": 5}),
        (STOCK, CALL, {"times": [0.6, 1.0]}),
        (STOCK, CALL, {"method": mc.methods.PseudoRandom(antithetic=True)}),
        (STOCK, custom[0], {}),
    ):
        with pytest.raises(InputError, match=r"save: .*belongs to another calculation"):
            mc.price_until(process, payoff, **{**run, **change})
    assert file.read_bytes() == before
    mc.price_until(STOCK, custom[0], **{**run, "save": tmp_path / "own.npz"})
    with pytest.raises(InputError, match="another calculation"):
        mc.price_until(STOCK, custom[1], **{**run, "save": tmp_path / "own.npz"})
    (tmp_path / "text.npz").write_text(json.dumps({"not": "a run"}))
    with pytest.raises(InputError, match="is no saved run"):
        mc.price_until(STOCK, CALL, **{**run, "save": tmp_path / "text.npz"})


def test_samples_without_variance_end_it():
    run = mc.price_until(STOCK, mc.payoffs.european(strike=1e6), standard_error=0.1, **RUN)
    assert run.stopped == "no variance"
    assert run.paths == RUN["chunk"]


def test_the_terminal_shows_progress(capsys):
    mc.price_until(STOCK, CALL, most_paths=RUN["chunk"], progress=True, **RUN)
    assert "32,768 paths" in capsys.readouterr().err


BAD = [
    ({}, "standard_error: None, and neither seconds nor most_paths; the run would not end"),
    ({"standard_error": 0.0}, "standard_error: 0.0; expected a number > 0"),
    ({"seconds": -1.0}, "seconds: -1.0; expected a number > 0"),
    ({"most_paths": 100}, "chunk: 32768, more than most_paths 100"),
    ({"standard_error": 1e-4, "most_paths": 10**6},
     r"would take about [\d,]+ paths, more than most_paths 1,000,000; ask for 0.01"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_named(change, message):
    with pytest.raises(InputError, match=message):
        mc.price_until(STOCK, CALL, **{**RUN, **change})


class TestPrecision:
    """float32 where it does no harm."""

    def test_the_bias_is_that_of_two_runs(self):
        found = mc.measure_precision(STOCK, CALL, key=1, times=[0.5, 1.0], paths=10**6, pilot=16_384)
        run = {"key": 1, "paths": 16_384, "times": [0.5, 1.0]}
        single, double = (mc.price(STOCK, CALL, dtype=d, **run) for d in (np.float32, np.float64))
        np.testing.assert_allclose(found.bias, single.value - double.value, rtol=1e-6)
        np.testing.assert_allclose(found.standard_error, double.standard_error * np.sqrt(16_384 / 10**6), rtol=1e-9)
        assert found.dtype == "float32"
        assert "under a tenth" in str(found)

    def test_what_needs_double_precision_gets_it(self):
        """A large level with a small volatility: float32 has too few digits for its moves."""
        level = mc.processes.CustomProcess(
            start=lambda v: v["level"], move=lambda v, x, time, step, draws: x + v["sigma"] * draws[0],
            values={"level": 1e6, "sigma": 0.02}, normals=1,
        )  # fmt: skip
        payoff = mc.payoffs.european(strike=1e6)
        found = mc.measure_precision(level, payoff, key=1, times=np.arange(1, 9) / 8, paths=10**7)
        assert found.dtype == "float64"
        assert "over a tenth" in str(found)
        run = {"key": 1, "times": np.arange(1, 9) / 8, "paths": 2**16}
        auto = mc.price(level, payoff, dtype="auto", **run)
        np.testing.assert_array_equal(auto.value, mc.price(level, payoff, dtype=np.float64, **run).value)

    def test_auto_is_what_was_measured(self):
        auto = mc.price(STOCK, CALL, key=1, paths=2**16, times=1.0, dtype="auto")
        single = mc.price(STOCK, CALL, key=1, paths=2**16, times=1.0, dtype=np.float32)
        np.testing.assert_array_equal(auto.value, single.value)
        until = mc.price_until(STOCK, CALL, dtype="auto", standard_error=0.1, **RUN)
        assert until.estimates.standard_error <= 0.1

    def test_one_of_paths_and_error(self):
        with pytest.raises(InputError, match="expected one of the two"):
            mc.measure_precision(STOCK, CALL, key=1, times=1.0)


def test_a_run_is_spread_over_devices():
    one = mc.price_until(STOCK, CALL, most_paths=RUN["chunk"], devices=jax.devices()[:1], **RUN)
    four = mc.price_until(STOCK, CALL, most_paths=RUN["chunk"], devices=jax.devices()[:4], **RUN)
    np.testing.assert_allclose(four.estimates.value, one.estimates.value, rtol=1e-13)
