r"""Importance sampling: the drift of the normal numbers that makes a payoff's error smallest.

With the mean of the normal numbers Z of a path moved by μ and each path weighted by the ratio of the densities,

$$ \mathrm{E}\,G(Z) = \mathrm{E}\bigl[G(Z + \mu)\,e^{-\mu \cdot Z - |\mu|^2 / 2}\bigr], \qquad
   v(\mu) = \mathrm{E}\bigl[G(Z)^2\,e^{-\mu \cdot Z + |\mu|^2 / 2}\bigr], $$

v being the second moment of what is averaged: it is strictly convex, and so is its logarithm, whose second derivative is at least
the identity. Its mean over pilot paths is minimised by Newton's method, which then needs a few iterations from anywhere (Jourdain
and Lelong 2009). Where hardly any pilot path pays, pilots are first scattered more widely along the drifts in question.

Far out of the money this saves orders of magnitude; of the variance of a call at the money nine tenths. One drift cannot serve a
payoff that pays in two opposite directions.

Sources: B. Jourdain and J. Lelong, "Robust adaptive importance sampling for normal random vectors", Annals of Applied
Probability 19 (2009), 1687-1718, sections 1 and 2; P. Glasserman, P. Heidelberger and P. Shahabuddin, "Asymptotically optimal
importance sampling and stratification for pricing path-dependent options", Mathematical Finance 9 (1999), 117-152.
"""

import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.random import normal_pair, threefry
from gpujax.pricing.monte_carlo.arguments import check_payoff, check_process, float_dtype, make_grid, path_count
from gpujax.pricing.monte_carlo.blocks import Plan, make_plan
from gpujax.pricing.monte_carlo.engine import Inputs, make_inputs, present_values
from gpujax.pricing.monte_carlo.methods import PseudoRandom, whole
from gpujax.pricing.monte_carlo.parameters import parameters
from gpujax.pricing.monte_carlo.payoffs.payoff import Payoff
from gpujax.pricing.monte_carlo.process import Process

__all__ = ["find_drift"]

_LEAST_PATHS = 256
_MOST_COMPONENTS = 2048  # of a full drift: its second derivatives are a matrix of this side
_ENOUGH = 1 / 64  # share of the pilot paths that has to pay
_WIDER, _WIDEST = 1.5, 16.0  # the scatter of the pilots grows by this factor, up to so many standard deviations
_STILL = 0.1  # the variance is flat at its minimum: a tenth of a standard deviation off costs about a hundredth


def find_drift(
    process: Process,
    payoff: Payoff,
    *,
    key: Any,
    times: Any,
    paths: int = 1 << 14,
    kind: Literal["constant", "full"] = "constant",
    max_step: float | None = None,
    dtype: Any = None,
) -> jax.Array:
    """A drift for the `drift=` of `price`: the one with the smallest variance on pilot paths.

    Arguments:
        process, payoff, times, max_step: as for `price`, the same as there; one payoff.
        dtype: of the pilots and of the drift, float64 or float32.
        key: an integer seed, or a key of `jax.random`; it may be that of `price`, the numbers are others.
        paths: pilot paths in each of a few rounds, at least 256.
        kind: "constant" seeks one drift for each normal number, constant in time: θ √(Δt / T) in a step Δt. "full" seeks one for
            each number in each step, 2,048 at most, starting from the constant one: for payoffs that depend on when the path
            moves, such as averages. It fits the noise of the pilots with as many parameters, so that many steps want more paths.

    Returns: `[steps, normals]`, in standard deviations of the normal numbers. It is independent of the paths that `price` draws,
        so that estimates with it are unbiased.

    Raises: as `price`; InputError for a process that prepares its numbers, which `price` cannot weight; where no pilot path pays
        however widely the pilots are scattered, or a path pays what is no number; InputTypeError where parameters are traced: the
        search needs their values, so find the drift outside of `jit`, `grad` and `vmap`.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2)
    >>> far = mc.payoffs.european(strike=200.0)
    >>> drift = find_drift(stock, far, key=1, times=1.0)
    >>> found = mc.price(stock, far, key=1, paths=100_000, times=1.0, drift=drift)
    >>> abs(float(found.value) - 0.00188622) < 4 * float(found.standard_error) < 1e-4
    True
    """
    check_process(process)
    check_payoff(payoff)
    if kind not in ("constant", "full"):
        raise InputError(f"kind: {kind!r}; expected 'constant' or 'full'")
    if path_count(paths) < _LEAST_PATHS:
        raise InputError(f"paths: {paths}; expected at least {_LEAST_PATHS} pilot paths")
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((process, payoff, key, times))):
        raise InputTypeError("process, payoff, key or times: traced; find the drift outside of jit, grad and vmap")
    grid = make_grid(times, process, float_dtype(dtype), max_step)
    if hasattr(process, "prepare"):
        raise InputError(
            f"process: {type(process).__name__} turns normal numbers into others, whose law is not that of independent ones; "
            "a drift cannot be weighted: use a control variate or methods.Sobol()"
        )
    if not process.normals:
        raise InputError(f"process: {type(process).__name__} takes no normal numbers; there is nothing to drift")
    components = len(grid.times) * process.normals
    if kind == "full" and components > _MOST_COMPONENTS:
        raise InputError(
            f"kind: 'full' with {len(grid.times)} steps of {process.normals} normal numbers has {components} components; "
            f"at most {_MOST_COMPONENTS}: take kind='constant', or fewer steps"
        )
    inputs = make_inputs(process, [payoff], key, grid)
    # Made for a process whose numbers are all in memory, so that its blocks are small enough.
    plan = make_plan(_Played(process=process, numbers=()), PseudoRandom(), paths, grid, inputs, devices=())
    nothing = jnp.zeros((len(grid.times), process.normals), grid.times.dtype)
    drift = _search(inputs, plan, "constant", nothing, rounds=5)
    return drift if kind == "constant" else _search(inputs, plan, "full", drift, rounds=3)


