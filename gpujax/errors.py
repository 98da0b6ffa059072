"""The errors and warnings that gpujax raises on purpose: each names the culprit, its value and the remedy."""

__all__ = ["ConfigError", "DataError", "DeviceError", "GpujaxError", "InputError", "InputTypeError", "PrecisionWarning"]


class GpujaxError(Exception):
    """Base of every error that gpujax raises on purpose."""


class InputError(GpujaxError, ValueError):
    """An argument has an impossible value or a shape that does not fit the others."""


class InputTypeError(GpujaxError, TypeError):
    """An argument has a type or dtype that the function does not take."""


class ConfigError(GpujaxError, ValueError):
    """A configuration file or object is wrong: unknown field, wrong type, impossible value."""


class DataError(GpujaxError, ValueError):
    """A data file or message cannot be read as what it claims to be; names the file and the row."""


class DeviceError(GpujaxError, RuntimeError):
    """A device was asked for that is not there, or not able to do what was asked."""


class PrecisionWarning(UserWarning):
    """float64 data is about to be computed in float32 because 64-bit mode is off."""
