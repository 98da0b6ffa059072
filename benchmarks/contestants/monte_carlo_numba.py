"""Hand-written numba loops with a xoroshiro128+ generator and Box-Muller: the peer to beat.

What somebody gets who knows numba well: `parallel=True` and `fastmath=True`; one stream of random numbers for each
thread, its two words in registers; both numbers of every Box-Muller pair used; no array of paths, but every path from its
first step to its payoff in registers; sums in float64. The float32 loops are compiled for float32 throughout and make both
uniforms of a pair from one 64-bit word. Plain Monte Carlo, without antithetic paths.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.contestants.monte_carlo_contracts import (
    AmericanPut,
    AsianCall,
    BasketCall,
    Contract,
    HestonCall,
    sample_answer,
)
from benchmarks.harness.measure import Absent, Contestant
from benchmarks.harness.peers import load

__all__ = ["american", "asian", "basket", "heston"]

NAME = "numba loop, hand-written"
HOW = "parallel, fastmath, xoroshiro128+ a thread, Box-Muller, no path stored; compiled for the row's dtype"

numba, ABSENT = load(NAME, "numba")


def asian(c: AsianCall, dtype: str) -> list[Contestant | Absent]:
    """One exponential a step, the running sum in a register."""
    if ABSENT:
        return ABSENT
    step = c.expiry / c.steps
    drift, spread = (c.rate - 0.5 * c.volatility**2) * step, c.volatility * math.sqrt(step)
    numbers = np.array([c.spot, c.strike, drift, spread], dtype)
    return _sampled(_asian_loop(dtype), c, numbers, c.steps)


def basket(c: BasketCall, dtype: str) -> list[Contestant | Absent]:
    """Log prices of all assets step by step, correlated by a Cholesky factor; exponentials at the end."""
    if ABSENT:
        return ABSENT
    step = c.expiry / c.steps
    correlation = np.full((c.assets, c.assets), c.correlation)
    np.fill_diagonal(correlation, 1.0)
    factor = (c.volatility * math.sqrt(step) * np.linalg.cholesky(correlation)).astype(dtype)
    numbers = np.array([c.spot, c.strike, (c.rate - 0.5 * c.volatility**2) * step], dtype)
    return _sampled(_basket_loop(dtype, c.assets), c, numbers, factor, c.steps)


def heston(c: HestonCall, dtype: str) -> list[Contestant | Absent]:
    """Full-truncation Euler on the log price: two normals and two square roots a step."""
    if ABSENT:
        return ABSENT
    numbers = np.array([c.spot, c.strike, c.rate, c.v0, c.kappa, c.theta, c.sigma, c.rho, c.expiry / c.steps], dtype)
    return _sampled(_heston_loop(dtype), c, numbers, c.steps)


def american(c: AmericanPut, dtype: str) -> list[Contestant | Absent]:
    """Longstaff-Schwartz in one sweep backwards over the dates."""
    if ABSENT:
        return ABSENT
    loop, streams = _american_loop(dtype), _streams()
    arguments = [np.array([s, c.strike, c.rate, c.volatility, c.expiry, c.centre, c.width], dtype) for s in c.spots]

    def call() -> list[tuple[float, float]]:
        return [loop(streams.copy(), c.paths, c.steps, numbers) for numbers in arguments]

    def found(sums: list[tuple[float, float]]) -> Any:
        return sample_answer(*np.array(sums).T, c.paths)

    how = ("paths drawn backwards by Brownian bridges, so that two arrays of paths are all there is; one pass a date applies "
           f"the last regression, takes a step and sums the next one's normal equations (cubic, in float64); {HOW}")  # fmt: skip
    return [Contestant(NAME, how, call, c.paths * c.steps * len(c.spots), found)]


def _sampled(loop: Callable[..., np.ndarray], c: Contract, *arguments: Any) -> list[Contestant | Absent]:
    streams, discount = _streams(), math.exp(-c.rate * c.expiry)

    def call() -> np.ndarray:
        return loop(streams, c.paths, *arguments)

    def found(sums: np.ndarray) -> Any:
        return sample_answer(discount * sums[0], discount**2 * sums[1], c.paths)

    return [Contestant(NAME, HOW, call, c.paths * c.steps, found)]


def _streams(seed: int = 20021107) -> np.ndarray:
    """The generator's state for each thread: words of splitmix64, as its authors advise."""
    mask, state, words = (1 << 64) - 1, seed, []
    for _ in range(2 * numba.get_num_threads()):
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        words.append(z ^ (z >> 31))
    return np.array(words, np.uint64).reshape(-1, 2)


