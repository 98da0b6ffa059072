"""The batch of one call: which arguments carry it, where, and the same function over a part of it at a time.

`accelerate` treats a call as a batch of independent entries. Here are the rules by which entries are found in its arguments and
results, and nothing about devices.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpujax.errors import InputError, InputTypeError

__all__ = [
    "Batch",
    "BatchAxis",
    "Call",
    "Results",
    "check_kinds",
    "check_results",
    "find_batch",
    "find_results",
    "in_chunks",
    "named_leaves",
    "of_leaves",
    "parameter_names",
    "put_together",
    "take_apart",
    "with_batch_size",
]

BatchAxis = int | None | Mapping[str, int]


class Call(NamedTuple):
    """A call taken apart: what is traced, and what selects code.

    Fields:
        args, kwargs: the arguments that are traced, in order.
        fixed: the others, as (position or name, type, value); the type, because True and 1 are equal.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    fixed: tuple[tuple[int | str, type, Any], ...]


class Batch(NamedTuple):
    """The entries of a call: how many (None where no argument has any) and the batch axis of each traced leaf, or None."""

    size: int | None
    axes: tuple[int | None, ...]


class Results(NamedTuple):
    """The results of a call: their containers, and shape and dtype and batch axis of each leaf."""

    treedef: Any
    leaves: tuple[jax.ShapeDtypeStruct, ...]
    axes: tuple[int, ...]


def take_apart(args: tuple[Any, ...], kwargs: dict[str, Any], static: frozenset[str] | None = None) -> Call:
    """Split a call into arguments that carry data and arguments that select code.

    Data are arrays, Python floats and containers with at least one of them. Python integers and booleans are data if the function
    says which of its arguments are not; else they are taken to select a scheme or a number of steps. Everything else selects.

    Arguments:
        static: names of the arguments that select code, or None if the function does not say.

    Raises: InputTypeError for an argument that is neither, such as a list of texts.
    """
    fixed = []
    traced_args = []
    for position, value in enumerate(args):
        if _carries_data(value):
            traced_args.append(value)
        else:
            fixed.append((position, type(value), _hashable(f"argument {position}", value)))
    traced_kwargs = {}
    for name, value in kwargs.items():
        if _carries_data(value) or (static is not None and name not in static and isinstance(value, (bool, int))):
            traced_kwargs[name] = value
        else:
            fixed.append((name, type(value), _hashable(name, value)))
    return Call(tuple(traced_args), traced_kwargs, tuple(fixed))


def put_together(function: Callable[..., Any], fixed: tuple[tuple[int | str, type, Any], ...]) -> Callable[..., Any]:
    """The function of the traced arguments alone."""
    positions = [(where, value) for where, _, value in fixed if isinstance(where, int)]
    names = {where: value for where, _, value in fixed if isinstance(where, str)}

    def partial(*args: Any, **kwargs: Any) -> Any:
        whole = list(args)
        for position, value in positions:
            whole.insert(position, value)
        return function(*whole, **kwargs, **names)

    return partial


