"""The least precision that does no harm: what float32 paths would change, measured against the error that there is anyway.

Paths in float32 and float64 from the same words are nearly the same paths, so that the mean of their differences is known far
better than the price itself: a pilot of some 10^4 paths measures a bias of 10^-4 standard errors of a run of 10^8.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gpujax.errors import InputError, InputTypeError
from gpujax.pricing.monte_carlo.arguments import check_process, flat_payoffs, make_grid, path_count
from gpujax.pricing.monte_carlo.blocks import Plan, make_plan, moments_of_blocks
from gpujax.pricing.monte_carlo.engine import Inputs, make_inputs, present_values
from gpujax.pricing.monte_carlo.methods import Method, PseudoRandom
from gpujax.pricing.monte_carlo.parameters import as_dtype
from gpujax.pricing.monte_carlo.process import Process
from gpujax.pricing.monte_carlo.statistics import combine, estimates

__all__ = ["Precision", "choose_dtype", "measure_precision"]

# Of the standard error: what the bias of float32 may be.
_BUDGET = 0.1


class Precision(NamedTuple):
    """What float32 paths would change; `print` shows it.

    Fields:
        dtype: "float32" where |bias| + 2 bias_error stays under a tenth of the standard error, else "float64".
        bias: mean of the float32 less the float64 present value, of the payoff for which it is largest in relation to the error.
        bias_error: one standard deviation of `bias`.
        standard_error: that of the run in question.
        pilot: paths that were compared.
    """

    dtype: str
    bias: float
    bias_error: float
    standard_error: float
    pilot: int

    def __str__(self) -> str:
        share = (abs(self.bias) + 2 * self.bias_error) / self.standard_error if self.standard_error else np.inf
        verdict = "under" if self.dtype == "float32" else "over"
        return (
            f"{self.dtype}: float32 paths shift the value by {self.bias:.2g} ± {self.bias_error:.1g} (on {self.pilot:,} paths); "
            f"at most {share:.2g} standard errors of {self.standard_error:.2g}, {verdict} a tenth"
        )


def measure_precision(
    process: Process,
    payoff: Any,
    *,
    key: Any,
    times: Any,
    paths: int | None = None,
    standard_error: float | None = None,
    pilot: int = 1 << 15,
    drift: Any = None,
    max_step: float | None = None,
) -> Precision:
    """Whether float32 paths would do for a run, by comparing them with float64 paths from the same random words.

    Arguments:
        paths: those of the run, for its standard error; or
        standard_error: the error itself, where a method makes it smaller than that of independent paths.
        pilot: how many paths are compared.
        others: as for `price`. With several payoffs the one that needs most decides.

    Raises: InputError as `price`, or where neither paths nor standard_error is given; InputTypeError without 64-bit mode.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> stock = mc.processes.GeometricBrownianMotion(spot=100.0, volatility=0.2, rate=0.05)
    >>> measure_precision(stock, mc.payoffs.european(strike=100.0), key=1, times=1.0, paths=1_000_000).dtype
    'float32'
    """
    check_process(process)
    leaves, _ = flat_payoffs(payoff)
    if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        raise InputTypeError(
            "dtype: float64 is not to be had while JAX's 64-bit mode is off; call gpujax.configure() first"
        )
    if (paths is None) == (standard_error is None):
        raise InputError(f"paths: {paths}, standard_error: {standard_error}; expected one of the two")
    method: Method = PseudoRandom()
    grid = make_grid(times, process, np.dtype(np.float64), max_step)
    inputs = make_inputs(process, leaves, key, grid, None, drift)
    plan = make_plan(process, method, path_count(pilot, "pilot"), grid, inputs, devices=())
    found, errors = (np.asarray(x) for x in _differences(inputs, plan=plan))
    count = len(leaves)
    bias, bias_error, error = found[count:], errors[count:], errors[:count]
    error = np.full(count, standard_error) if paths is None else error * np.sqrt(pilot / path_count(paths))
    used = np.abs(bias) + 2 * bias_error
    worst = int(np.argmax(used / np.maximum(error, np.finfo(float).tiny)))
    enough = bool(np.all(used <= _BUDGET * error))
    return Precision(
        "float32" if enough else "float64", float(bias[worst]), float(bias_error[worst]), float(error[worst]), pilot
    )


def choose_dtype(dtype: Any, process: Process, payoff: Any, **run: Any) -> Any:
    """The dtype, where it is not "auto"; else the one that `measure_precision` finds."""
    if not (isinstance(dtype, str) and dtype == "auto"):
        return dtype
    return measure_precision(process, payoff, **run).dtype


@functools.partial(jax.jit, static_argnames=("plan",))
def _differences(inputs: Inputs, *, plan: Plan) -> tuple[jax.Array, jax.Array]:
    def sampler(inputs: Inputs, path: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
        narrow = as_dtype((inputs.times, inputs.drift), np.float32)
        double = present_values(inputs, plan, path)
        single = present_values(inputs._replace(times=narrow[0], drift=narrow[1]), plan, path)
        return [*double, *(s.astype(np.float64) - d for s, d in zip(single, double, strict=True))], []

    parts = moments_of_blocks(sampler, inputs, plan)
    return estimates(combine(parts), jnp.zeros(0, parts.mean.dtype))
