"""YAML text as plain values: numbers as YAML 1.2 has them, a line for every key, and nothing that can run code or grow.

The text is read as parser events and no YAML constructor is ever called, so a tag has nothing that it could start.
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

WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
WORDS |= dict.fromkeys(["true", "True", "TRUE"], True) | dict.fromkeys(["false", "False", "FALSE"], False)
DIGITS = r"[0-9]+(?:_[0-9]+)*"
NUMBERS: list[tuple[re.Pattern[str], Callable[[str], int | float]]] = [
    (re.compile(rf"[-+]?{DIGITS}"), int),
    (re.compile(r"0x[0-9a-fA-F]{1,16}|0o[0-7]{1,21}"), lambda text: int(text, 0)),
    (re.compile(rf"[-+]?(?:\.{DIGITS}|{DIGITS}(?:\.(?:{DIGITS})?)?)(?:[eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), lambda text: float(text.replace(".", ""))),
]


class Problem(NamedTuple):
    """Something wrong at a key: where in the text, and a sentence that says what would be right."""

    line: int
    path: KeyPath
    sentence: str


class Document(NamedTuple):
    """A YAML text as plain values, with the line of every key and whatever was wrong; whole if it was read to its end."""

    value: Any
    lines: dict[KeyPath, int]
    problems: list[Problem]
    whole: bool


class Refused(Exception):
    """The text is not worth reading any further."""


def scalar(text: str) -> Any:
    """The value of an unquoted word by YAML 1.2's core schema, underscores between digits allowed as in Python."""
    if text in WORDS:
        return WORDS[text]
    for pattern, convert in NUMBERS:
        if pattern.fullmatch(text):
            try:
                return convert(text)
            except ValueError:  # more digits than Python turns into an int: no number that a setting could have
                return text
    return text


class Composer:
    """Builds plain values from parser events; problems that leave the rest readable are collected on the way."""

    def __init__(self, text: str) -> None:
        self.events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self.nodes = 0
        self.line = 1

    def document(self) -> Any:
        next(self.events)  # start of the stream
        if isinstance(self.event(), yaml.StreamEndEvent):
            return None
        value = self.node((), self.event())
        next(self.events)  # end of the document
        if not isinstance(self.event(), yaml.StreamEndEvent):
            raise Refused("a second document starts here; a config is one document")
        return value

    def event(self) -> Any:
        event = next(self.events)
        self.line = event.start_mark.line + 1
        return event

    def report(self, path: KeyPath, sentence: str) -> None:
        self.problems.append(Problem(self.line, path, sentence))

    def node(self, path: KeyPath, event: Any) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Refused(f"more than {MAX_NODES} values; a config has a few dozen")
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
            if key in self.lines:
                self.report(key, f"given twice, on lines {self.lines[key]} and {self.line}; remove one")
            self.lines[key] = self.line
            items[event.value] = self.node(key, self.event())
        return items


def parse(text: str) -> Document:
    """Plain values of a YAML text; never raises, whatever the text is."""
    composer, value, whole = Composer(text), None, False
    try:
        value, whole = composer.document(), True
    except Refused as error:
        composer.report((), str(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        composer.problems.append(Problem(line, (), f"the control character {error.character!r} is not text; remove it"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else composer.line
        composer.problems.append(Problem(line, (), f"not valid YAML: {error.problem}"))
    except (ValueError, OverflowError):  # PyYAML on a \U escape beyond Unicode, or a %YAML version of 5,000 digits
        composer.report((), "not valid YAML: an impossible escape or directive after this line")
    return Document(value, composer.lines, composer.problems, whole)


def read(path: Path) -> Document:
    """The YAML file at path; of a file that is too large no more is read than shows it.

    Raises
    ------
    OSError, ValueError
        The file cannot be opened or read.
    """
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        return refusal(f"larger than {MAX_BYTES:,} bytes; a config is a few kilobytes")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return refusal("this is UTF-16; save it as UTF-8")
    if b"\0" in raw:
        return refusal("this is binary, not text; a config is YAML in UTF-8")
    try:
        return parse(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return refusal(f"byte {raw[error.start]:#04x} is not UTF-8; save the file as UTF-8", line)


def refusal(sentence: str, line: int = 0) -> Document:
    return Document(None, {}, [Problem(line, (), sentence)], whole=False)
