"""Accuracy: the worst error of every function over its whole domain, in float64 and float32, against mpmath.

    python benchmarks/accuracy.py [--quick] [--size N] [--output FOLDER] [--workers N]

Three measures of each error, the worst of each over all points:

- relative: |computed - exact| / |exact|; for a number that passes through zero (theta, volga and the like) divided by
  the size of the terms that it is made of.
- by d^2: the relative error in units of eps (1 + d^2), d the larger of |d1| and |d2|. Option values fall like
  exp(-d^2/2), so half a unit of rounding in the volatility changes them by about this much.
- by inputs: the error in units of the change that rounding each input by half a unit, and the result too, would make. A
  result of a few units is as good as the inputs allow; a large relative error beside a small one here means that the
  exact answer itself hangs on the last digits of the inputs.

The exact answer is that of the inputs' exact values. Points whose exact answer lies below the normal range of the
dtype are left out of the three measures; of those it is only checked that the result is a number, and tiny. So are
points where a density exp(-d^2/2) lies below it (of those it is only checked that the result is a number).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from rich.table import Table

from benchmarks.harness.command import configure, folder_of, parser, save, wide_console
from benchmarks.harness.facts import facts
from benchmarks.harness.oracle_table import Column, exact_table
from benchmarks.harness.samples import (
    Samples,
    forward_options,
    normal_arguments,
    normal_model_options,
    probabilities,
    spot_options,
    upper_arguments,
)

DTYPES = ("float64", "float32")
# An exact result below this is not held with all its digits, or its parts are not.
SMALLEST = {"float64": 1e-300, "float32": 1e-30}
# Volatilities are implied where rounding price and other inputs leaves this relative uncertainty or less; beyond it the
# price is all intrinsic value, and says nothing about the volatility.
TOLD = 1e-3


@dataclass(frozen=True)
class Row:
    """The worst errors of one function in one dtype and region; `at` names the inputs of the worst by inputs."""

    group: str
    function: str
    dtype: str
    region: str
    points: int
    underflowing: int
    not_a_number: int
    worst_relative: float
    worst_by_d: float | None
    worst_by_inputs: float
    at: dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Print and keep the accuracy tables; returns 1 where a result is not a number though the exact one is, else 0."""
    made = parser(__doc__, size=250)
    made.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="processes that work out the exact answers; 0: none"
    )
    made.add_argument(
        "--regions", action="store_true", help="a line for every region of the domain, not only for the worst"
    )
    made.add_argument("--only", type=str, default=None, help="only groups whose name contains this")
    options = made.parse_args(argv)
    if options.quick:
        options.size, options.workers = min(options.size, 4), 0
    configure(quick=options.quick)
    console = wide_console()
    rows: list[Row] = []
    for number, (name, group) in enumerate(GROUPS.items()):
        if options.only and options.only not in name:
            continue
        # Compiling is what a quick run spends its time on, so it takes one dtype a group, in turn.
        dtypes = DTYPES[number % 2 :][:1] if options.quick else DTYPES
        found = [row for dtype in dtypes for row in group(name, dtype, options.size, options.workers)]
        console.print(_table(name, found, every_region=options.regions))
        rows += found
    missing = [row for row in rows if row.not_a_number]
    for row in missing:
        console.print(f"NOT A NUMBER: {row.group} {row.function} {row.dtype}, {row.region}: {row.not_a_number} points, "
                      f"e.g. {row.at}", style="bold red", highlight=False)  # fmt: skip
    save(
        "accuracy", options, {"benchmark": "accuracy", "facts": facts(), "rows": [asdict(row) for row in rows]}, console
    )
    folder = folder_of(options)
    if folder is not None:
        _plot(folder / "accuracy.png", rows)
    return 1 if missing else 0


def _normal(group: str, dtype: str, count: int, workers: int) -> list[Row]:
    import jax
    import jax.numpy as jnp

    from gpujax.numerics import mills, normal

    def rows(kind: str, samples: Samples, functions: Mapping[str, Callable[..., Any]]) -> list[Row]:
        exact = exact_table(kind, samples.inputs, workers=workers)
        (argument,) = samples.inputs
        computed = {}
        for name, function in functions.items():
            computed[name] = jax.jit(function)(jnp.asarray(samples.inputs[argument]))
            computed[f"{name}'"] = _gradients(lambda f=function, **x: f(x[argument]), samples.inputs)[argument]
        return _rows(group, dtype, samples, exact, computed)

    return [
        *rows(
            "normal",
            normal_arguments(count, dtype),
            {n: getattr(normal, n) for n in ("pdf", "cdf", "log_cdf", "erfcx")},
        ),
        *rows("mills", upper_arguments(count, dtype), {"mills_ratio": mills.mills_ratio}),
        *rows("quantile", probabilities(count, dtype), {"quantile": normal.quantile}),
    ]


