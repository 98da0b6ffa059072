"""The device configuration under the names that the guide's scripts use."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from gpujax.device import DeviceConfig, memory
from gpujax.errors import InputTypeError

__all__ = ["GuideConfig"]

# What pricing one Black-Scholes option reads and writes: six numbers and a flag in, one number out.
_NUMBERS_PER_OPTION = 7
_LARGEST_BATCH = 1 << 30


class GuideConfig(Mapping[str, Any]):
    """A read-only mapping: the guide's keys first, then every field of the `DeviceConfig`.

    batch_size: most options to hand over at a time: `batch_limit`, or the largest power of two (or three halves of one)
        whose inputs and prices fit the share of free memory that the configuration allows. None where the device does
        not tell what is free. `gpujax.accelerate` divides larger batches by itself; the number is for loops that load
        data piece by piece.
    mixed_precision: whether models compute in 16 bits (`model_dtype`).
    gradient_checkpointing: whether models recompute blocks instead of storing them (`rematerialisation`).
    use_flash_attention: whether attention runs fused: on a GPU, in 16 bits.
    """

    def __init__(self, config: DeviceConfig, device: Any) -> None:
        fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}
        half = config.model_dtype in ("bfloat16", "float16")
        self._values = {
            "batch_size": _batch_size(config, device),
            "mixed_precision": half,
            "gradient_checkpointing": config.rematerialisation != "none",
            "use_flash_attention": config.platform == "gpu" and half,
            **fields,
        }

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __setitem__(self, key: str, value: Any) -> NoReturn:
        field = {"batch_size": "batch_limit", "mixed_precision": "model_dtype",
                 "gradient_checkpointing": "rematerialisation"}.get(key, key)  # fmt: skip
        raise InputTypeError(
            f"config[{key!r}] = {value!r:.40}: a configuration does not change under its users. Make another adapter: "
            f"Adapter(adapter.device_config.replace({field}=...)), or write it into gpujax.yaml"
        )

    def __repr__(self) -> str:
        return f"GuideConfig({self._values!r})"


def _batch_size(config: DeviceConfig, device: Any) -> int | None:
    if config.batch_limit is not None:
        return config.batch_limit
    free = memory.free_memory(device, sharers=config.device_count)
    if free is None:
        return None
    width = 8 if config.pricing_dtype == "float64" else 4
    model = memory.MemoryModel(0.0, float(_NUMBERS_PER_OPTION * width + 1))
    return config.device_count * memory.largest_batch(model, int(free * config.batch_margin), _LARGEST_BATCH)
