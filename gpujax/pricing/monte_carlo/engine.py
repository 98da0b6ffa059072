"""Prices, pathwise Greeks and whole paths, streamed over blocks of paths.

A block is simulated, its moments are kept, and it is forgotten: 10^9 paths need no more memory than one block. Numbers belong to
their path (see `numerics.random`) and moments of blocks are combined in one fixed way, so that a result depends on the key, the
paths and the times alone.
"""

import functools
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from gpujax.errors import InputError, InputTypeError
from gpujax.numerics.random import key_words
from gpujax.pricing.monte_carlo.payoffs.payoff import Observation, Payoff
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.simulation import initial_states, run_paths
from gpujax.pricing.monte_carlo.statistics import Estimate, Moments, combine, estimate, moments

__all__ = ["greeks", "price", "simulate"]

BLOCK = 1 << 16
_MOST_PATHS = 1 << 32


def price(process: Process, payoff: Any, *, key: Any, paths: int, times: Any, dtype: Any = None) -> Any:
    """The expected present value of a payoff, with its standard error.

    Arguments:
        process: what moves, from `monte_carlo.processes`.
        payoff: what is paid, from `monte_carlo.payoffs`; or a mapping or tuple of payoffs, which share the paths.
        key: an integer seed, or a key of `jax.random`. The same key gives the same paths.
        paths: how many, from 1 to 2^32.
        times: increasing, > 0, in years: the steps that are simulated and what payoffs see; one number for a single step.
        dtype: of the paths, float64 or float32; by default that of JAX's floating-point numbers. Moments are summed in float64
            wherever 64-bit mode is on.

    Returns: `Estimate(value, standard_error, paths)`, or a mapping or tuple of them like `payoff`.

    Raises: InputError for times that do not increase, paths out of range, a payoff of the wrong shape; InputTypeError for a key,
        process or payoff that is none.

    Differentiates by the parameters of the process and the payoff, path by path (`greeks` gives standard errors too); maps with
    `vmap` over them on common random numbers.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> found = mc.price(stock, mc.payoffs.european(strike=100.0), key=1, paths=1_000_000, times=1.0)
    >>> abs(float(found.value) - 10.450584) < 4 * float(found.standard_error) < 0.06
    True
    """
    _check_process(process)
    leaves, tree = _payoffs(payoff)
    times = _times(times, _dtype(dtype))
    found = _price(process, leaves, key_words(key), times, paths=_paths(paths))
    estimates = jax.tree.unflatten(tree, [Estimate(m, e, paths) for m, e in zip(*found, strict=True)])
    # JAX sorts the keys of mappings; a caller's order is kept.
    return {name: estimates[name] for name in payoff} if isinstance(payoff, Mapping) else estimates


def greeks(
    process: Process, payoff: Payoff, *, wrt: tuple[str, ...], key: Any, paths: int, times: Any, dtype: Any = None
) -> dict[str, Estimate]:
    """The value and its derivatives by parameters of the process, path by path, each with its standard error.

    The pathwise estimator (M. Broadie and P. Glasserman, "Estimating Security Price Derivatives Using Simulation", Management
    Science 42 (1996), 269-285) by forward differentiation: unbiased where the payoff is continuous in the path; blind to jumps,
    so that digitals and barriers watched at discrete times have wrong or zero derivatives.

    Arguments:
        wrt: names of parameters, "spot" or "params.v0"; one that is an array gives derivatives of its shape.
        others: as for `price`.

    Returns: a dict with "value" and each name.

    Raises: as `price`; InputError for a name that is not a parameter of the process.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> found = mc.greeks(stock, mc.payoffs.european(strike=100.0), wrt=("spot",), key=1, paths=1_000_000, times=1.0)
    >>> abs(float(found["spot"].value) - 0.636831) < 4 * float(found["spot"].standard_error)
    True
    """
    _check_process(process)
    _check_payoff(payoff)
    times = _times(times, _dtype(dtype))
    for name in wrt:
        _parameter(process, name)
    found = _greeks(process, payoff, key_words(key), times, paths=_paths(paths), wrt=tuple(wrt))
    return {name: Estimate(found[name][0], found[name][1], paths) for name in ("value", *wrt)}