@functools.cache
def _normals(dtype: str) -> Any:
    """`pair(s0, s1)` gives two standard normals and the new state of the generator.

    D. Blackman and S. Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM Transactions on Mathematical Software 47
    (2021), 36: xoroshiro128+ with the constants 24, 16, 37. Only the high bits of a word are used, its lowest ones are weak.
    """
    kind, word = np.dtype(dtype).type, np.uint64
    minus_two, two_pi = kind(-2.0), kind(2.0 * math.pi)
    a, b, c = word(24), word(16), word(37)
    a_back, c_back = word(64 - 24), word(64 - 37)
    eight, eleven, forty, low = word(8), word(11), word(40), word(0xFFFFFF)
    unit53, unit24, one = 2.0**-53, np.float32(2.0**-24), kind(1.0)

    @numba.njit(inline="always")
    def advance(s0, s1):
        s1 ^= s0
        return ((s0 << a) | (s0 >> a_back)) ^ s1 ^ (s1 << b), (s1 << c) | (s1 >> c_back)

    if dtype == "float64":

        @numba.njit(inline="always", fastmath=True)
        def pair(s0, s1):
            u = (np.int64((s0 + s1) >> eleven) + one) * unit53  # in (0, 1]
            s0, s1 = advance(s0, s1)
            v = np.int64((s0 + s1) >> eleven) * unit53
            s0, s1 = advance(s0, s1)
            radius, angle = math.sqrt(minus_two * math.log(u)), two_pi * v
            return radius * math.cos(angle), radius * math.sin(angle), s0, s1

    else:

        @numba.njit(inline="always", fastmath=True)
        def pair(s0, s1):
            drawn = s0 + s1
            u = (np.float32(np.int32(drawn >> forty)) + one) * unit24
            v = np.float32(np.int32((drawn >> eight) & low)) * unit24
            s0, s1 = advance(s0, s1)
            radius, angle = math.sqrt(minus_two * math.log(u)), two_pi * v
            return radius * math.cos(angle), radius * math.sin(angle), s0, s1

    return SimpleNamespace(pair=pair)


