"""Greeks of a pricing function by differentiating it: exact, for any elementwise function of market inputs."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from gpujax.pricing.greek_names import Greeks, select

__all__ = ["greeks_by_differentiation"]

# Greek: (sign, inputs differentiated by, in order); "underlying" stands for the spot or the forward
_DERIVATIVES = {
    "price": (1, ()),
    "delta": (1, ("underlying",)),
    "gamma": (1, ("underlying", "underlying")),
    "vega": (1, ("volatility",)),
    "theta": (-1, ("expiry",)),
    "rho": (1, ("rate",)),
    "dividend_rho": (1, ("dividend_yield",)),
    "vanna": (1, ("underlying", "volatility")),
    "volga": (1, ("volatility", "volatility")),
    "charm": (-1, ("underlying", "expiry")),
    "veta": (-1, ("volatility", "expiry")),
    "speed": (1, ("underlying", "underlying", "underlying")),
    "zomma": (1, ("underlying", "underlying", "volatility")),
    "color": (-1, ("underlying", "underlying", "expiry")),
    "ultima": (1, ("volatility", "volatility", "volatility")),
    "dual_delta": (1, ("strike",)),
    "dual_gamma": (1, ("strike", "strike")),
}


def greeks_by_differentiation(
    price: Callable[..., jax.Array], inputs: dict[str, jax.Array], which: tuple[str, ...], underlying: str = "spot"
) -> Greeks:
    """Greeks of an elementwise `price(**inputs)` by nested forward differentiation.

    Arguments:
        price: elementwise function of floating-point keyword arguments.
        inputs: its arguments, all of the same shape and dtype.
        which: names of Greeks; those whose inputs the function does not have stay None.
        underlying: the input that delta differentiates by.
    """
    values = {}
    known = price(**inputs)
    known = known == known  # a price that is NaN by decree has a derivative of zero: not a Greek
    for greek, (sign, names) in _DERIVATIVES.items():
        names = tuple(underlying if name == "underlying" else name for name in names)
        if greek in which and all(name in inputs for name in names):
            values[greek] = jnp.where(known, sign * _derivative(price, names)(inputs), jnp.nan)
    select({}, which)  # names the unknown ones
    return Greeks(**values)


def _derivative(price: Callable[..., jax.Array], names: tuple[str, ...]) -> Callable[[dict[str, jax.Array]], jax.Array]:
    if not names:
        return lambda inputs: price(**inputs)
    inner = _derivative(price, names[1:])

    def outer(inputs: dict[str, jax.Array]) -> jax.Array:
        def along(x: jax.Array) -> jax.Array:
            return inner({**inputs, names[0]: x})

        x = inputs[names[0]]
        return jax.jvp(along, (x,), (jnp.ones_like(x),))[1]

    return outer