def simulate(process: Process, *, key: Any, paths: int, times: Any, dtype: Any = None) -> Any:
    """The prices of whole paths, all in memory.

    Arguments: as for `price`.

    Returns: `[paths, times]`, or `[paths, times, assets]` for a process of several assets.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2)
    >>> mc.simulate(stock, key=1, paths=3, times=[0.5, 1.0]).shape
    (3, 2)
    """
    _check_process(process)
    return _simulate(process, key_words(key), _times(times, _dtype(dtype)), paths=_paths(paths))


@functools.partial(jax.jit, static_argnames=("paths",))
def _price(process, payoffs, key, times, *, paths):
    def samples(path):
        return _present_values(process, payoffs, key, path, times)

    found = _over_blocks(samples, paths, times.dtype)
    return [e.value for e in found], [e.standard_error for e in found]


@functools.partial(jax.jit, static_argnames=("paths", "wrt"))
def _greeks(process, payoff, key, times, *, paths, wrt):
    process = _as(process, times.dtype)
    directions, names = [], []
    for name in wrt:
        leaf = _parameter(process, name)
        for index in np.ndindex(np.shape(leaf)):
            zero = jax.tree.map(jnp.zeros_like, process)
            directions.append(_replaced(zero, name, jnp.zeros_like(leaf).at[index].set(1)))
            names.append(name)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *directions)

    def samples(path):
        def values(moved):
            return _present_values(moved, [payoff], key, path, times)[0]

        # One direction after the other: side by side they make a program that takes a minute to compile.
        value, tangents = lax.map(lambda direction: jax.jvp(values, (process,), (direction,)), stacked)
        return [value[0], *tangents]

    found = _over_blocks(samples, paths, times.dtype)
    result: dict[str, Any] = {"value": (found[0].value, found[0].standard_error)}
    for name in wrt:
        shape = np.shape(_parameter(process, name))
        mine = [e for e, other in zip(found[1:], names, strict=True) if other == name]
        result[name] = tuple(
            jnp.stack(field).reshape(shape) for field in ([e.value for e in mine], [e.standard_error for e in mine])
        )
    return result


@functools.partial(jax.jit, static_argnames=("paths",))
def _simulate(process, key, times, *, paths):
    process = _as(process, times.dtype)

    def visit(carry, state, index):
        seen = process.observe(state)
        return jax.tree.map(lambda room, x: lax.dynamic_update_index_in_dim(room, x, index, 0), carry, seen)

    start = process.observe(process.initial())
    room = jax.tree.map(lambda _: jnp.zeros((times.shape[0], paths), times.dtype), start)
    _, found = run_paths(process, key, jnp.arange(paths, dtype=jnp.uint32), times, room, visit)
    return jnp.stack([x.T for x in found], axis=-1) if isinstance(found, tuple) else found.T


def _present_values(process, payoffs, key, path, times) -> list[jax.Array]:
    """The present value of every payoff on every path of a block."""
    dtype = times.dtype
    process, payoffs = _as(process, dtype), [_as(payoff, dtype) for payoff in payoffs]

    def look(state, index, time) -> Observation:
        return Observation(jnp.asarray(index, jnp.int32), time, process.discount(time, state), process.observe(state))

    now = look(initial_states(process, path, dtype), -1, jnp.zeros((), dtype))
    accounts = [payoff.start(now) for payoff in payoffs]

    def visit(accounts, state, index):
        now = look(state, index, times[index])
        return [payoff.update(account, now) for payoff, account in zip(payoffs, accounts, strict=True)]

    state, accounts = run_paths(process, key, path, times, accounts, visit)
    last = look(state, times.shape[0] - 1, times[-1])
    values = [payoff.value(account, last) for payoff, account in zip(payoffs, accounts, strict=True)]
    for value in values:
        if np.shape(value) != path.shape:
            raise InputError(
                f"payoff: its values have shape {np.shape(value)}; expected one for each path of a block, {path.shape}: "
                "a payoff works on arrays of paths, entry by entry"
            )
    return values