@functools.cache
def _asian_loop(dtype: str) -> Callable[..., np.ndarray]:
    pair, prange, zero = _normals(dtype).pair, numba.prange, np.dtype(dtype).type(0.0)

    @numba.njit(parallel=True, fastmath=True)
    def loop(streams, paths, numbers, steps):
        threads = streams.shape[0]
        total, squares = 0.0, 0.0
        spot, strike, drift, spread = numbers[0], numbers[1], numbers[2], numbers[3]
        share = spot / numbers.dtype.type(steps)
        for thread in prange(threads):
            s0, s1 = streams[thread, 0], streams[thread, 1]
            own, own_squares = 0.0, 0.0
            for _ in range(paths * thread // threads, paths * (thread + 1) // threads):
                x, seen = zero, zero
                for _ in range(steps // 2):
                    z, other, s0, s1 = pair(s0, s1)
                    x += drift + spread * z
                    seen += math.exp(x)
                    x += drift + spread * other
                    seen += math.exp(x)
                if steps % 2:
                    z, other, s0, s1 = pair(s0, s1)
                    seen += math.exp(x + drift + spread * z)
                payoff = np.float64(max(share * seen - strike, zero))
                own += payoff
                own_squares += payoff * payoff
            total += own
            squares += own_squares
        return np.array([total, squares])

    return loop


@functools.cache
def _basket_loop(dtype: str, assets: int) -> Callable[..., np.ndarray]:
    pair, prange, kind = _normals(dtype).pair, numba.prange, np.dtype(dtype)
    zero, share = kind.type(0.0), kind.type(1.0 / assets)

    # The number of assets is a constant of the compiled loop, so that the small loops over them are unrolled.
    @numba.njit(parallel=True, fastmath=True)
    def loop(streams, paths, numbers, factor, steps):
        threads = streams.shape[0]
        total, squares = 0.0, 0.0
        spot, strike, drift = numbers[0], numbers[1], numbers[2]
        for thread in prange(threads):
            s0, s1 = streams[thread, 0], streams[thread, 1]
            own, own_squares = 0.0, 0.0
            x, z = np.empty(assets, kind), np.empty(2 * assets, kind)
            for _ in range(paths * thread // threads, paths * (thread + 1) // threads):
                for i in range(assets):
                    x[i] = zero
                for k in range(steps):
                    if k % 2 == 0:  # numbers for two steps, so that none of a pair is left over
                        for i in range(assets):
                            z[2 * i], z[2 * i + 1], s0, s1 = pair(s0, s1)
                    first = (k % 2) * assets
                    for i in range(assets):
                        moved = drift
                        for j in range(i + 1):
                            moved += factor[i, j] * z[first + j]
                        x[i] += moved
                mean = zero
                for i in range(assets):
                    mean += share * math.exp(x[i])
                payoff = np.float64(max(spot * mean - strike, zero))
                own += payoff
                own_squares += payoff * payoff
            total += own
            squares += own_squares
        return np.array([total, squares])

    return loop


@functools.cache
def _heston_loop(dtype: str) -> Callable[..., np.ndarray]:
    pair, prange = _normals(dtype).pair, numba.prange
    kind = np.dtype(dtype).type
    zero, half, one = kind(0.0), kind(0.5), kind(1.0)

    @numba.njit(parallel=True, fastmath=True)
    def loop(streams, paths, numbers, steps):
        threads = streams.shape[0]
        total, squares = 0.0, 0.0
        spot, strike, rate, v0, kappa, theta, sigma, rho, step = numbers
        rest, pull, growth = sigma * math.sqrt(one - rho * rho), kappa * step, rate * step
        with_price = sigma * rho
        for thread in prange(threads):
            s0, s1 = streams[thread, 0], streams[thread, 1]
            own, own_squares = 0.0, 0.0
            for _ in range(paths * thread // threads, paths * (thread + 1) // threads):
                x, v = zero, v0
                for _ in range(steps):
                    z, other, s0, s1 = pair(s0, s1)
                    positive = max(v, zero)
                    root = math.sqrt(positive * step)
                    x += growth - half * step * positive + root * z
                    v += pull * (theta - positive) + root * (with_price * z + rest * other)
                payoff = np.float64(max(spot * math.exp(x) - strike, zero))
                own += payoff
                own_squares += payoff * payoff
            total += own
            squares += own_squares
        return np.array([total, squares])

    return loop


@functools.cache
def _american_loop(dtype: str) -> Callable[..., tuple[float, float]]:
    pair, prange = _normals(dtype).pair, numba.prange
    kind = np.dtype(dtype)
    zero, half, one = kind.type(0.0), kind.type(0.5), kind.type(1.0)

    @numba.njit(parallel=True, fastmath=True)
    def loop(streams, paths, steps, numbers):
        spot, strike, rate, volatility, expiry, centre, width = numbers
        threads = streams.shape[0]
        step = expiry / numbers.dtype.type(steps)
        discount, drift, scale = math.exp(-rate * step), rate - half * volatility * volatility, one / (strike * width)
        shift = centre / width
        motion, paid, price = np.empty(paths, kind), np.empty(paths, kind), np.empty(paths, kind)
        sums = np.zeros(
            (threads, 16)
        )  # a cache line or more a thread: moments of u up to the sixth, then of u and the payoff
        policy = np.zeros(4, kind)
        for date in range(steps, 0, -1):
            now = numbers.dtype.type(date) * step
            # At the expiry the motion is drawn; at every other date it is given where it will be one date later.
            keep = zero if date == steps else numbers.dtype.type(date) / numbers.dtype.type(date + 1)
            spread = math.sqrt(now) if date == steps else math.sqrt(step * keep)
            growth = drift * now
            sums[:] = 0.0
            for thread in prange(threads):
                s0, s1 = streams[thread, 0], streams[thread, 1]
                c0, c1, c2, c3 = policy[0], policy[1], policy[2], policy[3]
                m0, m1, m2, m3, m4, m5, m6 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
                r0, r1, r2, r3 = 0.0, 0.0, 0.0, 0.0
                z = other = zero
                start, stop = paths * thread // threads, paths * (thread + 1) // threads
                for p in range(start, stop):
                    if (p - start) % 2 == 0:
                        z, other, s0, s1 = pair(s0, s1)
                    else:
                        z = other
                    if date == steps:
                        w, cash = spread * z, zero
                    else:
                        w, cash = keep * motion[p] + spread * z, paid[p]
                        before = price[p]
                        exercised = strike - before
                        u = scale * before - shift
                        held = c0 + u * (c1 + u * (c2 + u * c3))
                        if exercised > zero and (date == steps - 1 or exercised > held):
                            cash = exercised
                        cash *= discount
                    s = spot * math.exp(growth + volatility * w)
                    motion[p], paid[p], price[p] = w, cash, s
                    if date < steps and s < strike:
                        u = np.float64(scale * s - shift)
                        y, u2 = np.float64(cash), u * u
                        u3 = u2 * u
                        m0 += 1.0
                        m1 += u
                        m2 += u2
                        m3 += u3
                        m4 += u2 * u2
                        m5 += u2 * u3
                        m6 += u3 * u3
                        r0 += y
                        r1 += u * y
                        r2 += u2 * y
                        r3 += u3 * y
                streams[thread, 0], streams[thread, 1] = s0, s1
                own = sums[thread]
                own[0], own[1], own[2], own[3], own[4], own[5], own[6] = m0, m1, m2, m3, m4, m5, m6
                own[7], own[8], own[9], own[10] = r0, r1, r2, r3
            if date < steps:
                moments = sums.sum(axis=0)
                normal = np.empty((4, 4))
                for i in range(4):
                    for j in range(4):
                        normal[i, j] = moments[i + j]
                    normal[i, i] += 1e-12 * (1.0 + moments[2 * i])  # so that a date with next to no path can be solved
                policy[:] = np.linalg.solve(normal, moments[7:11])
        total, squares = 0.0, 0.0
        c0, c1, c2, c3 = policy[0], policy[1], policy[2], policy[3]
        for p in prange(paths):
            u = scale * price[p] - shift
            cash, exercised = paid[p], strike - price[p]
            if exercised > zero and (steps == 1 or exercised > c0 + u * (c1 + u * (c2 + u * c3))):
                cash = exercised
            value = np.float64(cash * discount)
            total += value
            squares += value * value
        return total, squares

    return loop