@parameters()
class _Played:
    """A process whose numbers are there from the start, whatever the engine draws."""

    process: Any
    numbers: tuple[jax.Array, ...]

    @property
    def normals(self) -> int:
        return self.process.normals

    @property
    def uniforms(self) -> int:
        return getattr(self.process, "uniforms", 0)

    def prepare(self, times, draws):
        return self.numbers

    def initial(self):
        return self.process.initial()

    def advance(self, state, time, step, draws):
        return self.process.advance(state, time, step, draws)

    def observe(self, state):
        return self.process.observe(state)

    def discount(self, time, state):
        return self.process.discount(time, state)


def _search(inputs: Inputs, plan: Plan, kind: str, drift: jax.Array, *, rounds: int) -> jax.Array:
    """Rounds of pilot paths with the best drift so far, until it rests."""
    for turn in range(rounds):
        pilots = functools.partial(_pilots, inputs, drift, plan=plan, kind=kind)
        spread, values, components, logs = 1.0, *pilots(turn, 1.0)
        while kind == "constant" and np.mean(values != 0) < _ENOUGH and spread * _WIDER < _WIDEST:
            spread *= _WIDER
            values, components, logs = pilots(turn, spread)
        if not np.all(np.isfinite(values)):
            bad = values[~np.isfinite(values)][0]
            raise InputError(
                f"payoff: {bad} on {np.mean(~np.isfinite(values)):.2%} of the pilot paths; expected numbers"
            )
        if not np.any(values):
            raise InputError(
                f"payoff: zero on all {plan.samples} pilot paths, even with {spread:.0f} times the noise in every normal number; "
                "there is no drift to find. Is the strike or barrier within reach at all?"
            )
        before = drift
        drift = _drift_of(
            _minimum(components, logs, _components(drift[..., None], inputs.times, kind)[0]), inputs, kind
        )
        if spread == 1.0 and jnp.linalg.norm(drift - before) < _STILL:
            break
    return drift


