r"""Regressors of the value of waiting: what it may depend on, and polynomials of that.

The value of waiting is fitted by a sum $\sum_j c_j \psi_j(x)$ over functions of what is known on the date. The variables are
first brought to mean zero and variance one over the paths in the money, date by date, so that "power", "hermite" and "chebyshev"
polynomials of one degree, which span the same space, give the same policy but for rounding. "laguerre" spans another one.

Sources: F. A. Longstaff and E. S. Schwartz, "Valuing American Options by Simulation: A Simple Least-Squares Approach", Review of
Financial Studies 14 (2001), 113-147; P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 8.6.
"""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp

from gpujax.errors import InputError, InputTypeError

__all__ = ["Basis", "Seen", "polynomial"]

FAMILIES = ("power", "hermite", "chebyshev", "laguerre")


class Seen(NamedTuple):
    """What a decision may depend on.

    Fields:
        spot: the price, `[paths]`, or a tuple of them, one for each asset.
        exercise: what exercise pays on the date, `[paths]`.
        state: of the process, a pytree of `[paths]` or `[n, paths]`: prices and what moves them, such as a variance.
        account: of the payoff, what it keeps of the past, such as a running sum.
    """

    spot: Any
    exercise: jax.Array
    state: Any
    account: Any


Variables = Callable[[Seen], Sequence[jax.Array]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Basis:
    """Regressors: polynomials of some variables. Selects code, so that equal bases share a program.

    Fields:
        variables: gives the variables, each `[paths]`, from what is `Seen`.
        degree: the highest total degree, at least 1.
        family: of polynomials.
    """

    variables: Variables
    degree: int = 1
    family: str = "power"

    @property
    def of_prices(self) -> bool:
        """Whether the variables are known to be functions of prices and exercise values alone."""
        inner = self.variables.variables if isinstance(self.variables, _WithExercise) else self.variables
        return inner in (_spots, _sorted_spots)

    def centred(self) -> bool:
        """Whether polynomials are of (x - mean) / deviation; Laguerre's, which live on x > 0, are of x / mean instead."""
        return self.family != "laguerre"

    def functions(self, variables: Sequence[jax.Array]) -> list[jax.Array]:
        """The regressors but for the constant, low degrees first."""
        each = [_FAMILIES[self.family](x, self.degree) for x in variables]
        found = []
        for total in range(1, self.degree + 1):
            for chosen in itertools.combinations_with_replacement(range(len(each)), total):
                factors = [each[i][chosen.count(i)] for i in sorted(set(chosen))]
                product = factors[0]
                for factor in factors[1:]:
                    product = product * factor
                found.append(product)
        return found


def polynomial(
    degree: int = 3,
    *,
    of: Literal["spot", "sorted", "state"] | Variables = "spot",
    family: Literal["power", "hermite", "chebyshev", "laguerre"] = "hermite",
    exercise: bool = False,
) -> Basis:
    """All polynomials up to a total degree, with cross products.

    Arguments:
        degree: at least 1; of d variables there are (d + degree)! / (d! degree!) regressors, the constant counted.
        of: "spot", the prices that the process shows; "sorted", these from the highest to the lowest, for options on the best or
            the worst of several alike assets; "state", all that the process keeps, so that a random variance counts; or a
            function of what is `Seen` that gives a sequence of arrays `[paths]`. Define it once: every new function compiles
            anew.
        family: "power", "hermite", "chebyshev", which differ by rounding only; "laguerre", weighted by e^(-x/2) as Longstaff
            and Schwartz do, for variables > 0.
        exercise: whether what exercise pays is one more variable. It adds nothing where it is a linear function of the others
            in the money.

    Raises: InputError for a degree below 1 or an unknown name.

    >>> basis = polynomial(2, of="sorted")
    >>> seen = Seen(spot=(jnp.array([1.0]), jnp.array([3.0])), exercise=jnp.array([0.0]), state=(), account=())
    >>> [float(x[0]) for x in basis.variables(seen)], len(basis.functions(basis.variables(seen)))
    ([3.0, 1.0], 5)
    """
    if isinstance(degree, bool) or not isinstance(degree, int) or degree < 1:
        raise InputError(f"degree: {degree!r}; expected an integer from 1")
    if family not in FAMILIES:
        raise InputError(f"family: {family!r}; expected one of {', '.join(map(repr, FAMILIES))}")
    if not callable(of) and of not in _VARIABLES:
        raise InputError(f"of: {of!r}; expected 'spot', 'sorted', 'state' or a function of what is Seen")
    variables = _VARIABLES[of] if isinstance(of, str) else of
    return Basis(variables=_WithExercise(variables) if exercise else variables, degree=degree, family=family)


def as_basis(basis: Any) -> Basis:
    """A basis, from one or from a function whose values are the regressors themselves."""
    if isinstance(basis, Basis):
        return basis
    if callable(basis):
        return Basis(variables=cast(Variables, basis))
    raise InputTypeError(
        f"basis: {basis!r}; expected bases.polynomial(...), or a function of what is Seen that gives a list of regressors"
    )


def default_basis(assets: int, states: int, kept: int) -> Basis:
    """Cubics of one or two variables, quadratics of more: of the state where it knows more than the prices.

    Arguments: how many prices a path shows, how many numbers its state is made of, and how many the payoff's account keeps.
    """
    exercise = kept > 0 or assets > 1
    count = max(assets, states) + exercise
    return polynomial(3 if count <= 2 else 2, of="state" if states > assets else "spot", exercise=exercise)


def rows(tree: Any) -> list[jax.Array]:
    """The leaves of a pytree of `[paths]` and `[..., paths]`, one row after the other."""
    return [row for leaf in jax.tree.leaves(tree) for row in leaf.reshape(-1, leaf.shape[-1])]


@dataclasses.dataclass(frozen=True)
class _WithExercise:
    """The exercise value first: of variables that depend on each other, it is the one to keep."""

    variables: Variables

    def __call__(self, seen: Seen) -> list[jax.Array]:
        return [seen.exercise, *self.variables(seen)]


def _spots(seen: Seen) -> list[jax.Array]:
    return list(seen.spot) if isinstance(seen.spot, tuple) else [seen.spot]


def _sorted_spots(seen: Seen) -> list[jax.Array]:
    return _descending(_spots(seen))


def _states(seen: Seen) -> list[jax.Array]:
    return rows(seen.state)


def _descending(x: list[jax.Array]) -> list[jax.Array]:
    """Sorted across the list, entry by entry: exchanges of neighbours, which fuse, where a sort would not."""
    x = list(x)
    for end in range(len(x) - 1, 0, -1):
        for i in range(end):
            x[i], x[i + 1] = jnp.maximum(x[i], x[i + 1]), jnp.minimum(x[i], x[i + 1])
    return x


def _powers(x: jax.Array, degree: int) -> list[jax.Array]:
    found = [jnp.ones_like(x), x]
    while len(found) <= degree:
        found.append(found[-1] * x)
    return found


def _hermite(x: jax.Array, degree: int) -> list[jax.Array]:
    """He_n, orthogonal under the standard normal density."""
    found = [jnp.ones_like(x), x]
    while len(found) <= degree:
        found.append(x * found[-1] - (len(found) - 1) * found[-2])
    return found


def _chebyshev(x: jax.Array, degree: int) -> list[jax.Array]:
    found = [jnp.ones_like(x), x]
    while len(found) <= degree:
        found.append(2 * x * found[-1] - found[-2])
    return found


def _laguerre(x: jax.Array, degree: int) -> list[jax.Array]:
    """1 and e^(-x/2) L_{n-1}: Longstaff and Schwartz (2001), equation 4, whose constant comes besides."""
    weight = jnp.exp(-0.5 * x)
    found = [jnp.ones_like(x), 1 - x]
    while len(found) < degree:
        n = len(found) - 1
        found.append(((2 * n + 1 - x) * found[-1] - n * found[-2]) / (n + 1))
    return [jnp.ones_like(x), *(weight * polynomial for polynomial in found[:degree])]


_FAMILIES = {"power": _powers, "hermite": _hermite, "chebyshev": _chebyshev, "laguerre": _laguerre}
_VARIABLES: dict[str, Variables] = {"spot": _spots, "sorted": _sorted_spots, "state": _states}
