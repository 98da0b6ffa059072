"""The device configuration: what runs where, in which precision, with how much memory, and why.

A `DeviceConfig` is an immutable record that is normally chosen from the hardware (`gpujax.device.choose`), may be
written to YAML, edited and read back (`to_yaml`, `from_yaml`), and is put into force by `gpujax.configure`. It holds
decisions only: facts are in `hardware.py`, measured speeds in `card.py`.
"""

import dataclasses
import difflib
import os
import reprlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from gpujax.device import config_file
from gpujax.device.config_fields import (
    Unsuitable,
    boolean,
    count_or_none,
    device_ids_of,
    field,
    mesh_axes_of,
    one_of,
    path_or_none,
    share,
)
from gpujax.errors import ConfigError

__all__ = ["DeviceConfig"]

Locate = Callable[[str], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """What runs where, in which precision, with how much memory; immutable, every field with a reason in `why`.

    Fields:
        platform: where computations run: "cpu", "gpu" or "tpu".
        device_ids: numbers of the devices to use, from 0, among those that CUDA_VISIBLE_DEVICES and the like leave
            visible. On several hosts, those of each host.
        mesh_axes: names and sizes of the axes into which the devices are arranged, such as `(("batch", 8),)`; their
            product is the number of devices (times the number of hosts).
        parallelism: how a batch is spread over devices: "shard_map", "pmap", or "none" (first device only).
        pricing_dtype: "float64" or "float32", for pricing and risk.
        model_dtype: "float32", "bfloat16" or "float16", for the arithmetic of neural networks.
        accumulation_dtype: "float64" or "float32", in which sums over many terms are kept; at least as wide as
            pricing_dtype.
        matmul_precision: "highest", "high" or "default", of float32 matrix products.
        random_implementation: JAX's name of the generator of random numbers.
        memory_fraction: share of an accelerator's memory that JAX may take, in (0, 1].
        preallocate: whether to hold on to memory: JAX takes a GPU's share at once rather than as needed; on a CPU what
            a computation frees is kept for the next one rather than returned to the operating system.
        batch_margin: share of a device's free memory that one chunk of a batch may take, in (0, 1].
        batch_limit: most elements in one chunk, or None for no limit but memory.
        rematerialisation: "none", or "blocks" to recompute blocks of a model in the backward pass instead of storing
            them.
        compilation_cache: directory in which compiled programs are kept between runs, or None for none.
        why: one reason per field; missing reasons are filled in.

    Raises: ConfigError, which names the field, its value and what would do, for a value of the wrong type or an
        impossible one, or for two fields that contradict each other.

    >>> config = DeviceConfig(platform="cpu", pricing_dtype="float64")
    >>> config.parallelism
    'none'
    >>> DeviceConfig.from_yaml(config.to_yaml()) == config
    True
    """

    platform: str = field("cpu", one_of("cpu", "gpu", "tpu"), "where computations run: cpu, gpu or tpu")
    device_ids: tuple[int, ...] = field((0,), device_ids_of, "numbers of the devices to use, among the visible ones")
    mesh_axes: tuple[tuple[str, int], ...] = field(
        (("batch", 1),),
        mesh_axes_of,
        "axes into which the devices are arranged; the sizes multiply to the number of devices",
    )
    parallelism: str = field(
        "none", one_of("none", "pmap", "shard_map"), "how a batch is spread over devices: shard_map, pmap or none"
    )
    pricing_dtype: str = field("float64", one_of("float64", "float32"), "precision of pricing: float64 or float32")
    model_dtype: str = field(
        "float32", one_of("float32", "bfloat16", "float16"), "arithmetic of models: float32, bfloat16 or float16"
    )
    accumulation_dtype: str = field(
        "float64", one_of("float64", "float32"), "precision of sums over many terms: float64 or float32"
    )
    matmul_precision: str = field(
        "highest",
        one_of("highest", "high", "default"),
        "precision of float32 matrix products: highest, high or default (default may round to ten bits)",
    )
    random_implementation: str = field(
        "threefry2x32",
        one_of("threefry2x32", "threefry4x32", "rbg", "unsafe_rbg", "philox2x32", "philox4x32"),
        "generator of random numbers: threefry2x32, threefry4x32, rbg, unsafe_rbg, philox2x32 or philox4x32",
    )
    memory_fraction: float = field(
        0.75, share, "share of an accelerator's memory that JAX may take, above 0 and up to 1"
    )
    preallocate: bool = field(
        True,
        boolean,
        "hold on to memory (true: a GPU's share at once, a CPU's freed memory kept) or take it as needed (false)",
    )
    batch_margin: float = field(
        0.5, share, "share of a device's free memory that one chunk may take, above 0 and up to 1"
    )
    batch_limit: int | None = field(None, count_or_none, "most elements in one chunk; null for no limit but memory")
    rematerialisation: str = field(
        "none",
        one_of("none", "blocks"),
        "recompute blocks of a model in the backward pass to save memory: none or blocks",
    )
    compilation_cache: str | None = field(
        None, path_or_none, "directory that keeps compiled programs, private to you; null for none"
    )
    why: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in _FIELDS}
        checked = _checked_values(values, _locate_in_code)
        reasons = _checked_reasons(self.why, _locate_in_code)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
            if name not in reasons:
                is_default = value == _FIELDS[name].default
                reasons[name] = "the default" if is_default else "set by the caller"
        object.__setattr__(self, "why", MappingProxyType({name: reasons[name] for name in _FIELDS}))

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping does not pickle by itself; a configuration must reach worker processes.
        return (type(self).from_mapping, (self.to_dict(),))

    @property
    def device_count(self) -> int:
        """How many devices of this host are used."""
        return len(self.device_ids)

    @property
    def needs_64_bit(self) -> bool:
        """Whether JAX's 64-bit mode has to be on: pricing or accumulation in float64."""
        return "float64" in (self.pricing_dtype, self.accumulation_dtype)

    def replace(self, *, why: str | Mapping[str, str] = "set by the caller", **changes: Any) -> "DeviceConfig":
        """A copy with some fields changed, and the reason for it.

        A field that would contradict the change follows it unless it is given too: `mesh_axes` follows `device_ids`,
            and
        `accumulation_dtype` follows a wider `pricing_dtype`; their `why` says so.

        Arguments:
            why: the reason for all changes, or one reason per changed field.
            changes: new values by field name.

        Raises: ConfigError for an unknown field (with the nearest name) or an impossible value.

        >>> DeviceConfig().replace(pricing_dtype="float32", why="quotes have five digits").why["pricing_dtype"]
        'quotes have five digits'
        """
        return self._overlaid(changes, dict.fromkeys(changes, why) if isinstance(why, str) else dict(why))

    def to_dict(self) -> dict[str, Any]:
        """All fields and `why` as plain lists, dicts and scalars, for JSON; `from_mapping` turns it back."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in _FIELDS}
        plain["device_ids"] = list(self.device_ids)
        plain["mesh_axes"] = dict(self.mesh_axes)
        plain["why"] = dict(self.why)
        return plain

    def to_yaml(self) -> str:
        """The configuration as YAML text with a comment above each field; `from_yaml` gives back an equal
        configuration.

        Each reason is stored with the value it speaks of, so that editing a value does not leave a reason that no
        longer holds.
        """
        plain = self.to_dict()
        why = plain.pop("why")
        meanings = {name: field.metadata["meaning"] for name, field in _FIELDS.items()}
        return config_file.write_text(plain, why, meanings)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write `to_yaml()` to a file, atomically: an interrupted write leaves the old file as it was."""
        config_file.write_atomically(path, self.to_yaml())

    @classmethod
    def from_yaml(cls, source: str | os.PathLike[str], *, base: "DeviceConfig | None" = None) -> "DeviceConfig":
        """Read a configuration from YAML text or from a file.

        Arguments:
            source: YAML text (anything with a line break or `key: value` in it), or the path of a file.
            base: where fields come from that the YAML does not name. By default these are chosen for this machine's
                hardware and the other fields given (`gpujax.device.choose`); a YAML with every field needs neither.

        Returns: the configuration; `why` says which fields came from the file and which were chosen automatically.

        Raises: ConfigError, naming file, line, field, value and remedy, for unknown and repeated fields, values of the
            wrong type, impossible or contradictory values, and for a file that cannot be read or is not YAML.
            DeviceError if fields are missing and are to be chosen for a platform that this machine does not have.

        >>> DeviceConfig.from_yaml("pricing_dtype: float32", base=DeviceConfig()).pricing_dtype
        'float32'
        """
        parsed = config_file.read(source)
        return cls._from_parts(parsed.values, parsed.reasons, parsed.locate, f"set in {parsed.name}", base)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, base: "DeviceConfig | None" = None) -> "DeviceConfig":
        """A configuration from a mapping of field names to values, such as `to_dict()` gives; otherwise like
        `from_yaml`."""
        given = dict(values)
        reasons = given.pop("why", {})
        return cls._from_parts(given, reasons, _locate_in_code, "set by the caller", base)

    def summary(self) -> str:
        """A table for people: field, value, reason."""
        plain = self.to_dict()
        why = plain.pop("why")
        shown = {name: config_file.flow(value) for name, value in plain.items()}
        wide_name = max(map(len, shown))
        wide_value = max(len(text) for text in shown.values() if len(text) <= 24)
        return "\n".join(f"{name:<{wide_name}}  {text:<{wide_value}}  {why[name]}" for name, text in shown.items())

    def __str__(self) -> str:
        return self.summary()

    @classmethod
    def _from_parts(
        cls, values: dict[str, Any], reasons: Any, locate: Locate, reason: str, base: "DeviceConfig | None"
    ) -> "DeviceConfig":
        checked = _checked_fields(values, locate)
        said = {**dict.fromkeys(checked, reason), **_checked_reasons(reasons, locate)}
        if len(checked) == len(_FIELDS):
            _check_agreement(checked, locate)
            return cls(**checked, why=said)
        if base is None:
            # Not at the top: choosing needs the hardware, which someone who only reads a complete file does not.
            from gpujax.device.choose import choose_around

            base = choose_around(checked)
        return base._overlaid(checked, said, locate)

    def _overlaid(
        self, changes: Mapping[str, Any], why: Mapping[str, str], locate: "Locate | None" = None
    ) -> "DeviceConfig":
        locate = locate or _locate_in_code
        values = {name: getattr(self, name) for name in _FIELDS}
        reasons = dict(self.why)
        checked = _checked_fields(changes, locate)
        for name, value, reason in _followers(checked, self):
            values[name], reasons[name] = value, reason
        values.update(checked)
        reasons.update(dict.fromkeys(checked, "set by the caller"))
        reasons.update(_checked_reasons(why, locate))
        _check_agreement(values, locate)
        return type(self)(**values, why=reasons)