# Which Greek a first derivative of the price is; by expiry it is minus theta.
FIRST_ORDER = {
    "spot": "delta",
    "forward": "delta",
    "strike": "dual_delta",
    "expiry": "theta",
    "volatility": "vega",
    "rate": "rho",
    "dividend_yield": "dividend_rho",
}


def _model(name: str, draw: Callable[[int, str], Samples]) -> Callable[..., list[Row]]:
    """Price and Greeks of one model; and the derivatives that JAX takes of the price, which must be as good."""

    def group(title: str, dtype: str, count: int, workers: int) -> list[Row]:
        import gpujax as gj

        samples = draw(count, dtype)
        exact = exact_table(name, samples.inputs, workers=workers)
        module = getattr(gj, name)
        greeks = module.greeks(**samples.inputs)
        computed = {k: getattr(greeks, k) for k in exact if hasattr(greeks, k)}
        computed["price"] = module.price(**samples.inputs)
        for argument, gradient in _gradients(module.price, samples.inputs).items():
            derivative = f"d price / d {argument}"
            computed[derivative] = -gradient if argument == "expiry" else gradient
            if argument in FIRST_ORDER:
                exact[derivative] = exact[FIRST_ORDER[argument]]
        return _rows(title, dtype, samples, exact, computed, distance=_distance(samples, name))

    return group