def named_leaves(function: Callable[..., Any], call: Call) -> list[tuple[str, Any]]:
    """The traced leaves of a call with the names their caller knows them by, such as `spot` or `params.kappa`."""
    taken = {where for where, _, _ in call.fixed}
    positions = [i for i in range(len(call.args) + len(call.fixed)) if i not in taken]
    parameters = [p.name for p in _parameters(function) if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = []
    for path, leaf in jax.tree_util.tree_flatten_with_path((call.args, call.kwargs))[0]:
        top = path[1]
        if isinstance(top, jax.tree_util.SequenceKey):
            position = positions[top.idx]
            name = parameters[position] if position < len(parameters) else f"argument {position}"
        else:
            name = str(top.key)
        named.append((name + jax.tree_util.keystr(path[2:]), leaf))
    return named


def of_leaves(function: Callable[..., Any], treedef: Any) -> Callable[..., Any]:
    """The function of the leaves of its arguments, `treedef` being that of `(args, kwargs)`."""

    def flat(*leaves: Any) -> Any:
        args, kwargs = jax.tree.unflatten(treedef, leaves)
        return function(*args, **kwargs)

    return flat


def parameter_names(function: Callable[..., Any]) -> list[str] | None:
    """The names of a function's parameters, or None if it takes any or does not tell."""
    parameters = _parameters(function)
    if not parameters or any(p.kind == p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters]


def find_batch(function_name: str, named: Sequence[tuple[str, Any]], batch_axis: BatchAxis) -> Batch:
    """Find the entries of a call.

    An argument is batched if it has the batch axis, and more than one entry along it; scalars and size 1 are broadcast.

    Arguments:
        function_name: for messages.
        named: traced leaves with their names.
        batch_axis: the axis, counted from the front or (negative) from the back, of all arguments; or by the name of each batched
            argument; or None, if there are no entries.

    Raises: InputError if sizes differ, naming each argument and its size.
    """
    axes = [_axis_of(name, np.ndim(leaf), batch_axis) for name, leaf in named]
    sizes = [None if axis is None else leaf.shape[axis] for axis, (_, leaf) in zip(axes, named, strict=True)]
    different = sorted({size for size in sizes if size is not None and size != 1})
    if len(different) > 1:
        listed = ", ".join(
            f"{name} has {size}" for (name, _), size in zip(named, sizes, strict=True) if size not in (None, 1)
        )
        raise InputError(
            f"{function_name}: sizes along the batch axis differ: {listed}. Give all of them the same size (or size 1, which "
            "is broadcast); if only some carry the batch, name those: batch_axis={'spot': 0, ...}"
        )
    if not different:
        return Batch(1 if 1 in sizes else None, (None,) * len(axes))
    size = different[0]
    return Batch(size, tuple(axis if n == size else None for axis, n in zip(axes, sizes, strict=True)))


def find_results(function_name: str, bound: Callable[..., Any], traced: Sequence[Any], batch: Batch) -> Results:
    """Find the batch axis of each result: the one that grows when the batch does.

    Raises: InputError if a result has no such axis: a function that sums over the batch cannot be given it in parts.
    """
    assert batch.size is not None
    now = jax.eval_shape(bound, *with_batch_size(traced, batch, batch.size))
    more = jax.eval_shape(bound, *with_batch_size(traced, batch, batch.size + 1))
    leaves, treedef = jax.tree.flatten(now)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(now)[0]]
    axes = []
    for path, leaf, larger in zip(paths, leaves, jax.tree.leaves(more), strict=True):
        growing = [axis for axis, (n, m) in enumerate(zip(leaf.shape, larger.shape, strict=False)) if n != m]
        if len(growing) != 1 or leaf.ndim != larger.ndim:
            raise InputError(_no_batch_axis(function_name, path, leaf.shape, batch.size))
        axes.append(growing[0])
    return Results(treedef, tuple(leaves), tuple(axes))


def check_kinds(function_name: str, named: Sequence[tuple[str, Any]]) -> None:
    """Raise InputTypeError, naming the argument, for a NumPy array of texts, dates or objects, which no device can hold."""
    for name, leaf in named:
        if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype.kind in "OSUmM":
            raise InputTypeError(
                f"{function_name}: {name} is a {leaf.dtype} array of shape {leaf.shape}; expected numbers or booleans: pass "
                f"{name}.astype(float)"
            )


def check_results(function_name: str, results: Any, batch: Batch) -> None:
    """Refuse, where nothing has to be split, what would be refused where it has: results without a batch axis."""
    if batch.size is None or batch.size < 2:
        return
    for path, leaf in jax.tree_util.tree_flatten_with_path(results)[0]:
        if batch.size not in np.shape(leaf):
            raise InputError(_no_batch_axis(function_name, jax.tree_util.keystr(path), np.shape(leaf), batch.size))


