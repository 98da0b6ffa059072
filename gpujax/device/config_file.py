"""Reading and writing configuration files: YAML with line numbers, no repeated keys, and no way to run code.

Knows text and files only; what the fields mean is in `config.py`.
"""

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from gpujax.errors import ConfigError

__all__ = ["Parsed", "flow", "read", "write_atomically", "write_text"]

# A configuration is a page of text; anything larger is not one, and is not worth a parser's time.
_LARGEST_FILE = 1_000_000

_HEADER = """\
# A gpujax device configuration. Put it beside your program as gpujax.yaml, or name it in GPUJAX_CONFIG.
# Change any value; delete a line to have that field chosen for the hardware found.
"""

_WHY_HEADER = """\
# Why each value was chosen. Not needed to run: when you change a value above, its reason here is set aside.
"""


@dataclasses.dataclass(frozen=True)
class Parsed:
    """What a configuration file says: values and reasons by field, and the line of each field."""

    name: str
    values: dict[str, Any]
    reasons: dict[str, Any]
    lines: dict[str, int]

    def locate(self, field: str) -> str:
        """`"file, line 3: "`, to stand before a message about a field."""
        return f"{self.name}, line {self.lines[field]}: " if field in self.lines else f"{self.name}: "


def read(source: str | os.PathLike[str]) -> Parsed:
    """Parse YAML text, or the file at a path, into values by field; ConfigError names the file and the line.

    A string with a line break or a `key: value` in it is text, any other string a path.
    """
    if isinstance(source, str) and ("\n" in source or ": " in source or source.rstrip().endswith((":", "}"))):
        return _parse(source, "YAML text")
    path = Path(source).expanduser()
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{path}: {path.stat().st_size:,} bytes is too large for a configuration file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; write one with `gpujax detect --write {path.name or 'gpujax.yaml'}`"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 (byte {error.start}); is it a configuration file?") from error
    return _parse(text, str(path))


def write_text(values: Mapping[str, Any], why: Mapping[str, str], meanings: Mapping[str, str]) -> str:
    """YAML text with the meaning of each field above it and the reasons below."""
    lines = [_HEADER]
    for name, value in values.items():
        lines.append(f"# {meanings[name]}\n{name}: {flow(value)}\n")
    lines.append(_WHY_HEADER + "why:")
    lines.extend(f"  {name}: {flow({'chosen': values[name], 'because': reason})}" for name, reason in why.items())
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """A value as one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1 << 30, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part."""
    target = Path(path).expanduser()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", text=True)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp makes files for the owner alone; an ordinary file follows the user's umask.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _parse(text: str, name: str) -> Parsed:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return _from_node(node, loader, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}, line {mark.line + 1}" if mark else name
        raise ConfigError(f"{where}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from error
    finally:
        loader.dispose()


def _from_node(node: yaml.Node | None, loader: yaml.SafeLoader, name: str) -> Parsed:
    if node is None:
        return Parsed(name, {}, {}, {})
    if not isinstance(node, yaml.MappingNode) or node.tag != "tag:yaml.org,2002:map":
        raise ConfigError(
            f"{name}, line {node.start_mark.line + 1}: expected lines of `field: value`, such as `platform: cpu`"
        )
    _refuse_repeated_keys(node, name, set())
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        lines[key] = key_node.start_mark.line + 1
        values[key] = loader.construct_object(value_node, deep=True)
    reasons = _current_reasons(values.pop("why", None), values)
    return Parsed(name, values, reasons, lines)


def _refuse_repeated_keys(node: yaml.Node, name: str, seen: set[int]) -> None:
    # YAML lets the last of two equal keys win in silence; somebody who edits the first would wonder.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeated_keys(item, name, seen)
    if isinstance(node, yaml.MappingNode):
        first_line: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{name}, line {line}: a field's name must be a word")
            if key.value in first_line:
                raise ConfigError(
                    f"{name}, line {line}: {key.value} is given twice, first on line {first_line[key.value]}; "
                    "keep one of them"
                )
            first_line[key.value] = line
            _refuse_repeated_keys(value, name, seen)


def _current_reasons(why: Any, values: Mapping[str, Any]) -> Any:
    """The reasons whose value is still the one in the file; a reason as plain text always counts."""
    if why is None:
        return {}
    if not isinstance(why, Mapping):
        return why
    reasons: dict[str, Any] = {}
    for name, reason in why.items():
        if not (isinstance(reason, Mapping) and set(reason) == {"chosen", "because"}):
            reasons[name] = reason
        elif name in values and reason["chosen"] == values[name]:
            reasons[name] = reason["because"]
    return reasons
