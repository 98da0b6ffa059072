"""Griffe extension: the docstrings of gpujax as Markdown.

gpujax writes docstrings to be read in a terminal: `Arguments:` with indented entries, one-line sections such as
`Returns: ...`, examples as `>>>`. This turns them into lists, bold words and code blocks, and leaves prose alone.
"""

import re

import griffe

__all__ = ["Docstrings", "to_markdown"]

_SECTION = re.compile(
    r"^(Arguments|Fields|Returns|Raises|Warns|Edges|Cost|Accuracy|Error|Sources?|References?)\b([^:]*):(?: +(.*))?$"
)
# An entry of a list of arguments: a name, or several, possibly in `code` or with a value, then a colon.
_ENTRY = re.compile(r"^(`?[\w.\"][\w, .\"/*`]*?):(?: +(.*))?$")


class Docstrings(griffe.Extension):
    """Rewrites every docstring, and hides attributes that have none: the class's own docstring describes its fields."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Called once for every function, class, module and attribute."""
        if obj.is_class:
            for name, member in list(obj.members.items()):
                special = member.is_attribute or (name.startswith("__") and name != "__init__")
                if special and not member.is_alias and not member.has_docstring:
                    del obj.members[name]
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text: str) -> str:
    """A docstring of gpujax as Markdown."""
    lines = text.splitlines()
    result: list[str] = []
    position = 0
    while position < len(lines):
        line = lines[position]
        section = _SECTION.match(line)
        if section:
            block, position = _block(lines, position + 1, whole_paragraph=section[3] is not None)
            result += ["", *_section(*section.groups(), block), ""]
        elif line.startswith(">>>"):
            end = position
            while end < len(lines) and lines[end].strip():
                end += 1
            result += ["", "```pycon", *lines[position:end], "```", ""]
            position = end
        elif line.startswith("    ") and result and not result[-1].strip():
            # An example or a table in the prose of a module's docstring.
            block, position = _block(lines, position)
            result += ["", *_example(block), ""]
        else:
            result.append(line.strip())
            position += 1
    return "\n".join(result).strip()


def _block(lines: list[str], start: int, *, whole_paragraph: bool = False) -> tuple[list[str], int]:
    """The lines from `start` on that are indented or empty, without their indentation, and where they end.

    With `whole_paragraph`, also lines that are not indented, up to the first empty one.
    """
    end = start
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith(" ")):
        end += 1
    if whole_paragraph and (end == start or lines[end - 1].strip()):
        while end < len(lines) and lines[end].strip() and not _SECTION.match(lines[end]):
            end += 1
    block = lines[start:end]
    while block and not block[-1].strip():
        block.pop()
    return [line[4:] if line.startswith("    ") else line.lstrip() for line in block], end


def _section(word: str, remark: str, rest: str | None, block: list[str]) -> list[str]:
    title = f"**{word}**{remark}:"
    if rest is not None or word not in ("Arguments", "Fields"):
        return [" ".join([title, rest or "", *(line.strip() for line in block)])]
    entries: list[str] = []
    for line in block:
        entry = _ENTRY.match(line)
        if entry and not line.startswith(" "):
            names = re.sub(r"[\w.]+", lambda name: f"`{name[0]}`", entry[1].replace("`", ""))
            entries.append(f"- {names if len(names) < 80 else entry[1]}: {entry[2] or ''}")
        elif line.strip() and entries:
            entries[-1] += f" {line.strip()}"
        elif line.strip():
            entries.append(f"- {line.strip()}")
    return [title, "", *entries]


def _example(block: list[str]) -> list[str]:
    is_code = any(line.startswith((">>>", "import ", "from ")) or "=" in line for line in block)
    return ["```python" if is_code else "```text", *block, "```"]
