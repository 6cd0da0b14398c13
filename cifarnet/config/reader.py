"""From config file, environment, --set and flags to validated settings, each with its origin."""

from __future__ import annotations

import copy
import logging
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from cifarnet.config import document
from cifarnet.config.document import Document, KeyPath
from cifarnet.config.files import find
from cifarnet.config.problems import describe, inside, legible, locate, quoted, shown
from cifarnet.config.settings import LABEL, Settings
from cifarnet.config.writer import plain
from cifarnet.errors import ConfigError
from cifarnet.nested import flat

LOG = logging.getLogger(__name__)
VARIABLE = "CIFARNET_SET"


class Resolved(NamedTuple):
    """Settings, and for every dotted key where its value comes from: default, figure-3.yaml:7, --set, ..."""

    settings: Settings
    origins: dict[str, str]


class Mark(NamedTuple):
    """Where a value comes from. A higher layer wins: 0 the file, 1 the environment, 2 --set, 3 a flag."""

    layer: int
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name


def load(source: str | Path | Mapping[str, Any] | None = None, overrides: Sequence[str] = (), **flags: Any) -> Settings:
    """Settings from a config file and what goes over it: CIFARNET_SET, overrides, flags.

    Parameters
    ----------
    source
        A file, the name of a shipped config such as figure-3, or a mapping like one; None for the defaults.
    overrides
        Texts such as "training.lambda=0.001". Mappings are merged key by key; of two values for one key the later
        wins. Where a kind is changed, keys of a lower layer that the new kind has no use for are dropped.
    **flags
        Top-level settings such as seed=1, which win over all else; None means not given.

    Raises
    ------
    ConfigError
        With a line for everything that is wrong.
    """
    return resolve(source, overrides, **flags).settings


def saved(path: Path) -> Settings:
    """The settings that a run folder keeps: what the file says, whatever the environment does.

    Raises
    ------
    ConfigError
        As load.
    """
    layers = Layers()
    layers.file(path)
    return layers.settings()


def resolve(
    source: str | Path | Mapping[str, Any] | None = None, overrides: Sequence[str] = (), **flags: Any
) -> Resolved:
    """As load, with where every value comes from."""
    layers = Layers()
    if isinstance(source, Mapping):
        layers.lay(source, Mark(0, 0, "dict"))
    elif source is not None:
        layers.file(find(source))
    layers.environment(os.environ)
    for word in overrides:
        layers.override(word, Mark(2, 0, "--set"))
    for name, value in flags.items():
        if value is not None:
            layers.lay({name: value}, Mark(3, 0, f"--{name}"))
    settings = layers.settings()
    marks = {".".join(map(str, path)): str(mark) for path, mark in layers.marks.items()}
    return Resolved(settings, {key: marks.get(key, "default") for key in flat(plain(settings))})


def override(settings: Settings, values: Mapping[str, Any], name: str) -> Settings:
    """The settings with other values at some dotted keys, checked like those of a file; name is told in errors.

    Raises
    ------
    ConfigError
        With a line for everything that is wrong.
    """
    layers = Layers()
    layers.lay(plain(settings), Mark(0, 0, "settings"))
    for key, value in values.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        layers.lay(value, Mark(2, 0, name))
    return layers.settings()