def _over_blocks(samples, paths: int, dtype) -> list[Estimate]:
    """Estimates of what `samples(path)` gives, a list of `[paths]`, from all paths."""
    block = min(BLOCK, paths)
    blocks = math.ceil(paths / block)
    wide = jnp.float64 if jax.config.jax_enable_x64 else dtype  # pyright: ignore[reportAttributeAccessIssue]

    def one(_, number):
        path = number.astype(jnp.uint32) * jnp.uint32(block) + jnp.arange(block, dtype=jnp.uint32)
        counted = number * block + jnp.arange(block, dtype=number.dtype) < paths
        return None, [moments(x, counted, wide) for x in samples(path)]

    index = jnp.int64 if paths >= 1 << 31 else jnp.int32
    _, parts = lax.scan(one, None, jnp.arange(blocks, dtype=index))
    return [estimate(combine(Moments(*part)), paths) for part in parts]


def _as(tree: Any, dtype: Any) -> Any:
    """Parameters as floating-point numbers of the dtype of the paths."""
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), tree)


def _parameter(process: Any, name: str) -> Any:
    found = process
    for part in name.split("."):
        if part not in _fields(found):
            raise InputError(f"wrt: {name!r} is no parameter of {type(process).__name__}; there {_listed(process)}")
        found = getattr(found, part)
    return found


def _replaced(process: Any, name: str, value: Any) -> Any:
    first, _, rest = name.partition(".")
    inner = _replaced(getattr(process, first), rest, value) if rest else value
    if hasattr(process, "_replace"):
        return process._replace(**{first: inner})
    return type(process)(**{**{field: getattr(process, field) for field in _fields(process)}, first: inner})


def _fields(node: Any) -> tuple[str, ...]:
    return tuple(getattr(node, "_fields", ())) or tuple(getattr(node, "__dataclass_fields__", ()))


def _listed(process: Any) -> str:
    names = ", ".join(_fields(process))
    return f"are {names}" if names else "are none"


def _check_process(process: Any) -> None:
    if not isinstance(process, Process):
        raise InputTypeError(
            f"process: {process!r}; expected one of monte_carlo.processes, such as GeometricBrownianMotion(...)"
        )


def _check_payoff(payoff: Any) -> None:
    if not isinstance(payoff, Payoff):
        raise InputTypeError(f"payoff: {payoff!r}; expected one of monte_carlo.payoffs, such as european(strike=100.0)")


def _payoffs(payoff: Any) -> tuple[list[Payoff], Any]:
    if not isinstance(payoff, (Mapping, tuple, list)):
        _check_payoff(payoff)
    leaves, tree = jax.tree.flatten(payoff, is_leaf=lambda x: isinstance(x, Payoff))
    for leaf in leaves:
        _check_payoff(leaf)
    if not leaves:
        raise InputError("payoff: there is none; expected at least one")
    return leaves, tree


def _paths(paths: Any) -> int:
    if isinstance(paths, bool) or not isinstance(paths, (int, np.integer)):
        raise InputTypeError(f"paths: {paths!r}; expected an integer")
    if not 1 <= paths <= _MOST_PATHS:
        raise InputError(f"paths: {paths}; expected 1 to {_MOST_PATHS} (2^32)")
    return int(paths)


def _times(times: Any, dtype: np.dtype) -> jax.Array:
    if not isinstance(times, Tracer):
        known = np.atleast_1d(np.asarray(times, np.float64))
        if known.ndim != 1 or not known.size:
            raise InputError(f"times: shape {known.shape}; expected one time or several in a row")
        wrong = np.flatnonzero(~(np.diff(known, prepend=0.0) > 0))
        if wrong.size:
            place = int(wrong[0])
            before = known[place - 1] if place else 0.0
            raise InputError(
                f"times: {known[place]} at place {place} does not come after {before}; expected increasing times > 0"
            )
        if not np.all(np.isfinite(known)):
            raise InputError("times: infinite; expected numbers of years")
    return jnp.atleast_1d(jnp.asarray(times, dtype))


def _dtype(dtype: Any) -> np.dtype:
    found = np.dtype(jnp.result_type(float) if dtype is None else dtype)
    if found not in (np.float64, np.float32):
        raise InputTypeError(f"dtype: {dtype!r}; expected float64 or float32")
    if found == np.float64 and not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise InputTypeError("dtype: float64 while JAX's 64-bit mode is off; call gpujax.configure() first")
    return found
