"""Many runs at a glance: listed, filtered, sorted and compared, from the records in their folders alone."""

from __future__ import annotations

import contextlib
import difflib
import json
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from cifarnet import runs
from cifarnet.errors import ConfigError, RunError
from cifarnet.nested import flat

FACTS = ("run", "kind", "label", "status", "started", "seconds")
ACCURACIES = ("validation_accuracy", "test_accuracy")
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Entry:
    """One run folder as its run.json tells it; of a damaged one, that it is unreadable."""

    path: Path
    info: Mapping[str, Any] = field(default_factory=lambda: {"status": "unreadable"})

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Dotted keys and values of what was set."""
        return flat(self.info.get("settings", {}))

    @property
    def results(self) -> dict[str, float]:
        """The results that are single numbers."""
        return {key: v for key, v in self.info.get("results", {}).items() if isinstance(v, (int, float))}

    @cached_property
    def values(self) -> dict[str, Any]:
        """All that a run can be filtered, sorted and shown by."""
        facts = {key: self.info[key] for key in FACTS if key in self.info}
        return self.settings | self.results | facts | {"run": self.path.name}

    def age(self, now: datetime) -> float:
        """Seconds since it was started; infinite where that is not known."""
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return (now - datetime.fromisoformat(self.info["started"])).total_seconds()
        return float("inf")


def entry(path: Path) -> Entry:
    """Read one run."""
    try:
        return Entry(path, runs.read(path))
    except RunError:
        return Entry(path)


def entries(runs_dir: Path) -> list[Entry]:
    """All runs of a folder, the newest first."""
    return [entry(path) for path in reversed(runs.folders(runs_dir))]


def select(found: Iterable[Entry], conditions: Iterable[str]) -> list[Entry]:
    """Those runs that meet all conditions, such as ``training.lambda<1e-3`` or ``status=completed``.

    A run that has no such value meets no condition but ``!=``. The last part of a key is enough where it is the only
    one of its name.

    Raises
    ------
    ConfigError
        A condition is none, or no run has the key.
    """
    found = list(found)
    for condition in conditions:
        match = re.fullmatch(r"([^<>=!]+?)\s*(<=|>=|!=|=|<|>)=?\s*(.+)", condition.strip())
        if not match:
            raise ConfigError(f"--filter {condition!r} is not KEY, one of < <= = != >= >, VALUE")
        name, sign, text = match.groups()
        key = column(name, found, "--filter")
        found = [e for e in found if meets(e.values.get(key), COMPARISONS[sign], text)]
    return found


def meets(value: Any, compare: Callable[[Any, Any], bool], text: str) -> bool:
    """Whether a run's value compares so with the text of a condition: as numbers where both are."""
    if value is None:
        return compare is operator.ne
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return compare(value, float(text))
        except ValueError:
            return compare is operator.ne
    return compare(shown(value), text)


def arrange(found: Sequence[Entry], key: str) -> list[Entry]:
    """Sort by a key, the smallest first, or the largest with a minus before it; runs without the value come last.

    Raises
    ------
    ConfigError
        No run has the key.
    """
    name = column(key.removeprefix("-"), found, "--sort")

    def rank(e: Entry) -> tuple[bool, float, str]:
        value = e.values[name]
        number = isinstance(value, (int, float))
        return not number, value if number else 0, "" if number else shown(value)

    known = sorted((e for e in found if e.values.get(name) is not None), key=rank, reverse=key.startswith("-"))
    return known + [e for e in found if e.values.get(name) is None]


def column(name: str, found: Sequence[Entry], option: str) -> str:
    """The full key that a name stands for."""
    known = {key for e in found for key in e.values} | set(FACTS) | set(ACCURACIES)
    if not found or name in known:
        return name
    ends = [key for key in known if key.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    by_end = {key.rpartition(".")[2]: key for key in known} | {key: key for key in known}
    near = ends or [by_end[key] for key in difflib.get_close_matches(name, by_end, 3)] or known
    raise ConfigError(f"{option} {name}: no run has such a value; try one of {', '.join(sorted(set(near)))}")


def differing(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys whose values are not the same in all the mappings."""
    keys = dict.fromkeys(key for table in tables for key in table)
    return [key for key in keys if any(table.get(key) != tables[0].get(key) for table in tables)]


def columns(found: Sequence[Entry]) -> list[str]:
    """What a table of runs shows of each: only those settings that differ between them, and not how a search goes."""
    of_settings = [e.settings for e in found if e.info["status"] != "unreadable"]
    settings = (key for key in differing(of_settings) if key != "label" and not key.startswith("search"))
    return [*settings, *ACCURACIES]


def shown(value: Any) -> str:
    """A setting as it is written in a config."""
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def handles(found: Sequence[Entry]) -> dict[Path, str]:
    """The shortest name of each run that a command takes: when it was started, where no other shares it."""
    times = [e.path.name[:15] for e in found]
    counts = Counter(times)
    return {e.path: time if counts[time] == 1 else e.path.name for e, time in zip(found, times, strict=True)}


def best(found: Iterable[Entry], count: int) -> list[Entry]:
    """The runs of highest validation accuracy."""
    measured = [e for e in found if "validation_accuracy" in e.results]
    return sorted(measured, key=lambda e: -e.results["validation_accuracy"])[:count]


def environment(path: Path) -> dict[str, Any]:
    """What a run recorded that its results may depend on, one line each; the command line is none of it."""
    known = runs.read_environment(path)
    flat = {key: value for key, value in known.items() if key not in ("argv", "data", "blas")}
    flat |= {f"data.{key}": value for key, value in known.get("data", {}).items()}
    for number, pool in enumerate(known.get("blas", [])):
        flat |= {f"blas.{number}.{key}" if number else f"blas.{key}": value for key, value in pool.items()}
    return flat


CAUSES = {
    "data.": "the images are not the same",
    "git_": "the code is not the same",
    "cifarnet": "the code is not the same",
    "blas.num_threads": "sums are split differently over the threads of the BLAS",
    "blas.": "another BLAS rounds differently",
    "numpy": "another NumPy brings another BLAS",
    "cpu": "the BLAS takes other kernels on another CPU",
}


def explain(a: Entry, b: Entry) -> str | None:
    """Why the results of two runs of the same settings differ, as far as it is recorded; None if they do not."""
    if a.results == b.results:
        return None
    changed = differing([environment(a.path), environment(b.path)])
    causes: dict[str, list[str]] = {}
    for key in changed:
        if cause := next((cause for start, cause in CAUSES.items() if key.startswith(start)), None):
            causes.setdefault(cause, []).append(key)
    said = "; ".join(f"{cause} ({', '.join(keys)})" for cause, keys in causes.items())
    return said or "nothing that was recorded explains it"


def causes(found: Sequence[Entry]) -> Iterator[dict[str, Any]]:
    """Each run that differs from the first one of the same settings, and what explains it."""
    for i, b in enumerate(found):
        a = next(e for e in found[: i + 1] if same_settings(e, b))
        if a is not b and (why := explain(a, b)):
            yield {"runs": [a.path.name, b.path.name], "why": why}


def same_settings(a: Entry, b: Entry) -> bool:
    """Whether all but the label is the same."""
    return a.settings | {"label": ""} == b.settings | {"label": ""}


def results(found: Sequence[Entry]) -> list[str]:
    """The names of what runs reached, status and time first."""
    return [*dict.fromkeys(["status", "seconds", *(key for e in found for key in e.results)])]


def has_curves(e: Entry) -> bool:
    """Whether there is a training in the folder."""
    return (e.path / "metrics.csv").is_file()