_FIELDS = {f.name: f for f in dataclasses.fields(DeviceConfig) if f.name != "why"}


def _locate_in_code(name: str) -> str:
    return "DeviceConfig: "


def _checked_values(values: Mapping[str, Any], locate: Locate) -> dict[str, Any]:
    checked = _checked_fields(values, locate)
    _check_agreement(checked, locate)
    return checked


def _checked_fields(values: Mapping[str, Any], locate: Locate) -> dict[str, Any]:
    """The values in their normal form, or the ConfigError that names the first culprit."""
    return {name: _checked_field(name, value, locate) for name, value in values.items()}


def _checked_field(name: Any, value: Any, locate: Locate) -> Any:
    if name not in _FIELDS:
        raise ConfigError(
            f"{locate(name)}unknown field {name!r}{_nearest(name, tuple(_FIELDS))}; the fields are {', '.join(_FIELDS)}"
        )
    try:
        return _FIELDS[name].metadata["check"](value)
    except Unsuitable as error:
        hint = _nearest(value, error.choices)
        raise ConfigError(
            f"{locate(name)}{name} is {reprlib.repr(value)}{hint}; expected {error.expected}, or leave the field out "
            "to "
            "have it chosen"
        ) from None


def _checked_reasons(reasons: Any, locate: Locate) -> dict[str, str]:
    if not isinstance(reasons, Mapping):
        raise ConfigError(f"{locate('why')}why is {reprlib.repr(reasons)}; expected one reason per field")
    for name, reason in reasons.items():
        if name not in _FIELDS:
            raise ConfigError(
                f"{locate('why')}why gives a reason for {name!r}, which is no field{_nearest(name, tuple(_FIELDS))}"
            )
        if not isinstance(reason, str):
            raise ConfigError(f"{locate('why')}the reason for {name} is {reprlib.repr(reason)}; expected text")
    return dict(reasons)