@functools.partial(jax.jit, static_argnames=("plan", "kind"))
def _pilots(
    inputs: Inputs, drift: jax.Array, turn: Any, spread: Any, *, plan: Plan, kind: str
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Present values `[paths]` of pilots, their components `[paths, components]`, and log-weights of G(X)² up to a constant.

    The components are what a drift can move; those of the pilots have the drift as their mean and `spread` as their deviation.
    """
    dtype, layout = inputs.times.dtype, plan.layout
    turn = jnp.asarray(turn, jnp.uint32)
    # Keys of their own, so that pilots share no numbers with what is priced under the same key.
    key, scatter_key = (threefry(inputs.key, (turn, jnp.uint32(_PILOT + i))) for i in range(2))
    extra = jnp.sqrt(jnp.asarray(spread, dtype) ** 2 - 1)
    share = _share(inputs.times)[:, None]

    def block(first: jax.Array) -> tuple[jax.Array, jax.Array]:
        path = first + jnp.arange(plan.block, dtype=jnp.uint32)
        drawn = whole(PseudoRandom().numbers(key, path, 0, layout, dtype, None), layout.steps)
        moved = []
        for i in range(layout.normals):
            scatter = normal_pair(threefry(scatter_key, (path, jnp.uint32(i))), dtype)[0]
            moved.append(drawn[i] + drift[:, i : i + 1] + share * (extra * scatter)[None])
        played = _Played(process=inputs.process, numbers=(*moved, *drawn[layout.normals :]))
        (value,) = present_values(inputs._replace(process=played), plan, path)
        return value, _components(jnp.stack(moved, axis=1), inputs.times, kind)

    firsts = jnp.arange(-(-plan.samples // plan.block), dtype=jnp.uint32) * jnp.uint32(plan.block)
    values, components = (x.reshape(-1, *x.shape[2:])[: plan.samples] for x in lax.map(block, firsts))
    wide = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32  # pyright: ignore[reportAttributeAccessIssue]
    x, mean = components.astype(wide), _components(drift[..., None], inputs.times, kind).astype(wide)
    # The density of X over that of the pilots.
    ratio = 0.5 * jnp.sum(((x - mean) / jnp.asarray(spread, wide)) ** 2 - x * x, axis=1)
    return values, x, ratio + 2 * jnp.log(jnp.abs(values).astype(wide))


@jax.jit
def _minimum(x: jax.Array, logs: jax.Array, start: jax.Array) -> jax.Array:
    """The θ that minimises u(θ) = |θ|² / 2 + ln Σ exp(logs - x θ), by Newton's method with a line search.

    u'' = 1 + the covariance of x under the weights of the sum: u is as convex as a parabola, at least.
    """
    sizes = 0.5 ** jnp.arange(8, dtype=x.dtype)
    dot = functools.partial(jnp.matmul, precision="highest")

    def u(theta: jax.Array) -> jax.Array:
        return 0.5 * jnp.sum(theta * theta) + jax.nn.logsumexp(logs - dot(x, theta))

    def iterate(loop: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        theta, _, count = loop
        weight = jax.nn.softmax(logs - dot(x, theta))
        mean = dot(weight, x)
        apart = x - mean[None]
        second = jnp.eye(x.shape[1], dtype=x.dtype) + dot((weight[:, None] * apart).T, apart)
        newton = jax.scipy.linalg.solve(second, mean - theta, assume_a="pos")
        reached = lax.map(u, theta[None] + sizes[:, None] * newton[None])
        move = sizes[jnp.argmin(reached)] * newton
        return theta + move, jnp.max(jnp.abs(move)), count + 1

    def moving(loop: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        return (loop[1] > 1e-3) & (loop[2] < 50)

    return lax.while_loop(moving, iterate, (start.astype(x.dtype), jnp.ones((), x.dtype), jnp.zeros((), jnp.int32)))[0]


def _components(numbers: jax.Array, times: jax.Array, kind: str) -> jax.Array:
    """What drifts can move in numbers `[steps, normals, paths]`: `[paths, components]`, of deviation one each."""
    if kind == "full":
        return numbers.reshape(-1, numbers.shape[-1]).T
    return jnp.sum(_share(times)[:, None, None] * numbers, axis=0).T


def _drift_of(theta: jax.Array, inputs: Inputs, kind: str) -> jax.Array:
    """The drift `[steps, normals]` with these components and no other."""
    theta, steps = theta.astype(inputs.times.dtype), inputs.times.shape[0]
    return theta.reshape(steps, -1) if kind == "full" else _share(inputs.times)[:, None] * theta[None]


def _share(times: jax.Array) -> jax.Array:
    """√(Δt / T) of every step: a unit vector, along which the Brownian motion at T lies."""
    return jnp.sqrt(jnp.diff(times, prepend=jnp.zeros(1, times.dtype)) / times[-1])


# Sets pilots apart from the paths that are priced.
_PILOT = 0x50494C4F
