"""The same results to the last stated digit: on 1 and 8 devices, under jit, pmap, shard_map and `accelerate`.

    python benchmarks/devices.py [--quick] [--size N] [--rounds N] [--output FOLDER]

One process for each number of CPU devices, which XLA simulates, runs all forms on the same options; prices, Greeks and
implied volatilities are then compared with those of plain `jit` on one device. They must agree to the stated digits
(`DIGITS`); whether they agree to the last bit is shown beside it. That is not promised: how many options a device gets
decides which of them the compiler takes in vectors and which one by one, and what surrounds a function decides what is
fused with it, and both may round differently. The times are for information: simulated devices share the cores.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from rich.table import Table

from benchmarks.contestants.options import chain
from benchmarks.harness.children import run_python
from benchmarks.harness.command import folder_of, parser, save, wide_console
from benchmarks.harness.facts import facts
from benchmarks.harness.report import write_atomically

# Every form on every number of devices, the reference first; a quick run takes those where most can go wrong.
FORMS = ("jit", "pmap", "shard_map", "accelerate none", "accelerate pmap", "accelerate shard_map")
SETTINGS = tuple((form, devices) for devices in (1, 8) for form in FORMS)
QUICK = (("jit", 1), ("pmap", 8), ("shard_map", 8), ("accelerate pmap", 8), ("accelerate shard_map", 8))
# Significant digits that all settings share: what rounding leaves of prices three standard deviations from the money.
DIGITS = {"float64": 12, "float32": 4}
# Results that pass through zero: their digits are counted from a typical size (the median) where that is larger.
CROSSING = ("theta", "vanna", "volga")
WHICH = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga")
NAMES = ("spot", "strike", "expiry", "volatility", "rate", "is_call")


def main(argv: list[str] | None = None) -> int:
    """Run every setting; returns 0 where all results share the stated digits, else 1."""
    made = parser(__doc__, size=100_003, rounds=5)
    made.add_argument("--process", metavar="JSON", default=None, help="be one of the processes, as this says")
    options = made.parse_args(argv)
    if options.process:
        print(json.dumps(run_process(**json.loads(options.process))))
        return 0
    settings, dtypes = SETTINGS, tuple(DIGITS)
    if options.quick:
        options.size, options.rounds = min(options.size, 203), 1
        settings, dtypes = QUICK, ("float64",)
    console = wide_console()
    with tempfile.TemporaryDirectory() as folder:
        found = run_settings(Path(folder), settings, dtypes, options.size, options.rounds)
    first = found[0]
    table = Table(title=f"{options.size:,} options, price and {len(WHICH) - 1} Greeks and implied volatility",
                  title_justify="left", title_style="bold")  # fmt: skip
    left = ("dtype", "setting", "bytes, SHA-256")
    for heading in ("dtype", "setting", "devices", "bytes, SHA-256", "values with other bits", "digits shared", "ms"):
        table.add_column(heading, justify="left" if heading in left else "right")
    for dtype in dtypes:
        for run in found:
            result = run["results"][dtype]
            milliseconds = f"{1e3 * statistics.median(result['seconds']):.2f}"
            counts = (str(result["differing"]), f"{result['digits']:.1f}", milliseconds)
            style = "bold red" if result["digits"] < DIGITS[dtype] else None
            table.add_row(dtype, run["form"], str(run["devices"]), result["hash"][:16], *counts, style=style)
    console.print(table)
    console.print(
        f"compared with {first['form']} on {first['devices']} device; pmap and shard_map take all but the last "
        f"{options.size % 8} options, because they need equal shares",
        highlight=False,
    )
    save("devices", options, {"benchmark": "devices", "facts": facts(), "settings": found}, console)
    folder = folder_of(options)
    if folder is not None:
        _plot(folder / "devices.png", found)
    return 1 if any(run["results"][dtype]["digits"] < DIGITS[dtype] for run in found for dtype in dtypes) else 0


def run_settings(
    folder: Path, settings: Sequence[tuple[str, int]], dtypes: Sequence[str], size: int, rounds: int
) -> list[dict[str, Any]]:
    """Run all settings, a process for each number of devices, and compare their results with those of the first."""
    seconds: dict[tuple[str, int], dict[str, list[float]]] = {}
    for devices in dict.fromkeys(count for _, count in settings):
        forms = [form for form, count in settings if count == devices]
        order = {
            "forms": forms,
            "devices": devices,
            "dtypes": dtypes,
            "size": size,
            "rounds": rounds,
            "into": str(folder),
        }
        timed = run_python(
            str(Path(__file__).resolve()),
            "--process",
            json.dumps(order),
            # JAX must see the number of devices before it starts, and no other setting may follow us into the process.
            environment={"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"},
        )
        seconds |= {(form, devices): timed[form] for form in forms}
    found = []
    with np.load(_stored(folder, *settings[0]), allow_pickle=False) as reference:
        for form, devices in settings:
            with np.load(_stored(folder, form, devices), allow_pickle=False) as mine:
                results = {
                    dtype: {
                        **compare({k: (mine[k], reference[k]) for k in mine.files if k.startswith(dtype)}),
                        "seconds": seconds[form, devices][dtype],
                    }
                    for dtype in dtypes
                }
            found.append({"form": form, "devices": devices, "results": results})
    return found


def _stored(folder: Path, form: str, devices: int) -> Path:
    return folder / f"{form}-{devices}.npz"


def compare(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Any]:
    """How many values differ in any bit, how many digits all of them share at least, and the hash of all bytes.

    Digits are counted on each value, for results named in `CROSSING` on a typical one where that is larger. A number
    beside not-a-number shares none.
    """
    differing, digits, digest = 0, 17.0, hashlib.sha256()
    for name, (got, reference) in pairs.items():
        expected = reference[: got.size]
        digest.update(got.tobytes())
        bits = f"i{got.dtype.itemsize}"
        apart = got.view(bits) != expected.view(bits)
        differing += int(apart.sum())
        size = np.abs(expected).astype(np.float64)
        if name.endswith(CROSSING):
            size = np.maximum(size, np.nanmedian(size))
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.abs(got.astype(np.float64) - expected) / size
        worst = np.nan_to_num(error[apart & ~(np.isnan(got) & np.isnan(expected))], nan=1.0).max(initial=1e-17)
        digits = min(digits, -np.log10(min(worst, 1.0)))
    return {"differing": differing, "digits": float(digits), "hash": digest.hexdigest()}


def run_process(
    forms: Sequence[str], devices: int, dtypes: Sequence[str], size: int, rounds: int, into: str
) -> dict[str, dict[str, list[float]]]:
    """Inside a fresh process: compute every form, store the results in the folder `into`, return their seconds."""
    import jax

    import gpujax as gj

    numbers = list(range(devices))
    mesh = {"batch": devices}
    gj.configure({"platform": "cpu", "pricing_dtype": "float64", "device_ids": numbers, "mesh_axes": mesh})
    assert jax.device_count() == devices, f"asked for {devices} devices, JAX has {jax.device_count()}"
    seconds: dict[str, dict[str, list[float]]] = {}
    for form in forms:
        results: dict[str, np.ndarray] = {}
        seconds[form] = {}
        for dtype in dtypes:
            options = chain(size, np.dtype(dtype).type)
            # Equal shares are what jax.pmap and jax.shard_map need; `accelerate` is there to take any number.
            count = size if form.startswith(("jit", "accelerate")) else size - size % 8
            call = make_call(form, devices, {name: getattr(options, name)[:count] for name in NAMES})
            found = call()
            times = seconds[form][dtype] = []
            for _ in range(rounds):
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
            results |= {f"{dtype} {name}": np.asarray(value).reshape(-1) for name, value in found.items()}
        np.savez(_stored(Path(into), form, devices), **results)  # pyright: ignore[reportArgumentType]
    return seconds


def workload(**inputs: Any) -> dict[str, Any]:
    """Price, Greeks, and the implied volatility of the price."""
    import gpujax as gj

    greeks = gj.black_scholes.greeks(**inputs, which=WHICH)
    market = {name: value for name, value in inputs.items() if name != "volatility"}
    volatility = gj.implied_volatility(price=greeks.price, **market)
    return {**{name: getattr(greeks, name) for name in WHICH}, "implied_volatility": volatility}


def make_call(form: str, devices: int, inputs: Mapping[str, np.ndarray]) -> Callable[[], Any]:
    """The workload under one form of parallelism, on inputs that are already where they belong."""
    import jax
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    import gpujax as gj

    if form.startswith("accelerate"):
        # `accelerate` computes in the precision that the policy says; here that of the arrays is compared.
        config = gj.device.current_config().replace(
            pricing_dtype=inputs["spot"].dtype.name, parallelism=form.removeprefix("accelerate ")
        )
        fast = gj.accelerate(workload, config)
        return lambda: fast(**inputs)
    if form == "jit":
        whole = {name: jax.device_put(array, jax.devices()[0]) for name, array in inputs.items()}
        compiled = jax.jit(lambda arrays: workload(**arrays))
        return lambda: jax.block_until_ready(compiled(whole))
    if form == "pmap":
        shares = {name: array.reshape(devices, -1) for name, array in inputs.items()}
        mapped = jax.pmap(lambda arrays: workload(**arrays))
        return lambda: jax.block_until_ready(mapped(shares))
    mesh = jax.make_mesh((devices,), ("batch",), axis_types=(AxisType.Auto,))
    sharded = {
        name: jax.device_put(array, NamedSharding(mesh, PartitionSpec("batch"))) for name, array in inputs.items()
    }
    along = PartitionSpec("batch")
    spread = jax.jit(jax.shard_map(lambda arrays: workload(**arrays), mesh=mesh, in_specs=(along,), out_specs=along))
    return lambda: jax.block_until_ready(spread(sharded))


def _plot(path: Path, found: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    dtypes = list(found[0]["results"])
    for panel, dtype in zip(figure.subplots(1, len(dtypes), squeeze=False).flat, dtypes, strict=True):
        names = [f"{run['form']}, {run['devices']}" for run in found]
        panel.barh(names, [1e3 * statistics.median(run["results"][dtype]["seconds"]) for run in found], color=[
            "#b2182b" if run["results"][dtype]["digits"] < DIGITS[dtype] else "#1b7837" for run in found
        ])  # fmt: skip
        panel.invert_yaxis()
        panel.set_xlabel("ms (green: the stated digits of jit on one device)")
        panel.set_title(dtype, fontsize=9)
        panel.tick_params(labelsize=7)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110))


if __name__ == "__main__":
    raise SystemExit(main())
