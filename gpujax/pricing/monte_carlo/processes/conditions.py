"""Values of parameters that are known before a call, for conditions that join several of them."""

from typing import Any

import numpy as np

__all__ = ["known"]


def known(*values: Any) -> tuple[np.ndarray, ...] | None:
    """The values as float64 arrays, or None where not all of them are numbers of Python or NumPy.

    JAX makes objects of the same class out of a process, its gradient for one, whose fields need not be parameters of any.

    >>> known(1, 2.5), known(1, jnp.float64(2.5))
    ((array(1.), array(2.5)), None)
    """
    if not all(isinstance(x, (int, float, np.ndarray, np.generic)) for x in values):
        return None
    return tuple(np.asarray(x, np.float64) for x in values)
