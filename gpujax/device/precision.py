"""The precision policy: in which floating dtype a function computes, whatever dtype its caller's arrays have.

The configuration's `pricing_dtype` is what a computation runs in; the caller's dtype is what comes back. So a policy of float32
on a GPU with slow float64 takes and gives float64 arrays at seven digits: a choice that the configuration states and explains
(`config.why["pricing_dtype"]`). What nobody chose, float64 arrays rounded because JAX's 64-bit mode is off, is said aloud, once.
"""

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.device.config import DeviceConfig
from gpujax.errors import PrecisionWarning

__all__ = ["compute_dtype", "warn_if_rounded", "with_precision"]

_warned = False


def compute_dtype(config: DeviceConfig) -> np.dtype:
    """The dtype in which pricing runs: the policy's, or float32 while JAX's 64-bit mode is off."""
    wanted = np.dtype(config.pricing_dtype)
    return wanted if jax.config.jax_enable_x64 else np.dtype(np.float32)  # pyright: ignore[reportAttributeAccessIssue]


def with_precision(function: Callable[..., Any], config: DeviceConfig) -> Callable[..., Any]:
    """The function under the policy: floating inputs cast to its dtype, floating results cast back to the inputs'.

    Arguments:
        function: takes and returns arrays or nested containers (tuples, NamedTuples, dicts) of them.
        config: `pricing_dtype` is the dtype to compute in, `matmul_precision` that of matrix products.

    Returns: a pure function of the same arguments, which may be compiled, mapped and differentiated. Booleans, integers, complex
        numbers, random keys and Python numbers are left as they are. Results have the inputs' widest floating dtype. Where
        inputs already have the policy's dtype, nothing is cast.

    Edges: casting to float32 turns magnitudes above 3.4e38 into infinity and those below 1e-45 into zero. With 64-bit mode off
        float64 does not exist: inputs and results are float32 (see `warn_if_rounded`).

    >>> from gpujax.device import DeviceConfig
    >>> half = with_precision(lambda x: x / 3, DeviceConfig(pricing_dtype="float32", accumulation_dtype="float32"))
    >>> half(np.ones(1, np.float16)).dtype
    dtype('float16')
    """

    @functools.wraps(function)
    def precise(*args: Any, **kwargs: Any) -> Any:
        dtype = compute_dtype(config)
        given = {leaf.dtype for leaf in jax.tree.leaves((args, kwargs)) if _is_floating(leaf)}
        with jax.default_matmul_precision(config.matmul_precision):
            if all(jax.dtypes.canonicalize_dtype(other) == dtype for other in given):
                return function(*args, **kwargs)
            args, kwargs = jax.tree.map(lambda leaf: _cast(leaf, dtype), (args, kwargs))
            results = function(*args, **kwargs)
        with jax.numpy_dtype_promotion("standard"):
            original = jnp.result_type(*given)
        return jax.tree.map(lambda leaf: _cast(leaf, original), results)

    return precise


def warn_if_rounded(
    name: str, leaves: Callable[[], Iterable[tuple[str, Any]]], config: DeviceConfig, *, stacklevel: int = 2
) -> None:
    """Warn, once per process, if float64 data is about to be rounded to float32 without anyone having chosen that.

    Arguments:
        name: the function that is called, for the message.
        leaves: gives the arguments' names and values; not called unless a warning may be due.
        config: a policy of float32 is such a choice, and silences the warning.
    """
    global _warned
    if _warned or config.pricing_dtype == "float32" or jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        return
    rounded = [
        label for label, leaf in leaves() if isinstance(leaf, (np.ndarray, np.generic)) and leaf.dtype == np.float64
    ]
    if rounded:
        _warned = True
        warnings.warn(
            f"{name}: {', '.join(rounded)} came as float64 but JAX's 64-bit mode is off, so the computation runs in float32 "
            "(about 7 digits). Call gpujax.configure() first, before any other computation, to get float64; or set "
            "pricing_dtype to float32, or pass float32 arrays, to say that float32 is what you want. This is said once per "
            "process.",
            PrecisionWarning,
            stacklevel=stacklevel + 1,
        )


def _is_floating(leaf: Any) -> bool:
    """Whether a leaf carries real floating data with a dtype of its own (a Python number adapts to the others)."""
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and not getattr(leaf, "weak_type", False)


def _cast(leaf: Any, dtype: Any) -> Any:
    return jnp.asarray(leaf).astype(dtype) if _is_floating(leaf) and leaf.dtype != dtype else leaf
