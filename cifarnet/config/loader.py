"""From config file, environment, --set and flags to validated settings, and where each value comes from."""

from __future__ import annotations

import difflib
import logging
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from cifarnet.config.document import Document, Dumper, KeyPath, dotted, parse_yaml, read_yaml
from cifarnet.config.keys import current_key, keys_of
from cifarnet.config.problems import describe, quoted
from cifarnet.config.schema import Settings, as_label
from cifarnet.errors import ConfigError, printable
from cifarnet.readable import as_plain, flatten, leaves

LOG = logging.getLogger(__name__)
VARIABLE = "CIFARNET_SET"
KINDS = ("training.schedule", "training.optimizer")  # a word there is the kind
OVER = ("search", "over")


class Resolved(NamedTuple):
    """Settings, and for every dotted key where its value comes from: default, figure-3.yaml:7, --set, ..."""

    settings: Settings
    origins: dict[str, str]


class Mark(NamedTuple):
    """Where a value comes from. A higher layer wins: 0 the file, 1 the environment, 2 --set, 3 a flag."""

    layer: int
    name: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}" if self.line else self.name


def load(source: str | Path | Mapping[str, Any] | None = None, overrides: Sequence[str] = (), **flags: Any) -> Settings:
    """Return the settings of a config file and of what goes over it: CIFARNET_SET, overrides, flags.

    ``source`` is a file, the name of a shipped config such as figure-3, or a mapping like one; None for the defaults.
    Overrides are texts such as "training.lambda=0.001"; flags are top-level settings such as seed=1, which win over
    everything else, None if not given. Mappings are merged key by key, but for `search.over`; of two values for one key
    the later wins. Where a kind is changed, keys of a lower layer that the new kind does not have are dropped.
    ConfigError has a line for every value that is wrong or, once all are right, for all that contradict each other.
    """
    return resolve(source, overrides, **flags).settings


def resolve(
    source: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    options: Mapping[str, str] = {},
    *,
    in_python: bool = False,
    **flags: Any,
) -> Resolved:
    """Return what `load` does, with the origin of every value; ``options`` are overrides with a name as their origin.

    Options such as {"--n-s": "training.schedule.n_s=9"} are of the layer of flags. Errors ``in_python`` name arguments.
    """
    layers = Layers()
    if isinstance(source, Mapping):
        layers.lay(source, Mark(0, "dict"))
    elif source is not None:
        layers.lay_file(find(source))
    environment = Mark(1, VARIABLE)
    try:
        layers.lay_words(shlex.split(os.environ.get(VARIABLE, "")), environment)
    except ValueError as error:
        layers.problems.append((environment, f"{error}; write KEY=VALUE words, quoted as in a shell"))
    layers.lay_words(overrides, Mark(2, "overrides" if in_python else "--set"))
    for name, word in options.items():
        layers.lay_words(word, Mark(3, name))
    for name, value in flags.items():
        if value is not None:
            layers.lay({name: value}, Mark(3, name if in_python else f"--{name}"))
    settings = layers.settings()
    return Resolved(settings, {key: str(layers.marks.get(key, "default")) for key in flatten(plain(settings))})


def load_saved(path: Path) -> Settings:
    """Return the settings that a run folder keeps, whatever the environment says; raise ConfigError as `load`."""
    layers = Layers()
    layers.lay_file(path)
    return layers.settings()


def override(settings: Settings, values: Mapping[str, Any], name: str) -> Settings:
    """Return the settings with other values at dotted keys; ``name`` is their origin in a ConfigError."""
    layers = Layers()
    layers.lay(plain(settings), Mark(0, "settings"))
    for key, value in values.items():
        layers.lay(value, Mark(2, name), tuple(key.split(".")))
    return layers.settings()


def plain(settings: Settings) -> dict[str, Any]:
    """Return settings as YAML and JSON have them, in the order of the classes."""
    return settings.model_dump(mode="json", by_alias=True)


def dump(settings: Settings) -> str:
    """Return the settings as complete YAML, which loads back equal."""
    return yaml.dump(plain(settings), Dumper=Dumper, sort_keys=False, width=10_000, allow_unicode=True)


def find(source: str | Path) -> Path:
    """Return the config file of this path, or else the shipped one of this name; raise ConfigError without either."""
    path, configs = Path(source), shipped()
    with suppress(OSError, ValueError):  # a name that no file system takes
        if path.exists() and not path.is_dir():
            return path
    if (name := str(source).removesuffix(".yaml")) in configs:
        return configs[name]
    near = difflib.get_close_matches(path.stem, configs, 1)
    hint = f"did you mean {near[0]}?" if near else f"name a YAML file, or one of {', '.join(configs)}"
    raise ConfigError(printable(f"{quoted(str(source))}: no such config; {hint}"))


