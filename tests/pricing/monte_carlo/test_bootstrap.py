"""Block bootstrap: which returns follow which, the moments that theory gives, several assets, inputs that there cannot be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gpujax.errors import InputError
from gpujax.pricing import monte_carlo as mc

STEPS, PATHS, MEAN_LENGTH = 24, 20_000, 6


def _history(n=250, persistence=0.6):
    """Autoregressive returns with fat tails."""
    shocks = np.random.default_rng(3).standard_t(5, n) * 0.01
    returns = np.zeros(n)
    for i in range(1, n):
        returns[i] = persistence * returns[i - 1] + shocks[i]
    return returns + 0.001


HISTORY = _history()
TIMES = np.arange(1, STEPS + 1) / 252


def _indices(process, dtype=None, paths=PATHS, steps=STEPS):
    """Which return each step used, `[paths, steps]`, read off the paths of a history that counts."""
    n = len(process.returns)
    counting = mc.processes.BlockBootstrap(
        spot=1.0, returns=np.arange(n) / n, block_length=process.block_length, stationary=process.stationary
    )
    logs = np.log(np.asarray(mc.simulate(counting, key=5, paths=paths, times=TIMES[:steps], dtype=dtype)))
    return np.rint(np.diff(logs, axis=1, prepend=0.0) * n).astype(int)


@pytest.fixture(scope="module", params=[True, False], ids=["stationary", "circular"])
def process(request):
    return mc.processes.BlockBootstrap(
        spot=100.0, returns=HISTORY, block_length=MEAN_LENGTH, stationary=request.param, rate=0.05
    )


@pytest.fixture(scope="module")
def indices(process):
    return _indices(process)


def test_every_return_is_equally_likely_at_every_step(indices):
    n = len(HISTORY)
    assert indices.min() == 0
    assert indices.max() == n - 1
    for step in (0, 1, STEPS // 2, STEPS - 1):
        counts = np.bincount(indices[:, step], minlength=n)
        assert stats.chisquare(counts).pvalue > 1e-4


def test_lengths_of_blocks(process, indices):
    """Inside a block the history goes on, round its end too; blocks begin where they should, and independently."""
    n = len(HISTORY)
    follows = np.diff(indices, axis=1) % n == 1
    if process.stationary:
        # A block that begins by chance where the last one went on does not show.
        expected = 1 - 1 / MEAN_LENGTH * (1 - 1 / n)
        np.testing.assert_allclose(follows.mean(), expected, atol=4 * np.sqrt(expected / follows.size))
        pairs = (follows[:, 1:] & follows[:, :-1]).mean()
        np.testing.assert_allclose(pairs, expected**2, atol=4 * np.sqrt(1 / follows.size))
    else:
        inside = (np.arange(1, STEPS) % MEAN_LENGTH) != 0
        assert np.all(follows[:, inside])
        assert abs(follows[:, ~inside].mean() - 1 / n) < 4 * np.sqrt(1 / n / follows[:, ~inside].size)
    wrapped = (indices[:, :-1] == n - 1) & (indices[:, 1:] == 0)
    assert wrapped.any()


def _autocovariance(lag):
    """Of the history as a circle: what both bootstraps know of it."""
    centred = HISTORY - HISTORY.mean()
    return float(np.mean(centred * np.roll(centred, -lag)))


def test_mean_and_variance_of_a_sum(process):
    """Politis and Romano (1994): covariances fall by the chance that no block began; circular ones are sums of blocks."""
    logs = np.log(np.asarray(mc.simulate(process, key=1, paths=PATHS, times=TIMES))[:, -1] / 100)
    if process.stationary:
        kept = (1 - 1 / MEAN_LENGTH) ** np.arange(1, STEPS)
        covariances = sum(2 * (STEPS - j) * kept[j - 1] * _autocovariance(j) for j in range(1, STEPS))
        variance = STEPS * _autocovariance(0) + covariances
    else:
        sums = sum(np.roll(HISTORY, -j) for j in range(MEAN_LENGTH))
        variance = STEPS / MEAN_LENGTH * sums.var()
    assert variance > 1.5 * STEPS * HISTORY.var()  # independent returns would be far off
    np.testing.assert_allclose(logs.mean(), STEPS * HISTORY.mean(), atol=4 * np.sqrt(variance / PATHS))
    spread = np.sqrt((stats.kurtosis(logs) + 2) / PATHS)
    np.testing.assert_allclose(logs.var(), variance, rtol=4 * spread)


def test_blocks_of_one_are_independent():
    found = _indices(mc.processes.BlockBootstrap(spot=1.0, returns=HISTORY, block_length=1))
    assert abs(np.corrcoef(found[:, 4], found[:, 5])[0, 1]) < 4 / np.sqrt(PATHS)


@pytest.mark.parametrize("stationary", [True, False])
def test_float32_counts_as_far(stationary):
    """A history of 40,000 returns: the same indices as in float64 but where a uniform number was rounded, every block whole."""
    n = 40_000
    long = mc.processes.BlockBootstrap(spot=1.0, returns=np.zeros(n), block_length=8, stationary=stationary)
    state = jax.tree.map(lambda x: jnp.zeros(4000, np.float32) + x.astype(np.float32), long.initial())
    long = mc.processes.BlockBootstrap(
        spot=1.0, returns=jnp.zeros(n, np.float32), block_length=jnp.float32(8), stationary=stationary
    )
    random, seen = np.random.default_rng(2), []
    for _ in range(24):
        draws = tuple(jnp.asarray(random.uniform(1e-7, 1 - 1e-7, 4000), np.float32) for _ in range(2))
        state = long.advance(state, 0.0, 1.0, draws)
        seen.append(np.asarray(state[1]))
    seen = np.stack(seen)
    assert np.all(seen == np.floor(seen))
    assert seen.max() > 0.999 * n
    follows = (np.diff(seen, axis=0) == 1).mean()
    expected = 7 / 8 if stationary else 21 / 23
    np.testing.assert_allclose(follows, expected, atol=0.01)


def test_several_assets_keep_their_dates():
    first = HISTORY
    returns = np.stack([first, np.arange(len(first)) / 1e4, -2 * first], axis=1)
    process = mc.processes.BlockBootstrap(spot=[100.0, 50.0, 10.0], returns=returns, block_length=10.0)
    paths = np.asarray(mc.simulate(process, key=2, paths=2000, times=TIMES))
    assert paths.shape == (2000, STEPS, 3)
    steps = np.diff(np.log(paths), axis=1)
    dates = np.rint(steps[..., 1] * 1e4).astype(int)
    np.testing.assert_allclose(steps, returns[dates], atol=1e-12)
    best = mc.price(process, mc.payoffs.best_of(strike=0.0), key=2, paths=2000, times=TIMES)
    np.testing.assert_allclose(best.value, paths[:, -1].max(axis=-1).mean(), rtol=1e-12)


def test_discount_and_derivatives():
    """The logarithm's derivative by a return is how often it was used."""
    process = mc.processes.BlockBootstrap(spot=100.0, returns=HISTORY, block_length=MEAN_LENGTH, rate=0.05)
    np.testing.assert_allclose(process.discount(2.0, None), np.exp(-0.1), rtol=1e-12)
    random = np.random.default_rng(4)
    rows = jnp.asarray(random.uniform(size=(10, 2, 50)))

    def total(returns):
        moved = mc.processes.BlockBootstrap(spot=100.0, returns=returns, block_length=6.0)
        state, used = tuple(jnp.broadcast_to(x, 50) for x in moved.initial()), []
        for draws in rows:
            state = moved.advance(state, 0.0, 1.0, tuple(draws))
            used.append(state[1])
        return jnp.sum(state[0]), jnp.stack(used)

    uses, indices = jax.grad(total, has_aux=True)(jnp.asarray(HISTORY))
    expected = np.bincount(np.asarray(indices).astype(int).ravel(), minlength=len(HISTORY))
    np.testing.assert_allclose(uses, expected, atol=1e-12)


BAD = [
    ({"returns": np.zeros((2, 2, 2))}, r"returns: shape \(2, 2, 2\)"),
    ({"returns": np.zeros(0)}, r"returns: shape \(0,\)"),
    ({"returns": np.array([0.1, np.nan])}, r"returns: nan at \(1,\); expected finite"),
    ({"returns": np.zeros((5, 2))}, r"spot: shape \(\); expected \(2,\)"),
    ({"spot": -1.0}, r"spot: -1.0; expected a number > 0"),
    ({"block_length": 0.5}, r"block_length: 0.5; expected at least 1"),
    ({"block_length": 2.5, "stationary": False}, r"block_length: 2.5; expected a whole number"),
    ({"block_length": 251, "stationary": False}, r"block_length: 251.0; expected a whole number from 1 to 250"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message[:22] for _, message in BAD])
def test_impossible_histories_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        mc.processes.BlockBootstrap(**{"spot": 1.0, "returns": HISTORY, "block_length": 5, **change})
