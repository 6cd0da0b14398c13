"""YAML text as plain values: numbers as YAML 1.2 has them, the line of every key, nothing that can run code or grow.

The text is read as PyYAML's parser events and no constructor is ever called, so a tag has nothing that it could start.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 1_000_000
MAX_NODES = 1000
MAX_DEPTH = 20

KeyPath = tuple[str | int, ...]

WORDS: dict[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
DIGITS = r"[0-9]+(?:_[0-9]+)*"
NUMBERS: list[tuple[str, Callable[[str], int | float]]] = [
    (rf"[-+]?{DIGITS}", int),
    (r"0x[0-9a-fA-F]{1,16}|0o[0-7]{1,21}", lambda text: int(text, 0)),
    (rf"[-+]?(?:\.{DIGITS}|{DIGITS}(?:\.(?:{DIGITS})?)?)(?:[eE][-+]?[0-9]+)?", float),
    (r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", lambda text: float(text.replace(".", ""))),
]


class Problem(NamedTuple):
    """Something wrong at a key: its line (0: the text as a whole), and a sentence that says what would be right."""

    line: int
    path: KeyPath
    sentence: str


class Document(NamedTuple):
    """A YAML text as plain values, the line of every key, what was wrong, and whether it could be read to its end."""

    value: Any
    lines: dict[KeyPath, int]
    problems: list[Problem]
    whole: bool


class Refused(Exception):
    """The text is not worth reading any further."""

    def __init__(self, sentence: str, line: int = 0) -> None:
        super().__init__(sentence)
        self.line = line


def scalar(text: str) -> Any:
    """The value of an unquoted word by YAML 1.2's core schema, underscores allowed between digits."""
    if text in WORDS:
        return WORDS[text]
    convert = next((convert for pattern, convert in NUMBERS if re.fullmatch(pattern, text)), str)
    try:
        return convert(text)
    except ValueError:  # more digits than Python turns into an int: no number that a setting could have
        return text


def read(path: Path, most: int = MAX_NODES) -> Document:
    """The YAML file at path, of at most so many values; no more of it is read than shows that it is too large.

    Raises
    ------
    OSError, ValueError
        The file cannot be opened or read.
    """
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    try:
        return parse(decode(raw), most)
    except Refused as error:
        return Document(None, {}, [Problem(error.line, (), str(error))], whole=False)


def decode(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise Refused(f"larger than {MAX_BYTES:,} bytes; a config is a few kilobytes")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused("this is UTF-16; save it as UTF-8")
    if b"\0" in raw:
        raise Refused("this is binary, not text; a config is YAML in UTF-8")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Refused(f"byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8", line) from error


def parse(text: str, most: int = MAX_NODES) -> Document:
    """Plain values of a YAML text; never raises, whatever the text is."""
    composer = Composer(text, most)
    try:
        return Document(composer.document(), composer.lines, composer.problems, whole=True)
    except Refused as error:
        line, sentence = composer.line, str(error)
    except yaml.reader.ReaderError as error:
        line, sentence = text.count("\n", 0, error.position) + 1, "a control character, which YAML does not take"
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else composer.line
        opened = error.context_mark.line + 1 if error.context_mark else line  # where the bracket or quote opens
        sentence = f"not valid YAML{composer.after(opened)}: {error.problem}"
    except (ValueError, OverflowError):  # PyYAML on a \U escape beyond Unicode, or a %YAML version of 5,000 digits
        line = composer.line
        sentence = f"not valid YAML{composer.after(line)}: an impossible escape or directive"
    return Document(None, composer.lines, [*composer.problems, Problem(line, (), sentence)], whole=False)


class Composer:
    """Builds plain values from parser events; problems that leave the rest readable are collected on the way."""

    def __init__(self, text: str, most: int) -> None:
        self.most = most
        self.events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self.nodes = 0
        self.line = 1

    def event(self) -> Any:
        event: Any = next(self.events)
        self.line = event.start_mark.line + 1
        return event

    def after(self, line: int) -> str:
        """The last key up to a line, for errors that have a place but no key."""
        path = next((path for path, place in reversed(self.lines.items()) if place <= line), ())
        return f" after {'.'.join(map(str, path))}" if path else ""

    def report(self, path: KeyPath, sentence: str) -> None:
        self.problems.append(Problem(self.line, path, sentence))

    def document(self) -> Any:
        self.event()  # the stream starts
        if isinstance(self.event(), yaml.StreamEndEvent):
            return None
        value = self.node((), self.event())
        self.event()  # the document ends
        if not isinstance(self.event(), yaml.StreamEndEvent):
            raise Refused("a second document starts here; a config is one document")
        return value

    def node(self, path: KeyPath, event: Any) -> Any:
        self.nodes += 1
        if self.nodes > self.most:
            raise Refused(f"more than {self.most} values; a config has a few dozen")
        if len(path) > MAX_DEPTH:
            raise Refused(f"nested more than {MAX_DEPTH} deep; a config needs three levels")
        if isinstance(event, yaml.AliasEvent):
            return self.report(path, f"the alias *{event.anchor} is not read; write the value out")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.report(path, f"the tag {tag} is not read; write a plain value")
        if isinstance(event, yaml.ScalarEvent):
            return scalar(event.value) if event.implicit[0] else event.value
        return self.mapping(path) if isinstance(event, yaml.MappingStartEvent) else self.sequence(path)

    def sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self.event(), yaml.SequenceEndEvent):
            items.append(self.node((*path, len(items)), event))
        return items

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := self.event(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise Refused("a key must be a word, not a list, a mapping or an alias")
            key = (*path, event.value)
            if event.value in items:
                self.report(key, f"given twice, on lines {self.lines[key]} and {self.line}; remove one")
            self.lines[key] = self.line
            items[event.value] = self.node(key, self.event())
        return items