def with_batch_size(traced: Sequence[Any], batch: Batch, size: int) -> list[Any]:
    """The traced leaves as shapes and dtypes, with another batch size; Python numbers as they are."""
    return [
        jax.ShapeDtypeStruct(
            leaf.shape if axis is None else _resized(leaf.shape, axis, size),
            jax.dtypes.canonicalize_dtype(leaf.dtype) if isinstance(leaf, (np.ndarray, np.generic)) else leaf.dtype,
            weak_type=getattr(leaf, "weak_type", False),
        )
        if hasattr(leaf, "dtype")
        else leaf
        for leaf, axis in zip(traced, batch.axes, strict=True)
    ]


def in_chunks(bound: Callable[..., Any], batch: Batch, results: Results, size: int, chunk: int) -> Callable[..., Any]:
    """The function over `size` entries, as a loop over parts of `chunk` entries, so that temporaries are those of one part.

    The last part ends with the batch and may overlap the one before it; nothing needs padding. Returns a list of results.
    """

    def chunked(*traced: Any) -> list[jax.Array]:
        def part(index: jax.Array, written: list[jax.Array]) -> list[jax.Array]:
            start = (
                index * chunk
            )  # the slices below move a start that leaves too few entries back by as many as are missing
            pieces = [
                leaf if axis is None else lax.dynamic_slice_in_dim(leaf, start, chunk, axis)
                for leaf, axis in zip(traced, batch.axes, strict=True)
            ]
            values = jax.tree.leaves(bound(*pieces))
            return [
                lax.dynamic_update_slice_in_dim(whole, value, start, axis)
                for whole, value, axis in zip(written, values, results.axes, strict=True)
            ]

        empty = [
            jnp.zeros(_resized(leaf.shape, axis, size), leaf.dtype)
            for leaf, axis in zip(results.leaves, results.axes, strict=True)
        ]
        return lax.fori_loop(0, -(-size // chunk), part, empty)

    def whole(*traced: Any) -> list[jax.Array]:
        return jax.tree.leaves(bound(*traced))

    return whole if chunk >= size else chunked


def _no_batch_axis(function_name: str, path: str, shape: tuple[int, ...], size: int) -> str:
    """What to say of a result that does not carry the batch."""
    return (
        f"{function_name}: result{path} has shape {shape}, which does not have exactly one axis for the batch of {size}: a "
        "function that combines entries (a sum, a mean, all pairs) cannot be given them in parts. Combine them outside "
        "accelerate, or say that nothing is batched: batch_axis=None"
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some callable objects have no signature
        return []


def _carries_data(value: Any) -> bool:
    if isinstance(value, (jax.Array, np.ndarray, np.generic, float, complex)):
        return True
    if isinstance(value, (bool, int, str)) or value is None:
        return False
    return any(isinstance(leaf, (jax.Array, np.ndarray, np.generic, float, complex)) for leaf in jax.tree.leaves(value))


def _hashable(name: str, value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        raise InputTypeError(
            f"{name}: {type(value).__name__} {value!r:.60}; expected an array, a number, or a constant that selects code "
            f"(pass np.asarray({name}, dtype=float) for a list of numbers)"
        ) from None
    return value


def _axis_of(name: str, ndim: int, batch_axis: BatchAxis) -> int | None:
    axis = batch_axis.get(_top(name)) if isinstance(batch_axis, Mapping) else batch_axis
    if axis is None or not -ndim <= axis < ndim:
        return None
    return axis % ndim


def _top(name: str) -> str:
    """The argument of which a leaf is part: `params` of `params.kappa`."""
    return name.replace("[", ".").split(".")[0]


def _resized(shape: tuple[int, ...], axis: int, size: int) -> tuple[int, ...]:
    return (*shape[:axis], size, *shape[axis + 1 :])