def shipped() -> dict[str, Path]:
    """Return the configs that come with cifarnet, by name."""
    return {path.stem: path for path in sorted(folder().glob("*.yaml"))}


def folder() -> Path:
    """Return where the shipped configs and studies are: in the installed package, or beside it in the repository."""
    package = Path(__file__).parent.parent
    return package / "configs" if (package / "configs").is_dir() else package.parent / "configs"


class Layers:
    """Plain values laid over each other, where each comes from by its dotted key, and what is wrong."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.marks: dict[str, Mark] = {}
        self.problems: list[tuple[Mark, str]] = []

    def lay_file(self, path: Path) -> None:
        """Lay the values of a config file; its name is the label where the file has none."""
        LOG.info("config %s", path)
        mark = Mark(0, path.name)
        try:
            found = read_yaml(path)
        except OSError as error:
            raise ConfigError(printable(f"{path}: cannot be read: {error}")) from error
        if label := as_label(path.stem):
            self.lay({"label": label}, mark)
        self.lay_text(found, mark)
        if self.problems and not isinstance(found.value, dict):
            raise self.error()

    def lay_words(self, words: Iterable[str], mark: Mark) -> None:
        """Lay texts such as training.lambda=0.001, or one."""
        for word in [words] if isinstance(words, str) else words:
            key, equals, text = word.partition("=")
            if equals and all(path := tuple(key.strip().split("."))):
                self.lay_text(parse_yaml(text), mark, path)
            else:
                self.problems.append((mark, f"{quoted(word)} is not KEY=VALUE, such as training.lambda=0.001"))

    def lay_text(self, found: Document, mark: Mark, path: tuple[str, ...] = ()) -> None:
        """Lay what a text says, and report what is wrong with it."""
        for line, inner, sentence in found.problems:
            key = f"{dotted((*path, *inner))}: " if path or inner else ""
            self.problems.append((mark._replace(line=0 if path else line), key + sentence))
        if isinstance(found.value, dict) or (path and not found.problems):
            self.lay(found.value, mark, path, {} if path else found.lines)
        elif found.value is not None:
            self.problems.append((mark, f"{quoted(found.value)} is no config; write keys and values, such as seed: 1"))

    def lay(self, value: Any, mark: Mark, path: tuple[str, ...] = (), lines: Mapping[KeyPath, int] = {}) -> None:
        """Put a value over what is at a path, mappings key by key; but what is searched is one value."""
        if path == OVER and isinstance(self.tree.get("search"), dict):
            self.tree["search"].pop("over", None)
        for written, leaf in leaves(as_plain(value), path):
            place = tuple(map(current_key, written))
            if isinstance(leaf, str) and dotted(place) in KINDS:
                place = (*place, "kind")
            *parents, key = place
            node = self.tree
            for parent in parents:
                if not isinstance(node.get(parent), dict):
                    node[parent] = {}
                node = node[parent]
            if leaf != {} or not isinstance(node.get(key), dict):
                node[key] = leaf
            for n in range(1, len(place) + 1):
                self.marks[dotted(place[:n])] = mark._replace(line=lines.get(written[:n], 0))
            if key == "kind" and (known := keys_of(str(leaf))):  # an unknown kind is an error of its own
                for other in set(node) - known:  # keys that this kind does not have go, but for those of its own layer
                    if self.marks[dotted((*parents, other))].layer < mark.layer:
                        del node[other]

    def settings(self) -> Settings:
        """Return what the layers say together, or raise ConfigError with a line for everything that is wrong."""
        try:
            settings = Settings.model_validate(self.tree, by_alias=True, by_name=False)
        except ValidationError as error:
            self.report_errors(error.errors(include_url=False))
        else:
            if not self.problems:
                return settings
        raise self.error()

    def report_errors(self, errors: list[Any]) -> None:
        """Report values that are wrong or, once there are none, values that contradict each other."""
        if errors[0]["type"] != "contradictions":
            for path, text in describe(errors, self.tree).items():
                self.problems.append((self.mark([dotted(path[:n]) for n in range(len(path), 0, -1)]), text))
        elif not self.problems:
            self.problems += [(self.mark(keys), line) for keys, line in errors[0]["ctx"]["lines"]]

    def mark(self, keys: Sequence[str]) -> Mark:
        return next((self.marks[key] for key in keys if key in self.marks), Mark(0, "settings"))

    def error(self) -> ConfigError:
        return ConfigError("\n".join(printable(f"{mark}: {text}") for mark, text in sorted(self.problems)))
