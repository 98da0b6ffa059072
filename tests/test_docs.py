"""The documentation says what is: its examples run and print what it shows, its commands exist, no public name is missing."""

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import pytest

from gpujax.cli.main import _parser

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import figures
from public import public_modules, public_symbols

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)

# Runs the examples of several pages, each page in a namespace of its own, and writes what each block has printed.
DRIVER = """
import contextlib, io, json, pathlib, sys, traceback, warnings
warnings.simplefilter("error")
pages, results = json.loads(pathlib.Path(sys.argv[1]).read_text()), []
for name, blocks in pages:
    namespace = {"__name__": "__main__"}
    for place, text in blocks:
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out):
                exec(compile(text, f"{name}, {place}", "exec"), namespace)
            error = None
        except BaseException:
            error = traceback.format_exc()
        results.append([name, place, out.getvalue(), error])
        if error:
            break
pathlib.Path(sys.argv[2]).write_text(json.dumps(results))
"""


def blocks_of(page):
    """(line, language, text, reason not to run) of each fenced block."""
    content = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(content):
        line = content.count("\n", 0, match.start("language")) + 1
        yield line, match["language"], match["text"], match["reason"]


def examples_of(page):
    """(place, code, expected output or None) of each Python example that is run."""
    found = list(blocks_of(page))
    for index, (line, language, text, reason) in enumerate(found):
        if language == "python" and reason is None:
            following = found[index + 1] if index + 1 < len(found) else None
            shown = following is not None and following[1] == "text" and following[0] - line == text.count("\n") + 3
            yield f"line {line}", text, following[2] if shown else None


EXAMPLES = {str(page.relative_to(ROOT)): list(examples_of(page)) for page in PAGES}
EXAMPLES = {name: examples for name, examples in EXAMPLES.items() if examples}
# A page that asks for a configuration of its own needs a process of its own: one is in force per process.
ALONE = [
    name for name, examples in EXAMPLES.items() if any(re.search(r"configure\([^)]", code) for _, code, _ in examples)
] + ["docs/monte-carlo.md", "docs/choosing/monte-carlo.md"]  # these for their time: they simulate
GROUPS = [[name for name in EXAMPLES if name not in ALONE], *([name] for name in ALONE)]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder as a reader has it after `make demo`: the output of the demo and the example configurations."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "configs").symlink_to(ROOT / "configs")
    code = (
        "from pathlib import Path; from gpujax.demo import run_demo; run_demo(Path('output'), options=1000, rounds=1)"
    )
    run([sys.executable, "-c", code], folder)
    return folder


