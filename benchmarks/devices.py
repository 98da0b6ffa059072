"""The same results to the last stated digit: on 1 and 8 devices, under jit, pmap, shard_map and `accelerate`.

    python benchmarks/devices.py [--quick] [--size N] [--rounds N] [--output FOLDER]

Every setting runs in a process of its own, on CPU devices that XLA simulates, and prices the same options; prices,
Greeks and implied volatilities are then compared with those of plain `jit` on one device. They must agree to the stated
digits (`DIGITS`); whether they agree to the last bit is shown beside it. It is not promised: how many options a device
gets decides which of them the compiler takes in vectors and which one by one, and how a function is embedded decides
what it fuses, and both may round differently. The times are for information: simulated devices share the cores.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from rich.table import Table

from benchmarks.harness.children import run_python
from benchmarks.harness.command import folder_of, parser, save, wide_console
from benchmarks.harness.facts import facts
from benchmarks.harness.report import write_atomically

FORMS = ("jit", "pmap", "shard_map", "accelerate none", "accelerate pmap", "accelerate shard_map")
DEVICES = (1, 8)
# Significant digits that all settings share: what rounding leaves of prices three standard deviations from the money.
DIGITS = {"float64": 12, "float32": 4}
# Results that pass through zero: their digits are counted from a typical size (the median) where that is larger.
CROSSING = ("theta", "vanna", "volga")
WHICH = ("price", "delta", "gamma", "vega", "theta", "rho", "vanna", "volga")
NAMES = ("spot", "strike", "expiry", "volatility", "rate", "is_call")


def main(argv: list[str] | None = None) -> int:
    """Run every setting; returns 0 where all results share the stated digits, else 1."""
    made = parser(__doc__, size=100_003, rounds=5)
    made.add_argument("--setting", metavar="JSON", default=None, help="run one setting itself, as this says")
    options = made.parse_args(argv)
    if options.setting:
        print(json.dumps(run_setting(**json.loads(options.setting))))
        return 0
    if options.quick:
        options.size, options.rounds = min(options.size, 203), 1
    console = wide_console()
    with tempfile.TemporaryDirectory() as folder:
        found = [one(folder, form, devices, options) for form in FORMS for devices in DEVICES]
    first = found[0]
    table = Table(title=f"{options.size:,} options, price and {len(WHICH) - 1} Greeks and implied volatility",
                  title_justify="left", title_style="bold")  # fmt: skip
    left = ("dtype", "setting", "bytes, SHA-256")
    for heading in ("dtype", "setting", "devices", "bytes, SHA-256", "values with other bits", "digits shared", "ms"):
        table.add_column(heading, justify="left" if heading in left else "right")
    for dtype in DIGITS:
        for run in found:
            result = run["results"][dtype]
            milliseconds = f"{1e3 * statistics.median(result['seconds']):.2f}"
            counts = (str(result["differing"]), f"{result['digits']:.1f}", milliseconds)
            style = "bold red" if result["digits"] < DIGITS[dtype] else None
            table.add_row(dtype, run["form"], str(run["devices"]), result["hash"][:16], *counts, style=style)
    console.print(table)
    console.print(
        f"compared with {first['form']} on {first['devices']} device; pmap and shard_map take all but the last "
        f"{options.size % max(DEVICES)} options, because they need equal shares",
        highlight=False,
    )
    save("devices", options, {"benchmark": "devices", "facts": facts(), "settings": found}, console)
    folder = folder_of(options)
    if folder is not None:
        _plot(folder / "devices.png", found)
    return 1 if any(run["results"][dtype]["digits"] < DIGITS[dtype] for run in found for dtype in DIGITS) else 0


def one(folder: str, form: str, devices: int, options: Any) -> dict[str, Any]:
    """Run one setting in a fresh process and compare what it found with the first setting's results."""
    path, reference = Path(folder) / f"{form}-{devices}.npz", Path(folder) / f"{FORMS[0]}-{DEVICES[0]}.npz"
    setting = {"form": form, "devices": devices, "size": options.size, "rounds": options.rounds, "into": str(path)}
    seconds = run_python(
        str(Path(__file__).resolve()),
        "--setting",
        json.dumps(setting),
        # JAX must see the number of devices before it starts, and no other setting may follow us into the process.
        environment={"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", "JAX_PLATFORMS": "cpu"},
    )
    with np.load(path, allow_pickle=False) as mine, np.load(reference, allow_pickle=False) as theirs:
        results = {
            dtype: {**compare({k: (mine[k], theirs[k]) for k in mine.files if k.startswith(dtype)}), "seconds": times}
            for dtype, times in seconds.items()
        }
    return {"form": form, "devices": devices, "results": results}


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


def run_setting(form: str, devices: int, size: int, rounds: int, into: str) -> dict[str, list[float]]:
    """Inside the fresh process: compute, store the results in `into`, and return the seconds of each round by dtype."""
    import jax

    import gpujax as gj
    from benchmarks.contestants.options import chain

    parallelism = form.partition(" ")[2] or "none"
    gj.configure({
        "platform": "cpu", "pricing_dtype": "float64", "device_ids": list(range(devices)),
        "mesh_axes": {"batch": devices}, "parallelism": parallelism,
    })  # fmt: skip
    assert jax.device_count() == devices, f"asked for {devices} devices, JAX has {jax.device_count()}"
    results: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {}
    for dtype in ("float64", "float32"):
        options = chain(size, np.dtype(dtype).type)
        # Shares of equal size are what jax.pmap and jax.shard_map need; `accelerate` is there to take any.
        count = size if form.startswith(("jit", "accelerate")) else size - size % max(DEVICES)
        inputs = {name: getattr(options, name)[:count] for name in NAMES}
        call = make_call(form, devices, inputs)
        found = call()
        seconds[dtype] = []
        for _ in range(rounds):
            start = time.perf_counter()
            call()
            seconds[dtype].append(time.perf_counter() - start)
        results |= {f"{dtype} {name}": np.asarray(value).reshape(-1) for name, value in found.items()}
    np.savez(into, **results)  # pyright: ignore[reportArgumentType]
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
        dtype = inputs["spot"].dtype.name
        fast = gj.accelerate(workload, gj.device.current_config().replace(pricing_dtype=dtype))
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
    for panel, dtype in zip(figure.subplots(1, 2), ("float64", "float32"), strict=True):
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
