"""Logging: `GPUJAX_LOG=debug` shows what is detected, chosen and applied, on standard error."""

import logging
import os

from gpujax.errors import ConfigError

__all__ = ["start_logging"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_MARK = "gpujax-environment"


def start_logging() -> None:
    """Follow GPUJAX_LOG: give the logger "gpujax" that level and a handler of its own; without the variable, do
    nothing.

    Called by `detect` and `configure`; calling it again changes nothing. A program with its own logging leaves the
    variable unset and configures the logger "gpujax" as any other.

    Raises: ConfigError if GPUJAX_LOG names no level.
    """
    setting = os.environ.get("GPUJAX_LOG", "").strip().lower()
    if not setting:
        return
    if setting not in _LEVELS:
        raise ConfigError(f"GPUJAX_LOG is {setting!r}; expected one of {', '.join(_LEVELS)}")
    logger = logging.getLogger("gpujax")
    logger.setLevel(_LEVELS[setting])
    if not any(handler.get_name() == _MARK for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.set_name(_MARK)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