class Layers:
    """The layers laid over each other as plain values, where each came from, and all that was wrong with them."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.marks: dict[KeyPath, Mark] = {}
        self.problems: list[tuple[Mark, str]] = []
        self.broken: set[KeyPath] = set()
        self.whole = True

    def report(self, mark: Mark, path: KeyPath, sentence: str, *value: Any) -> None:
        key = " = ".join([shown(path), *map(quoted, value)])
        self.problems.append((mark, f"{key}: {sentence}" if path else sentence))
        if path:
            self.broken.add(path)

    def file(self, path: Path) -> None:
        LOG.info("config %s", path)
        mark = Mark(0, 0, path.name)
        try:
            read = document.read(path)
        except (OSError, ValueError) as error:
            raise ConfigError(legible(f"{path}: cannot be read: {error}")) from error
        if re.fullmatch(LABEL, path.stem):
            self.lay({"label": path.stem}, mark)
        self.text(read, (), mark)

    def environment(self, environ: Mapping[str, str]) -> None:
        mark = Mark(1, 0, VARIABLE)
        try:
            for word in shlex.split(environ.get(VARIABLE, "")):
                self.override(word, mark)
        except ValueError as error:
            self.report(mark, (), f"{error}; write KEY=VALUE words, quoted as in a shell")

    def override(self, word: str, mark: Mark) -> None:
        key, equals, text = word.partition("=")
        path = tuple(key.split("."))
        if not equals or not all(path) or len(path) > document.MAX_DEPTH:
            self.report(mark, (), f"{quoted(word)} is not KEY=VALUE, such as training.lambda=0.001")
        else:
            self.text(document.parse(text), path, mark)

    def text(self, read: Document, path: KeyPath, mark: Mark) -> None:
        """Lay what a text says over what is there: at path, or as a whole."""
        for line, inner, sentence in read.problems:
            self.report(mark._replace(line=0 if path else line), (*path, *inner), sentence)
        self.whole &= read.whole or bool(path)  # of an override that cannot be read only its own key is in doubt
        value = read.value
        for key in reversed(path):
            value = {key: value}
        if isinstance(value, dict):
            self.lay(value, mark, {} if path else read.lines)
        elif value is not None:
            self.report(mark, (), f"{quoted(value)} is no config; write keys and values, such as seed: 1")

    def lay(self, values: Any, mark: Mark, lines: Mapping[KeyPath, int] | None = None, path: KeyPath = ()) -> None:
        """Put values over those at path, mappings key by key."""
        [node] = present(self.tree, path)
        for key, value in values.items():
            here = (*path, key)
            merged = isinstance(value, dict) and isinstance(node.get(key), dict)
            if not merged:
                node[key] = {} if isinstance(value, dict) else value
                self.marks[here] = mark._replace(line=(lines or {}).get(here, 0))
            if isinstance(value, dict):
                self.lay(value, mark, lines, here)

    def settings(self) -> Settings:
        """What the layers say together.

        Raises
        ------
        ConfigError
            With a line for everything that is wrong.
        """
        settings, errors = validate(self.tree)
        while any([self.repair(error) for error in errors]):
            settings, errors = validate(self.tree)
        if self.whole:
            self.explain(errors)
        if self.problems or settings is None:
            raise ConfigError("\n".join(legible(f"{mark}: {text}") for mark, text in sorted(self.problems)))
        return settings

    def repair(self, error: Any) -> bool:
        """Take 1e3 for the whole number it is, and drop what a kind chosen in a higher layer has no use for."""
        path = locate(error, self.tree)
        [node] = present(self.tree, path[:-1])
        value = next(iter(present(self.tree, path)), None)
        if error["type"] == "int_type" and isinstance(value, float) and value.is_integer():
            node[path[-1]] = int(value)
            return True
        if error["type"] == "extra_forbidden" and len(error["loc"]) > len(path):  # the location names an alternative
            chosen = [self.mark((*path[:-1], key)) for key, value in node.items() if value == error["loc"][-2]]
            if chosen and chosen[0].layer > self.mark(path).layer:
                del node[path[-1]]
                return True
        return False

    def explain(self, errors: list[Any]) -> None:
        """Report the errors, and contradictions between values of which none is in doubt."""
        for path, sentence in describe(own(errors), self.tree).items():
            if path not in self.broken:
                self.report(self.mark(path), path, sentence, *present(self.tree, path))
        doubtful, tree = frozenset(self.broken), copy.deepcopy(self.tree)
        remove(tree, doubtful)
        _, errors = validate(tree)
        while own(errors):
            remove(tree, {locate(error, tree) for error in own(errors)})
            _, errors = validate(tree)
        for error in errors:
            for keys, value, sentence in error["ctx"]["found"]:
                paths: list[KeyPath] = [tuple(key.split(".")) for key in keys]
                if not any(path == bad or inside(path, bad) or inside(bad, path) for path in paths for bad in doubtful):
                    mark = next(self.marks[path] for path in paths if path in self.marks)
                    self.report(mark, paths[0], sentence, value)

    def mark(self, path: KeyPath) -> Mark:
        known = (self.marks[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.marks)
        return next(known, Mark(0, 0, "settings"))


def validate(tree: Any) -> tuple[Settings | None, list[Any]]:
    try:
        return Settings.model_validate(tree, by_alias=True, by_name=False), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def own(errors: list[Any]) -> list[Any]:
    """Those of single values."""
    return [error for error in errors if error["type"] != "contradictions"]


def present(tree: Any, path: KeyPath) -> list[Any]:
    """The value at a path, in a list that is empty if there is none."""
    for part in path:
        if not (part in tree if isinstance(tree, dict) else isinstance(tree, list) and part in range(len(tree))):
            return []
        tree = tree[part]
    return [tree]


def remove(tree: dict[str, Any], paths: set[KeyPath] | frozenset[KeyPath]) -> None:
    """Take out what is at the paths; where nothing is there, what should hold it."""
    targets = {next(path[:n] for n in range(len(path), -1, -1) if present(tree, path[:n])) for path in paths}
    for path in sorted(targets, key=str, reverse=True):  # backwards, so that places in a list stay what they were
        if not path:
            tree.clear()
        elif present(tree, path):
            del present(tree, path[:-1])[0][path[-1]]