def _digital(name: str) -> Callable[..., list[Row]]:
    """Price and Greeks of digital options; fewer points, because their exact Greeks are differences at many digits."""

    def group(title: str, dtype: str, count: int, workers: int) -> list[Row]:
        import gpujax as gj

        samples = spot_options(max(2, count // 4), dtype, seed=4)
        exact = exact_table(name, samples.inputs, workers=workers)
        function = name.replace("-", "_")
        greeks = getattr(gj.digital, f"{function}_greeks")(**samples.inputs)
        computed = {k: getattr(greeks, k) for k in exact}
        computed["price"] = getattr(gj.digital, function)(**samples.inputs)
        return _rows(title, dtype, samples, exact, computed, distance=_distance(samples))

    return group


def _implied(name: str, draw: Callable[[int, str], Samples]) -> Callable[..., list[Row]]:
    """Implied volatility of exact prices rounded to the dtype, wherever these still tell the volatility."""

    def group(title: str, dtype: str, count: int, workers: int) -> list[Row]:
        import gpujax as gj

        drawn = draw(count, dtype)
        price = exact_table(name, drawn.inputs, workers=workers)["price"]
        samples = _with_prices(name, drawn, price, dtype)
        exact = exact_table(f"{name} implied", samples.inputs, workers=workers)
        told = np.finfo(dtype).eps * exact["volatility"].conditioning < TOLD * exact["volatility"].scale
        samples, exact = samples.take(told), {k: column.take(told) for k, column in exact.items()}
        inputs = {k: v for k, v in samples.inputs.items() if k != "guess"}
        function = getattr(gj, name).implied_volatility
        computed = {"volatility": function(**inputs)}
        for argument, gradient in _gradients(function, inputs).items():
            if f"d volatility / d {argument}" in exact:
                computed[f"d volatility / d {argument}"] = gradient
        return _rows(title, dtype, samples, exact, computed, distance=_distance(samples, name))

    return group


def _with_prices(name: str, drawn: Samples, price: Column, dtype: str) -> Samples:
    """The samples with exact prices rounded to the dtype in place of volatilities, which remain as the oracle's guess.

    Left out here are prices below the normal range, and those in which the volatility shows in no digit at all, for
    which there may be no solution: a change of the price by one unit in the last place must move it by less than a
    tenth. (Worked out from the model's vega in float64; it need not be sharp.)
    """
    inputs = {k: v if v.dtype == bool else v.astype(np.float64) for k, v in drawn.inputs.items()}
    rounded = price.high.astype(dtype)
    d1, root = _signed_d1(drawn, name), np.sqrt(inputs["expiry"])
    asset = inputs.get("spot", inputs.get("forward", 0.0)) + inputs.get("shift", 0.0)
    discount = np.exp(-inputs.get("dividend_yield", inputs["rate"]) * inputs["expiry"])
    with np.errstate(over="ignore", divide="ignore"):
        vega = discount * (1.0 if name == "bachelier" else asset) * root * np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
        moved = np.finfo(dtype).eps * price.high / vega / inputs["volatility"]
    keep = (moved < 0.1) & (rounded > SMALLEST[dtype])
    chosen = drawn.take(keep)
    arrays = dict(chosen.inputs)
    guess = arrays.pop("volatility")
    return Samples({"price": rounded[keep], **arrays, "guess": guess}, chosen.region)


def _limits(group: str, dtype: str, count: int, workers: int) -> list[Row]:
    """At the edges themselves, volatility, expiry or strike zero, the price is the discounted payoff of the forward."""
    import gpujax as gj

    drawn = spot_options(max(2, count // 4), dtype, seed=5)
    rows = []
    for edge in ("volatility", "expiry", "strike"):
        inputs = {**drawn.inputs, edge: np.zeros_like(drawn.inputs[edge])}
        samples = Samples(inputs, np.full(drawn.region.shape, f"{edge} = 0"))
        exact = exact_table("intrinsic", inputs, workers=workers)
        rows += _rows(group, dtype, samples, exact, {"price": gj.black_scholes.price(**inputs)})
    return rows


def _on_forward(count: int, dtype: str) -> Samples:
    return forward_options(count, dtype, shifted=False)


def _shifted(count: int, dtype: str) -> Samples:
    return forward_options(count, dtype, shifted=True)


GROUPS: dict[str, Callable[..., list[Row]]] = {
    "normal distribution": _normal,
    "Black-Scholes": _model("black_scholes", spot_options),
    "limits of Black-Scholes": _limits,
    "cash-or-nothing": _digital("cash-or-nothing"),
    "asset-or-nothing": _digital("asset-or-nothing"),
    "Black-76": _model("black76", _on_forward),
    "displaced": _model("displaced", _shifted),
    "Bachelier": _model("bachelier", normal_model_options),
    "implied volatility, Black-Scholes": _implied("black_scholes", spot_options),
    "implied volatility, Black-76": _implied("black76", _on_forward),
    "implied volatility, displaced": _implied("displaced", _shifted),
    "implied volatility, Bachelier": _implied("bachelier", normal_model_options),
}


def _gradients(function: Callable[..., Any], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Derivative of each result by its own inputs, taken by JAX."""
    import jax
    import jax.numpy as jnp

    floats = {k: jnp.asarray(v) for k, v in inputs.items() if v.dtype != np.bool_}
    flags = {k: jnp.asarray(v) for k, v in inputs.items() if v.dtype == np.bool_}
    gradients = jax.jit(jax.grad(lambda x: jnp.sum(function(**x, **flags))))(floats)
    return {name: np.asarray(value) for name, value in gradients.items()}


def _rows(
    group: str,
    dtype: str,
    samples: Samples,
    exact: Mapping[str, Column],
    computed: Mapping[str, Any],
    *,
    distance: np.ndarray | None = None,
) -> list[Row]:
    """The worst errors of each computed function, region by region."""
    eps = float(np.finfo(dtype).eps)
    rows = []
    for name, got in computed.items():
        values, column = np.asarray(got), exact[name]
        assert values.dtype == dtype, f"{group} {name} came back as {values.dtype} for {dtype} inputs"
        expected = np.abs(column.high)
        largest = float(np.finfo(dtype).max) / 4
        normal = (column.scale >= SMALLEST[dtype]) & (expected <= largest) & (column.scale <= largest)
        if distance is not None:
            normal &= distance**2 < -2 * np.log(SMALLEST[dtype])
        tiny = column.scale < SMALLEST[dtype]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            error = column.error(values)
            relative = error / column.scale
            by_d = None if distance is None else relative / (eps * (1.0 + distance**2))
            by_inputs = error / (0.5 * eps * (column.conditioning + expected))
        # Where the exact answer is below the normal range the result must still be a number of no more than that size.
        bad = np.isnan(values) | (tiny & ~(np.abs(values) <= 10 * SMALLEST[dtype]))
        for region in dict.fromkeys(samples.region.tolist()):
            inside = samples.region == region
            counted = inside & normal & ~bad
            if not (inside & (normal | bad)).any():
                continue
            chosen = inside & bad if (inside & bad).any() else counted
            worst = int(np.argmax(np.where(chosen, np.nan_to_num(by_inputs, nan=np.inf), -1.0)))
            rows.append(
                Row(
                    group,
                    name,
                    dtype,
                    region,
                    int(counted.sum()),
                    int((inside & tiny).sum()),
                    int((inside & bad).sum()),
                    _worst(relative, counted),
                    None if by_d is None else _worst(by_d, counted),
                    _worst(by_inputs, counted),
                    {k: array[worst].item() for k, array in samples.inputs.items()}
                    | {"computed": repr(values[worst].item())},
                )
            )
    return rows


def _worst(errors: np.ndarray, among: np.ndarray) -> float:
    """The largest error, exact zeros over zero counting as none."""
    return float(np.nan_to_num(errors[among], nan=0.0).max(initial=0.0))


def _distance(samples: Samples, name: str = "black_scholes") -> np.ndarray:
    """The larger of |d1| and |d2| (in float64: it is only a yardstick)."""
    d1 = _signed_d1(samples, name)
    if name == "bachelier":
        return np.abs(d1)
    total = _total(samples.inputs)
    return np.maximum(np.abs(d1), np.abs(d1 - total))


def _signed_d1(samples: Samples, name: str) -> np.ndarray:
    i = {k: v if v.dtype == bool else v.astype(np.float64) for k, v in samples.inputs.items()}
    total = _total(i)
    if name == "bachelier":
        return (i["forward"] - i["strike"]) / total
    if "spot" in i:
        return (np.log(i["spot"] / i["strike"]) + (i["rate"] - i["dividend_yield"]) * i["expiry"]) / total + 0.5 * total
    shift = i.get("shift", 0.0)
    return np.log((i["forward"] + shift) / (i["strike"] + shift)) / total + 0.5 * total


def _total(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Total volatility; where volatilities are implied, the one that the price was made with."""
    volatility = inputs["volatility" if "volatility" in inputs else "guess"]
    return volatility.astype(np.float64) * np.sqrt(inputs["expiry"].astype(np.float64))


def _table(title: str, rows: Sequence[Row], *, every_region: bool) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for heading in ("function", "dtype", "region of the worst"):
        table.add_column(heading)
    for heading in ("points", "worst relative", "by d^2", "by inputs"):
        table.add_column(heading, justify="right")
    for row in rows if every_region else _overall(rows):
        by_d = "-" if row.worst_by_d is None else f"{row.worst_by_d:.3g}"
        table.add_row(row.function, row.dtype, row.region, f"{row.points:,}", f"{row.worst_relative:.2e}", by_d,
                      f"{row.worst_by_inputs:.3g}", style="bold red" if row.not_a_number else None)  # fmt: skip
    return table


def _overall(rows: Sequence[Row]) -> list[Row]:
    """One row per function and dtype: the worst over all regions, named after the one where it is worst by inputs."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.function, row.dtype), []).append(row)
    merged = []
    for same in found.values():
        worst = max(same, key=lambda row: (row.not_a_number, row.worst_by_inputs))
        by_d = [row.worst_by_d for row in same if row.worst_by_d is not None]
        merged.append(Row(
            worst.group, worst.function, worst.dtype, worst.region, sum(row.points for row in same),
            sum(row.underflowing for row in same), sum(row.not_a_number for row in same),
            max(row.worst_relative for row in same), max(by_d) if by_d else None, worst.worst_by_inputs, worst.at,
        ))  # fmt: skip
    return merged


def _plot(path: Path, rows: Sequence[Row]) -> None:
    """Worst error by inputs, a bar for every function, one panel a dtype."""
    from matplotlib.figure import Figure

    from benchmarks.harness.report import write_atomically

    merged = {
        dtype: [row for group in GROUPS for row in _overall([r for r in rows if (r.dtype, r.group) == (dtype, group)])]
        for dtype in DTYPES
    }
    figure = Figure(figsize=(15, 1.5 + 0.14 * max(map(len, merged.values()))), layout="constrained")
    for panel, (dtype, shown) in zip(figure.subplots(1, 2), merged.items(), strict=True):
        shown.reverse()
        panel.barh(range(len(shown)), [max(row.worst_by_inputs, 1e-2) for row in shown], color="#1b7837")
        panel.set_yticks(range(len(shown)), [f"{row.group}: {row.function}" for row in shown], fontsize=6)
        panel.set_xscale("log")
        panel.set_xlabel("worst error in units of what rounding the inputs would change", fontsize=8)
        panel.set_title(dtype)
        panel.margins(y=0.005)
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=110))


if __name__ == "__main__":
    raise SystemExit(main())
