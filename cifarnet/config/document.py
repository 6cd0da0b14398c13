"""YAML in and out: the words of YAML 1.2, the line of every key; no tags, no aliases, no key given twice."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

KeyPath = tuple[str | int, ...]
TAG = "tag:yaml.org,2002:"
DIGITS = r"[0-9]+(?:_[0-9]+)*"
WORDS = {  # YAML 1.2's core schema, with underscores between digits; the first that fits
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": rf"[-+]?{DIGITS}|0x[0-9a-fA-F]+|0o[0-7]+",
    "float": rf"[-+]?(?:\.{DIGITS}|{DIGITS}(?:\.(?:{DIGITS})?)?)(?:[eE][-+]?[0-9]+)?|"
    r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}


class YamlProblem(NamedTuple):
    """Something wrong with a text: its line, the key if there is one, and what would be right."""

    line: int
    path: KeyPath
    sentence: str


class Document(NamedTuple):
    """A YAML text as plain values (None where it cannot be read), the line of every key, and all that is wrong."""

    value: Any
    lines: dict[KeyPath, int]
    problems: list[YamlProblem]


class Loader(yaml.SafeLoader):
    """Reads one document of plain values."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[YamlProblem] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse tags, which name what can run code, and aliases, a few of which can stand for a billion values."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor:
            self.refuse("anchors and aliases are not allowed; write the value out", event)
        if getattr(event, "tag", None):
            self.refuse(f"the tag {event.tag.replace(TAG, '!!')} is not allowed; write a plain value", event)
        return super().compose_node(parent, index)

    def refuse(self, sentence: str, place: Any) -> None:
        raise yaml.MarkedYAMLError(problem=sentence, problem_mark=place.start_mark)

    def plain(self, node: Any, path: KeyPath = ()) -> Any:
        """Return the value of a node, and keep the line of every key in it."""
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(item, (*path, i)) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return self.construct_object(node)
        values: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.refuse("a key must be a word, not a list or a mapping", key)
            here, line = (*path, key.value), key.start_mark.line + 1
            if key.value in values:
                sentence = f"given twice, on lines {self.lines[here]} and {line}; remove one"
                self.problems.append(YamlProblem(line, here, sentence))
            self.lines[here] = line
            values[key.value] = self.plain(value, here)
        return values


class Dumper(yaml.SafeDumper):
    """Writes a line for each key, lists in brackets, and quotes around text that looks like another type."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for name, pattern in WORDS.items():
    for cls in (Loader, Dumper):
        cls.add_implicit_resolver(TAG + name, re.compile(rf"(?:{pattern})\Z"), None)
Loader.add_constructor(TAG + "int", lambda _, node: int(node.value, 0 if node.value[:2] in ("0x", "0o") else 10))
Dumper.add_representer(list, lambda dumper, data: dumper.represent_sequence(f"{TAG}seq", data, flow_style=True))


def read_yaml(path: Path) -> Document:
    """Read a YAML file; raise OSError if there is none."""
    raw = path.read_bytes()
    try:
        return parse_yaml(raw.decode())
    except UnicodeDecodeError as error:
        sentence = f"byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8"
        return Document(None, {}, [YamlProblem(raw.count(b"\n", 0, error.start) + 1, (), sentence)])


def parse_yaml(text: str) -> Document:
    """Return what a YAML text says and all that is wrong with it; raise nothing."""
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        return Document(loader.plain(node) if node else None, loader.lines, loader.problems)
    except yaml.MarkedYAMLError as error:
        sentence = str(error.problem).removeprefix("but ")
        if error.context_mark and str(error.context).startswith("while"):
            sentence += f" {error.context} that starts on line {error.context_mark.line + 1}"
        line = error.problem_mark.line + 1 if error.problem_mark else 1
    except (yaml.reader.ReaderError, ValueError, OverflowError, RecursionError) as error:
        sentence = getattr(error, "reason", str(error))
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
    return Document(None, {}, [YamlProblem(line, (), f"cannot be read as YAML: {sentence}")])


def dotted(path: KeyPath) -> str:
    """Return a path as people write it: data.train[0]."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
