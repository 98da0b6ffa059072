"""The names of the Greeks, in one order for every model, and the container that holds them."""

from typing import NamedTuple

import jax

from gpujax.errors import InputError

__all__ = ["GREEKS", "Greeks", "select"]


class Greeks(NamedTuple):
    """Price and partial derivatives of one or more options, each an array of the options' shape.

    Derivatives are plain: per 1.00 of volatility, per year, per 1.00 of rate, per unit of spot (or forward). Those by time
    (theta, charm, veta, color) are per year of calendar time passing, which is minus the derivative by expiry: theta is
    usually negative. An entry that was not asked for, or that the model has no meaning for, is None. Market conventions
    (per day, per point) are applied by `gpujax.trading.conventions`.

    With V the price, S the spot (or forward), K the strike, σ the volatility, t calendar time, r the rate, q the dividend yield:

    | name | derivative | name | derivative |
    |---|---|---|---|
    | delta | ∂V/∂S | charm | ∂²V/∂S∂t |
    | gamma | ∂²V/∂S² | veta | ∂²V/∂σ∂t |
    | vega | ∂V/∂σ | speed | ∂³V/∂S³ |
    | theta | ∂V/∂t | zomma | ∂³V/∂S²∂σ |
    | rho | ∂V/∂r | color | ∂³V/∂S²∂t |
    | dividend_rho | ∂V/∂q | ultima | ∂³V/∂σ³ |
    | vanna | ∂²V/∂S∂σ | dual_delta | ∂V/∂K |
    | volga | ∂²V/∂σ² | dual_gamma | ∂²V/∂K² |
    """

    price: jax.Array | None = None
    delta: jax.Array | None = None
    gamma: jax.Array | None = None
    vega: jax.Array | None = None
    theta: jax.Array | None = None
    rho: jax.Array | None = None
    dividend_rho: jax.Array | None = None
    vanna: jax.Array | None = None
    volga: jax.Array | None = None
    charm: jax.Array | None = None
    veta: jax.Array | None = None
    speed: jax.Array | None = None
    zomma: jax.Array | None = None
    color: jax.Array | None = None
    ultima: jax.Array | None = None
    dual_delta: jax.Array | None = None
    dual_gamma: jax.Array | None = None


GREEKS: tuple[str, ...] = Greeks._fields


def select(values: dict[str, jax.Array], which: tuple[str, ...]) -> Greeks:
    """Keep the Greeks asked for; the compiler drops the work behind the others.

    Raises: InputError for a name that is not a Greek, or for one name in place of a tuple of names.
    """
    if isinstance(which, str):
        raise InputError(f"which: one string, {which!r}; expected a tuple of names: pass which=({which!r},)")
    unknown = [name for name in which if name not in GREEKS]
    if unknown:
        raise InputError(f"which: unknown Greek {unknown[0]!r}; choose from {', '.join(GREEKS)}")
    return Greeks(**{name: value for name, value in values.items() if name in which})