def run(command, folder):
    environment = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "GPUJAX_CONFIG", "GPUJAX_LOG")}
    environment |= {"JAX_PLATFORMS": "cpu", "GPUJAX_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT),
                    "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir}  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.integration
@pytest.mark.parametrize("names", GROUPS, ids=lambda names: names[0] if len(names) == 1 else "the others")
def test_examples_print_what_the_pages_show(names, workplace):
    request, answer = workplace / f"{id(names)}.json", workplace / f"{id(names)}.out.json"
    request.write_text(json.dumps([[name, [[place, code] for place, code, _ in EXAMPLES[name]]] for name in names]))
    run([sys.executable, "-c", DRIVER, str(request), str(answer)], workplace)
    printed = {(name, place): (out, error) for name, place, out, error in json.loads(answer.read_text())}
    problems = []
    for name in names:
        for place, _, expected in EXAMPLES[name]:
            out, error = printed.get((name, place), ("", "not run: an example above it on the page failed"))
            if error:
                problems.append(f"{name}, {place}:\n{error}")
            elif not agree(out, expected or ""):
                problems.append(f"{name}, {place}: prints\n{out}\nbut the page shows\n{expected or '(nothing)'}")
    assert not problems, "\n\n".join(problems)


def agree(printed, shown):
    """Whether output is what a page shows, trailing blanks aside; a line `...` stands for any lines, `...` for any text."""

    def lines(text):
        return "\n".join(line.rstrip() for line in text.strip().splitlines())

    pattern = re.escape(lines(shown)).replace(r"\.\.\.", "(?s:.*?)")
    return re.fullmatch(pattern, lines(printed)) is not None


def test_output_is_compared_to_the_digit():
    assert agree("a 1.5 \nb\n", "a 1.5\nb")
    assert agree("a 1.5\nb\nc", "a ...\n...\nc")
    assert not agree("a 1.50001", "a 1.5")
    assert not agree("a\nb", "a")


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_begin_with_configure(name):
    """Whatever a page computes, its first example puts a configuration into force, as a program should."""
    code = [code for _, code, _ in EXAMPLES[name]]
    computing = next((c for c in code if re.search(r"gj\.(?!detect|device\.|DeviceConfig|hub|components)", c)), None)
    if computing is not None:
        calls = re.findall(r"\bgj\.[\w.]+\(", computing)
        assert calls[0] == "gj.configure(", f"{name}: {calls[0]} comes before gj.configure()"


def test_commands_that_pages_show_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    seen = 0
    for page in PAGES:
        for line, language, text, _ in blocks_of(page):
            for shown in text.splitlines() if language == "console" else ():
                if not shown.startswith("$ "):
                    continue
                words = shlex.split(shown[2:], comments=True)
                while "=" in words[0]:
                    del words[0]
                words = words[: words.index("|")] if "|" in words else words
                where = f"{page.name}, near line {line}: {shown}"
                if words[0] == "gpujax":
                    try:
                        _parser().parse_args(words[1:])
                    except SystemExit as left:
                        raise AssertionError(f"no such command: {where}") from left
                elif words[0] == "make":
                    assert {w for w in words[1:] if "=" not in w} <= targets, where
                elif words[:2] == ["pip", "install"] and "[" in words[-1]:
                    extras = words[-1].partition("[")[2].rstrip("]").split(",")
                    assert set(extras) <= set(project["optional-dependencies"]), where
                else:
                    continue
                seen += 1
    assert seen > 10


def directives():
    """Path -> names listed under `members`, or None for all, of every `:::` in the reference."""
    found = {}
    for page in sorted((DOCS / "reference").glob("*.md")):
        for match in re.finditer(r"^::: ([\w.]+)\n((?: {4}.*\n)*)", page.read_text() + "\n", re.MULTILINE):
            members = re.search(r"members: (.*)", match[2])
            listed = None if members is None else re.findall(r"\w+", members[1].replace("false", ""))
            assert match[1] not in found, f"{match[1]} is in the reference twice"
            found[match[1]] = listed
    return found


def test_every_public_name_is_in_the_reference():
    shown = directives()
    missing = []
    for symbol in public_symbols():
        module, _, name = symbol.path.rpartition(".")
        if symbol.path not in shown and (module not in shown or name not in (shown[module] or [name])):
            missing.append(symbol.path)
    assert not missing, f"not in docs/reference/: {sorted(set(missing))}"
    unknown = [path for path in shown if not (ROOT / f"{path.replace('.', '/')}.py").is_file()
               and not (ROOT / path.replace(".", "/") / "__init__.py").is_file()]  # fmt: skip
    assert not unknown, f"in docs/reference/, but no such module: {unknown}"


def test_every_public_name_has_a_docstring():
    bare = [module.__name__ for module in public_modules() if not (module.__doc__ or "").strip()]
    for symbol in public_symbols():
        if inspect.isclass(symbol.value) or inspect.isroutine(symbol.value):
            text = vars(symbol.value).get("__doc__") if inspect.isclass(symbol.value) else symbol.value.__doc__
            # Dataclasses and NamedTuples without a docstring get their signature for one.
            if not text or text.startswith(f"{symbol.name}("):
                bare.append(symbol.path)
    assert not bare, f"without a docstring: {sorted(set(bare))}"
    assert len(public_symbols()) > 100


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in PAGES:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        targets = [target for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in target]
        broken += [f"{page.relative_to(ROOT)}: {target}" for target in targets if not (page.parent / target).exists()]
    assert not broken


@pytest.mark.parametrize("page", figures.PAGES, ids=lambda page: page.stem)
def test_tables_of_figures_are_those_of_the_results_on_record(page):
    text = page.read_text(encoding="utf-8")
    assert "<!-- figures: " in text
    assert text == figures.filled(text, figures.RESULTS), "run python docs/figures.py"


def test_tables_of_figures_come_from_results(tmp_path):
    about = {
        "date": "2030-01-02T03:04:05",
        "machine": {"processor": "Some CPU", "cores_available": 2, "jax_device": "cpu"},
        "versions": {"jax": "1.2.3", "python": "3.11.0"},
    }

    def contestant(name, nanoseconds, disagreement=None):
        times = [1e-9 * nanoseconds * share for share in (0.9, 1.0, 1.1)]
        return {"name": name, "quartiles_seconds_per_item": times, "disagreement": disagreement}

    price = {
        "workload": "Price, 1,000,000 options",
        "unit": "an option",
        "headline": {"gpujax, device arrays": {"fastest_peer": {"to": "a peer", "ratio": 3.14159}}},
        "contestants": [
            contestant("gpujax, device arrays", 5.0),
            contestant("gpujax, NumPy, accelerate", 7.5),
            contestant("a peer", 15.7),
            contestant("a wrong one", 1.0, "price off"),
        ],
    }
    errors = [
        {"group": "Black-Scholes", "function": "price", "dtype": dtype, "region": region, "worst_relative": relative,
         "worst_by_inputs": by_inputs}
        for dtype, region, relative, by_inputs in (
            ("float64", "ordinary", 3e-15, 1.25), ("float64", "wings", 1e-15, 2.75), ("float32", "wings", 2e-7, 0.5),
        )
    ]  # fmt: skip
    (tmp_path / "black_scholes.json").write_text(
        json.dumps({"facts": about, "results": [price, {**price, "workload": "Price, 10 options"}]})
    )
    (tmp_path / "accuracy.json").write_text(json.dumps({"facts": about, "rows": errors}))
    frame = "before\n<!-- figures: {} -->\nold\n<!-- end of figures -->\nafter"
    speed = figures.filled(frame.format("speed"), tmp_path)
    assert "| Price, 1,000,000 options | 5 ns | 7.5 ns | 15.7 ns (a peer) | 3.1 |" in speed
    assert "Price, 10 options" not in speed  # README's table is the largest size alone
    assert "| Price, 10 options | 5 ns |" in figures.filled(frame.format("speed-in-full"), tmp_path)
    assert "Some CPU, 2 cores, CPU; JAX 1.2.3, Python 3.11.0; 2030-01-02." in speed
    assert "old" not in speed
    assert speed.startswith("before\n")
    assert speed.endswith("<!-- end of figures -->\nafter")
    assert figures.filled(speed, tmp_path) == speed
    assert "| Black-Scholes price | 2.8 | 0.5 |" in figures.filled(frame.format("accuracy"), tmp_path)
    full = figures.filled(frame.format("accuracy-in-full"), tmp_path)
    assert "| Black-Scholes: price | float64 | wings | 3.0e-15 | 2.8 |" in full
    assert figures.filled(frame.format("speed"), tmp_path / "nowhere") == frame.format("speed")
