r"""Short rates: Vasicek and Hull-White, exact, and Cox-Ingersoll-Ross. Payoffs see the rate and are discounted along the path.

The state is the rate r and its integral since time zero; what one paid at t is worth today on a path is
$e^{-\int_0^t r\,ds}$. Both are drawn together: for a normal rate, given both ends of a step, the integral is normal with

$$ \mathrm{E} \int_t^{t+\Delta} r\,ds = \theta\Delta + (r_t + r_{t+\Delta} - 2\theta)\,\Delta\,\tau(\kappa\Delta), \quad
   \mathrm{Var} = \sigma^2 \Delta^3 \eta(\kappa\Delta), \quad
   \tau(x) = \frac{\tanh(x/2)}{x}, \quad \eta(x) = \frac{x - 2\tanh(x/2)}{x^3}, $$

so steps may be of any length. To see a zero-coupon bond instead of the rate, or options on it:

    payoffs.on(lambda r: model.bond(r, 1.0, 5.0), payoffs.european(strike=0.8))

Sources: O. Vasicek, "An Equilibrium Characterization of the Term Structure", Journal of Financial Economics 5 (1977), 177-188;
J. Hull, A. White, "Pricing Interest-Rate-Derivative Securities", Review of Financial Studies 3 (1990), 573-592; J. C. Cox,
J. E. Ingersoll, S. A. Ross, "A Theory of the Term Structure of Interest Rates", Econometrica 53 (1985), 385-407. The moments:
P. Glasserman, "Monte Carlo Methods in Financial Engineering" (2003), section 3.3.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gpujax.errors import InputError
from gpujax.numerics.polynomial import evaluate
from gpujax.pricing.monte_carlo.parameters import as_dtype, parameters
from gpujax.pricing.monte_carlo.processes import square_root
from gpujax.pricing.monte_carlo.processes.bounds import check_bounds
from gpujax.pricing.monte_carlo.processes.mean_reverting import relaxation, reverted

__all__ = ["CoxIngersollRoss", "HullWhite", "Vasicek"]


@parameters()
class Vasicek:
    r"""The normal short rate that returns to a constant mean; exact. Payoffs see the rate.

    $$ dr = \kappa(\theta - r)\,dt + \sigma\,dW $$

    Arguments:
        rate: the short rate now, continuously compounded; may be negative.
        kappa: speed of mean reversion, per year. Any number: zero is a Brownian motion (Ho and Lee, without their drift).
        theta: the mean under the pricing measure.
        sigma: >= 0, per year to the power 3/2: 0.01 moves the rate by a standard deviation of one per cent in the first year.

    Raises: InputError for numbers out of these bounds.

    >>> from gpujax.pricing import monte_carlo as mc
    >>> model = Vasicek(rate=0.03, kappa=0.5, theta=0.05, sigma=0.01)
    >>> one = mc.payoffs.of_path(lambda path: jnp.ones_like(path[0]), times=1)
    >>> paid = mc.price(model, one, key=1, paths=100_000, times=5.0)
    >>> bool(abs(paid.value - model.bond(0.03, 0.0, 5.0)) < 4 * paid.standard_error)
    True
    """

    rate: Any
    kappa: Any
    theta: Any
    sigma: Any

    def __post_init__(self):
        check_bounds(
            rate=(self.rate, "finite"), kappa=(self.kappa, "finite"), theta=(self.theta, "finite"), sigma=(self.sigma, ">= 0")
        )  # fmt: skip

    @property
    def normals(self) -> int:
        return 2

    def initial(self):
        return self.rate, jnp.zeros_like(jnp.asarray(self.rate))

    def advance(self, state, time, step, draws):
        rate, integral = state
        after = reverted(rate, self.kappa, self.theta, self.sigma, step, draws[0])
        gained = _integral(rate - self.theta, after - self.theta, self.kappa, self.sigma, step, draws[1])
        return after, integral + (self.theta * step + gained)

    def observe(self, state):
        return state[0]

    def discount(self, time, state):
        return jnp.exp(-state[1])

    def bond(self, rate: Any, time: Any, maturity: Any) -> jax.Array:
        """What one paid at `maturity` is worth at `time` where the short rate is `rate` (Vasicek 1977, equation 27).

        Arguments: any shapes that broadcast; times in years, maturity >= time.
        """
        rate, time, maturity = _alike(rate, time, maturity)
        same = as_dtype(self, rate.dtype)
        term = maturity - time
        mean, half_variance = term * relaxation(same.kappa * term), 0.5 * _variance(same.kappa, same.sigma, term)
        return jnp.exp(half_variance - same.theta * term - (rate - same.theta) * mean)


@parameters()
class CoxIngersollRoss:
    r"""The square-root short rate, which is never negative. Payoffs see the rate.

    $$ dr = \kappa(\theta - r)\,dt + \sigma\sqrt{r}\,dW $$

    The rate is drawn from its exact law at every time (see `square_root`); its integral over a step is the trapezoid of both
    ends, so discount factors have weak order two in the step, and are the only thing that depends on it.

    Arguments:
        rate: the short rate now, continuously compounded, >= 0.
        kappa: speed of mean reversion, > 0, per year.
        theta: the mean under the pricing measure, >= 0.
        sigma: > 0, volatility of the square root's noise, per year. Where 2 κ θ < σ² (Feller's condition fails) the rate touches
            zero, exactly as often as it should.

    Raises: InputError for numbers out of these bounds.

    >>> model = CoxIngersollRoss(rate=0.03, kappa=0.5, theta=0.05, sigma=0.1)
    >>> model.bond(0.03, 0.0, jnp.array([1.0, 10.0])).round(6)
    Array([0.966355, 0.634987], dtype=float64)
    """

    rate: Any
    kappa: Any
    theta: Any
    sigma: Any

    def __post_init__(self):
        check_bounds(
            rate=(self.rate, ">= 0"), kappa=(self.kappa, "> 0"), theta=(self.theta, ">= 0"), sigma=(self.sigma, "> 0")
        )

    @property
    def normals(self) -> int:
        return square_root.NORMALS

    @property
    def uniforms(self) -> int:
        return square_root.UNIFORMS

    def initial(self):
        return self.rate, jnp.zeros_like(jnp.asarray(self.rate))

    def advance(self, state, time, step, draws):
        rate, integral = state
        after = square_root.square_root_step(rate, self.kappa, self.theta, self.sigma, step, draws)
        return after, integral + (0.5 * step) * (rate + after)

    def observe(self, state):
        return state[0]

    def discount(self, time, state):
        return jnp.exp(-state[1])

    def bond(self, rate: Any, time: Any, maturity: Any) -> jax.Array:
        """What one paid at `maturity` is worth at `time` where the short rate is `rate` (Cox, Ingersoll, Ross 1985, equation 23).

        Arguments: any shapes that broadcast; times in years, maturity >= time.
        """
        rate, time, maturity = _alike(rate, time, maturity)
        same = as_dtype(self, rate.dtype)
        term = maturity - time
        gamma = jnp.sqrt(same.kappa * same.kappa + 2 * same.sigma * same.sigma)
        grown = -jnp.expm1(-gamma * term)  # the paper's e^(γτ) - 1, times e^(-γτ)
        below = 2 * gamma + (same.kappa - gamma) * grown
        power = 2 * same.kappa * same.theta / (same.sigma * same.sigma)
        logarithm = power * (jnp.log(2 * gamma / below) + 0.5 * (same.kappa - gamma) * term)
        return jnp.exp(logarithm - 2 * grown / below * rate)


@parameters()
class HullWhite:
    r"""The normal short rate fitted to a discount curve (extended Vasicek); exact. Payoffs see the rate.

    $$ r = x + \alpha(t), \qquad dx = -\kappa x\,dt + \sigma\,dW, \quad x_0 = 0, \qquad
       \alpha(t) = f(0, t) + \frac{\sigma^2}{2} \Bigl(\frac{1 - e^{-\kappa t}}\kappa\Bigr)^2 $$

    Arguments:
        kappa: speed of mean reversion, per year. Any number: zero gives Ho and Lee's model.
        sigma: >= 0, per year to the power 3/2.
        curve_times: `[nodes]`, increasing and > 0, in years.
        zero_rates: `[nodes]`, continuously compounded, for these times: the discount factors are P(t) = exp(-z t). Lists of
            numbers, here and there, become arrays.

    Between the nodes the forward rate f(0, t) is constant (the logarithm of the discount factor is linear in time); before the
    first and after the last node it is that of the nearest piece. The expectation of the discount factor is P(t) at every time,
    on a node or not. Derivatives by `zero_rates` are the sensitivities to the curve's nodes.

    Raises: InputError for times that do not increase from above zero, rates of another shape, numbers out of their bounds; from
        numbers known before the call.

    >>> model = HullWhite(kappa=0.1, sigma=0.01, curve_times=[1.0, 2.0, 5.0], zero_rates=[0.02, 0.025, 0.03])
    >>> model.bond(0.02, 0.0, jnp.array([1.0, 2.0, 3.5])).round(6)
    Array([0.980199, 0.951229, 0.904837], dtype=float64)

    Source: Hull and White (1990); in this form D. Brigo, F. Mercurio, "Interest Rate Models: Theory and Practice" (2006),
    section 3.3.
    """

    kappa: Any
    sigma: Any
    curve_times: Any
    zero_rates: Any

    def __post_init__(self):
        for name in ("curve_times", "zero_rates"):
            given = getattr(self, name)
            # A list would be as many parameters as it has numbers.
            if isinstance(given, (list, tuple)) and all(isinstance(x, (int, float, np.generic)) for x in given):
                object.__setattr__(self, name, np.asarray(given, np.float64))
        check_bounds(kappa=(self.kappa, "finite"), sigma=(self.sigma, ">= 0"), zero_rates=(self.zero_rates, "finite"))
        if isinstance(self.curve_times, (list, tuple, np.ndarray, jax.Array)) and not isinstance(
            self.curve_times, Tracer
        ):
            _check_curve(self.curve_times, self.zero_rates)

    @property
    def normals(self) -> int:
        return 2

    def initial(self):
        now = jnp.asarray(self.zero_rates)[0]
        return now, jnp.zeros_like(now)

    def advance(self, state, time, step, draws):
        rate, integral = state
        later = time + step
        x = rate - self._shift(time)
        after = reverted(x, self.kappa, jnp.zeros_like(step), self.sigma, step, draws[0])
        gained = _integral(x, after, self.kappa, self.sigma, step, draws[1])
        return after + self._shift(later), integral + ((self._area(later) - self._area(time)) + gained)

    def observe(self, state):
        return state[0]

    def discount(self, time, state):
        return jnp.exp(-state[1])

    def bond(self, rate: Any, time: Any, maturity: Any) -> jax.Array:
        """What one paid at `maturity` is worth at `time` where the short rate is `rate`.

        Arguments:
            rate: any shape.
            time, maturity: in years, maturity >= time; any shapes that broadcast with it.
        """
        rate, time, maturity = _alike(rate, time, maturity)
        same = as_dtype(self, rate.dtype)
        term = maturity - time
        mean = term * relaxation(same.kappa * term)
        half_variance = 0.5 * _variance(same.kappa, same.sigma, term)
        fall = same._area(maturity) - same._area(time) + (rate - same._shift(time)) * mean
        return jnp.exp(half_variance - fall)

    def _shift(self, time: jax.Array) -> jax.Array:
        """α(t)."""
        pulled = self.sigma * time * relaxation(self.kappa * time)
        return self._curve(time)[1] + 0.5 * pulled * pulled

    def _area(self, time: jax.Array) -> jax.Array:
        """The integral of α from time zero."""
        return self._curve(time)[0] + 0.5 * _variance(self.kappa, self.sigma, time)

    def _curve(self, time: jax.Array) -> tuple[jax.Array, jax.Array]:
        """-ln P(t) and the forward rate at t, on a node that of the piece after it."""
        nodes = jnp.asarray(self.curve_times, time.dtype)
        logs = jnp.asarray(self.zero_rates, time.dtype) * nodes
        zero = jnp.zeros(1, time.dtype)
        starts, values = jnp.concatenate([zero, nodes[:-1]]), jnp.concatenate([zero, logs[:-1]])
        forwards = (logs - values) / (nodes - starts)
        # A time that is a node but for its rounding is that node: all that is computed for it must see the same piece.
        near = time * (1 + 16 * float(jnp.finfo(time.dtype).eps))
        piece = jnp.sum(near[..., None] >= nodes[:-1].reshape((1,) * time.ndim + (-1,)), axis=-1)
        return values[piece] + forwards[piece] * (time - starts[piece]), forwards[piece]


def _integral(x: jax.Array, after: jax.Array, kappa, sigma, step, z: jax.Array) -> jax.Array:
    """The integral of an Ornstein-Uhlenbeck process about zero over a step, given both ends and a standard normal number."""
    deviation = sigma * step * jnp.sqrt(step * _bridge(kappa * step))
    return (step * _trapezoid(kappa * step)) * (x + after) + deviation * z


def _variance(kappa, sigma, term) -> jax.Array:
    """The variance of the integral over a term: that given both ends, and that of its mean."""
    x = kappa * term
    mean = relaxation(x)
    return sigma * sigma * term * term * term * (_bridge(x) + 0.5 * mean * mean * mean / (1 + jnp.exp(-x)))


def _trapezoid(x: jax.Array) -> jax.Array:
    """τ(x) = tanh(x / 2) / x, 1/2 at zero."""
    return relaxation(x) / (1 + jnp.exp(-x))


def _bridge(x: jax.Array) -> jax.Array:
    """η(x) = (x - 2 tanh(x / 2)) / x³, 1/12 at zero."""
    near = jnp.abs(x) < 0.5
    away = jnp.where(near, jnp.ones_like(x), x)
    square = jnp.where(near, x * x, jnp.zeros_like(x))
    return jnp.where(near, evaluate(_TANH, square), (1 - 2 * _trapezoid(away)) / (away * away))


# From the Taylor series of tanh, in powers of x², whose radius is π²: what is left out is 1e-16 at x = 1/2.
_TANH = (
    -9.242570835999919e-11, 9.122051782362079e-10, -9.003104262475371e-09, 8.885707928780019e-08, -8.769843839288284e-07,
    8.655503447170115e-06, -8.542768959435626e-05, 0.0008432539682539683, -0.008333333333333333, 0.08333333333333333,
)  # fmt: skip


def _alike(rate: Any, *times: Any) -> tuple[jax.Array, ...]:
    """The rate and times as arrays of one dtype: that of the rate, if it is an array of JAX."""
    dtype = rate.dtype if isinstance(rate, jax.Array) else jnp.result_type(float)
    return tuple(jnp.asarray(x, dtype) for x in (rate, *times))


def _check_curve(times: Any, rates: Any) -> None:
    known = np.asarray(times, np.float64)
    if known.ndim != 1 or not known.size:
        raise InputError(f"curve_times: shape {known.shape}; expected one time or several in a row, shape (nodes,)")
    if not np.all(np.isfinite(known)) or np.any(np.diff(known, prepend=0.0) <= 0):
        raise InputError(f"curve_times: {known.tolist()}; expected increasing times > 0, in years")
    if np.shape(rates) != known.shape:
        raise InputError(f"zero_rates: shape {np.shape(rates)}; expected {known.shape}, one for each of curve_times")
