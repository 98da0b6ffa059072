"""What `accelerate` costs: a jitted function called directly and through `accelerate`, on device and NumPy arrays.

    python benchmarks/accelerate.py [--quick] [--size N] [--rounds N] [--output FOLDER]

The Black-Scholes price of one option, chains of 100 and 10,000, and one million options, in float64. The yardstick in
each row is the function itself on arrays that are already on the device.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import jax
import numpy as np

import gpujax as gj
from benchmarks.contestants import gpujax_forms
from benchmarks.contestants.options import chain, reference_price
from benchmarks.harness.command import configure, parser, run_workloads
from benchmarks.harness.measure import Contestant, Tolerance, Workload


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; returns 0 where all answers agree with the reference, else 1."""
    options = parser(__doc__, size=1_000_000, rounds=21).parse_args(argv)
    if options.quick:
        options.size, options.rounds = min(options.size, 2_000), min(options.rounds, 3)
    configure(quick=options.quick)
    sizes = sorted({options.size, *(n for n in (10_000, 100, 1) if n < options.size)}, reverse=True)
    rows = [functools.partial(workload, size) for size in sizes]
    return run_workloads("accelerate", options, rows, title="The cost of accelerate")


def workload(size: int) -> Workload:
    """The price of `size` options: directly, through `accelerate` on both kinds of arrays, and directly on NumPy's."""
    inputs = chain(size, np.float64)
    direct, *numpy_forms = gpujax_forms.price(inputs)
    market = {
        k: jax.device_put(getattr(inputs, k)) for k in ("spot", "strike", "expiry", "volatility", "rate", "is_call")
    }
    accelerated = gj.accelerate(gj.black_scholes.price)
    on_device = Contestant(
        "gpujax, device arrays, accelerate",
        "gj.accelerate(f)(**device arrays), waits for the result",
        lambda: jax.block_until_ready(accelerated(**market)),
        size,
        lambda got: {"price": np.asarray(got)},
        ours=True,
    )
    return Workload(
        name=f"Price, {size:,} options, float64",
        unit="an option" if size > 1 else "a call",
        reference=reference_price(inputs),
        tolerance={"price": Tolerance(relative=1e-9, absolute=1e-9)},
        contestants=[
            dataclasses.replace(direct, name="the function itself, device arrays", ours=False),
            on_device,
            *numpy_forms,
        ],
    )


if __name__ == "__main__":
    raise SystemExit(main())