def _check_agreement(values: Mapping[str, Any], locate: Locate) -> None:
    """Raise the ConfigError for two fields that contradict each other, if any do."""
    count, size = len(values["device_ids"]), 1
    for _, axis_size in values["mesh_axes"]:
        size *= axis_size
    if size % count:
        raise ConfigError(
            f"{locate('mesh_axes')}mesh_axes {dict(values['mesh_axes'])} multiplies to {size}, but device_ids "
            f"{list(values['device_ids'])} names {count}; make the sizes multiply to the number of devices, or leave "
            "mesh_axes out"
        )
    if values["parallelism"] == "pmap" and len(values["mesh_axes"]) > 1:
        raise ConfigError(
            f"{locate('parallelism')}parallelism is 'pmap', which spreads over one axis, but mesh_axes has "
            f"{len(values['mesh_axes'])}; use 'shard_map' or a single axis"
        )
    if values["parallelism"] != "none" and values["random_implementation"].startswith("philox"):
        raise ConfigError(
            f"{locate('random_implementation')}random_implementation is {values['random_implementation']!r}, which JAX "
            f"cannot compile when sharded, and parallelism is {values['parallelism']!r}; use 'threefry2x32' or "
            "parallelism 'none'"
        )
    if values["pricing_dtype"] == "float64" and values["accumulation_dtype"] != "float64":
        raise ConfigError(
            f"{locate('accumulation_dtype')}accumulation_dtype is {values['accumulation_dtype']!r}, narrower than "
            "pricing_dtype 'float64'; sums would lose what the terms carry: use 'float64' for both, or pricing_dtype "
            "'float32'"
        )


def _followers(changes: Mapping[str, Any], base: DeviceConfig) -> list[tuple[str, Any, str]]:
    """Fields that must follow a change so as not to contradict it, unless they were given themselves."""
    following: list[tuple[str, Any, str]] = []
    if "mesh_axes" not in changes and len(changes.get("device_ids", base.device_ids)) != len(base.device_ids):
        axes = ((base.mesh_axes[0][0], len(changes["device_ids"])),)
        following.append(("mesh_axes", axes, "follows device_ids: one axis over all devices"))
    widened = changes.get("pricing_dtype") == "float64" and base.accumulation_dtype != "float64"
    if widened and "accumulation_dtype" not in changes:
        following.append(("accumulation_dtype", "float64", "follows pricing_dtype: sums are never narrower than terms"))
    return following


def _nearest(given: Any, choices: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(str(given), choices, n=1) if isinstance(given, str) else []
    return f" (did you mean {cast(str, close[0])!r}?)" if close else ""
