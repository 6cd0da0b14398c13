"""Many runs at a glance: listed, filtered and sorted, from the records in their folders alone."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import eq, ge, gt, le, lt, ne
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from cifarnet.errors import ConfigError
from cifarnet.readable import brief, duration, is_number, mean_std, percent, shown, spread
from cifarnet.runs import storage
from cifarnet.runs.environment import facts
from cifarnet.runs.run import Run

COMPARISONS = {"<=": le, ">=": ge, "!=": ne, "==": eq, "=": eq, "<": lt, ">": gt}
FIRST = [  # settings as lists show them, before all others; where there is no room, the last go first
    *("training.lambda", "training.schedule.n_s", "network.hidden", "training.schedule.eta_max"),
    *("training.schedule.eta_min", "training.schedule.eta", "data.limit", "seed", "data.source", "split"),
]
RANK = {key: place for place, key in enumerate(FIRST)}
SPLIT = ("data.train", "data.validation")  # one column
CONDITION = re.compile(r"([^<>=!~]+?)\s*(<=|>=|!=|==|=|<|>)\s*([^<>=!~\s].*)")


def split(run: Run) -> str | None:
    """Return the training batches, and the validation batches or how many images are held out: 1, 2 / 5000 images."""
    train, validation = (run.choices.get(key) for key in SPLIT)
    if not train or not validation:
        return None
    return f"{shown(train).strip('[]')} / {shown(validation).strip('[]')}{' images' * isinstance(validation, int)}"


class Column(NamedTuple):
    """What lists show of each run: the value of a key, or one derived from it, as ``show`` writes it for people.

    In CSV it is the value itself. Columns of numbers stand on the right, after the settings. A table that is too wide
    loses columns in the order of ``keep``, and never those without.
    """

    key: str
    show: Callable[[Any], str] = shown
    outputs: tuple[str, ...] = ("table", "csv", "page")
    number: bool = False
    keep: int | None = None
    value: Callable[[Run], Any] | None = None

    def of(self, run: Run) -> Any:
        """Return the value for a run, None where it has none."""
        return self.value(run) if self.value else run.values.get(self.key)

    def summary(self, runs: Sequence[Run]) -> str:
        """Return what a person reads of a run, or of several in one row."""
        values = [value for run in runs if (value := self.of(run)) is not None]
        if values and self.show in (percent, duration):
            return spread(values) if self.show is percent else duration(fmean(values))
        return ", ".join(dict.fromkeys(map(self.show, sorted(values, key=str if self.key != "seed" else int))))


COLUMNS = {  # by heading
    "run": Column("run"),
    "kind": Column("kind", keep=20),
    "label": Column("label", keep=len(FIRST) + 3),
    "status": Column("status", keep=len(FIRST) + 4),
    "started": Column("started", outputs=("csv", "page")),
    "seconds": Column("seconds", outputs=("csv",)),
    "validation": Column("validation_accuracy", percent, number=True),
    "test": Column("test_accuracy", percent, number=True),
    "time": Column("seconds", duration, ("table", "page"), number=True, keep=5),
}


def columns(runs: Sequence[Run], output: str) -> dict[str, Column]:
    """Return what an output shows of runs, by heading (in CSV by key): of the settings those that differ."""
    keys = [key for key in differing_settings(runs) if key != "label" and not key.startswith("search")]
    if output != "csv":
        keys = [*dict.fromkeys("split" if key in SPLIT else key for key in keys)]
    keys.sort(key=lambda key: RANK.get(key, len(RANK)))
    settings = {}
    for key, name in short_names(keys).items():
        keep = 6 + len(RANK) - RANK[key] if key in RANK else 0
        settings[name] = Column(key, brief, number=True, keep=keep, value=split if key == "split" else None)
    here = {heading: column for heading, column in COLUMNS.items() if output in column.outputs}
    every = {heading: column for heading, column in here.items() if not column.number} | settings | here
    return {column.key: column for column in every.values()} if output == "csv" else every


def short_names(keys: Collection[str]) -> dict[str, str]:
    """Return the names that lists and figures have for settings: the last part of the key, or the last two parts.

    The last part of some is that of a column, or of a setting that is shown more often: dropout.hidden, optimizer.kind.
    """
    ends = Counter(last_part(key) for key in {*FIRST, *COLUMNS, *keys})
    clear = {key for key in keys if key in FIRST or ends[last_part(key)] == 1}
    return {key: last_part(key) if key in clear else ".".join(key.split(".")[-2:]) for key in keys}


def last_part(key: str) -> str:
    return key.rpartition(".")[2]


def fold(runs: Sequence[Run], key: str) -> list[list[Run]]:
    """Group trainings that differ in one setting alone, such as the seed; of equal ones the first stands for all."""
    groups: dict[str, dict[str, Run]] = {}
    for run in runs:
        others = {name: value for name, value in run.choices.items() if name not in (key, "label")}
        group = groups.setdefault(json.dumps([run.status, others if run.kind == "train" else run.name]), {})
        group.setdefault(shown(run.choices.get(key)), run)
    return [list(group.values()) for group in groups.values()]


def folded(group: Sequence[Run], columns: Mapping[str, Column]) -> dict[str, Any]:
    """Return a group of runs as one row of values: how many they are, mean and standard deviation of numbers."""
    row: dict[str, Any] = {"runs": len(group)}
    for key, column in columns.items():
        values = [value for run in group if (value := column.of(run)) is not None]
        if column.show is percent or key == "seconds":
            row[key], row[f"{key}_std"] = mean_std(values) if values else (None, None)
        else:
            row[key] = values[0] if len(set(map(shown, values))) == 1 else values
    return row


def list_runs(runs_dir: Path) -> list[Run]:
    """Return all runs of a folder, the newest first; the damaged ones are ``unreadable``."""
    return [Run.listed(path) for path in reversed(storage.folders(Path(runs_dir).expanduser()))]


def select(runs: Sequence[Run], conditions: Iterable[str]) -> list[Run]:
    """Return the runs that meet all conditions, such as ``training.lambda<1e-3`` or ``test_accuracy>44 %``.

    A run without the value, or with a text where the condition has a number, meets ``!=`` alone. ConfigError if a
    condition is none, no run has the key, or the key's values are numbers and this one is not.
    """
    tests = [parse(condition, runs) for condition in conditions]
    return [run for run in runs if all(test(run) for test in tests)]


def parse(condition: str, runs: Sequence[Run]) -> Callable[[Run], bool]:
    """Return the test that a condition is: of numbers where a run's value is one, else of text."""
    match = CONDITION.fullmatch(condition.strip())
    if not match:
        raise ConfigError(f"--filter {condition!r} is not KEY, one of < <= = != >= >, VALUE: such as lambda<=0.01")
    key, compare, text = full_key(match[1], runs, "--filter"), COMPARISONS[match[2]], match[3]
    text += " %" if key.endswith("accuracy") and (number(text) or 0) > 1 else ""
    known = [value for run in runs if (value := run.values.get(key)) is not None]
    if any(isinstance(value, list) for value in known):  # 50 is [50], and 0 is []
        text = text.strip("[] ").replace(" ", "") or "0"
    if (wanted := number(text)) is None and text != "null" and known and all(map(is_number, known)):
        raise ConfigError(f"--filter {condition!r}: {key} is a number such as {shown(known[0])}, and {text!r} is none")

    def test(run: Run) -> bool:
        value = plain(run.values.get(key))
        if value is None or text == "null":
            same = (value is None) == (text == "null")
            return same if compare is eq else compare is ne and not same
        if is_number(value):
            return compare is ne if wanted is None else bool(compare(value, wanted))
        return bool(compare(shown(value), text)) and (wanted is None or compare in (eq, ne))  # 2 epochs is not < 60

    return test


def plain(value: Any) -> Any:
    """Return a list as conditions have it: layers [50] as 50, [50, 30] as 50,30, none as 0."""
    if not isinstance(value, list):
        return value
    return value[0] if len(value) == 1 else ",".join(map(shown, value)) or 0


def number(text: str) -> float | None:
    """Return what a number, or a percentage, is; None for other text."""
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        return None


def arrange(runs: Sequence[Run], key: str) -> list[Run]:
    """Sort by a key, smallest first, or with a minus before it largest first; runs without the value come last."""
    name = full_key(key.removeprefix("-"), runs, "--sort")

    def rank(run: Run) -> tuple[bool, float, str]:
        value = run.values[name]
        return (False, value, "") if isinstance(value, (int, float)) else (True, 0, shown(value))

    known = [run for run in runs if run.values.get(name) is not None]
    return sorted(known, key=rank, reverse=key.startswith("-")) + [run for run in runs if run not in known]


def full_key(name: str, runs: Sequence[Run], option: str) -> str:
    """Return the key that a name, or the last part of it, stands for; ConfigError proposes others."""
    name = COLUMNS[name].key if name in COLUMNS else name
    columns = [column.key for column in COLUMNS.values()]
    known = {key for run in runs for key in run.values}.union(columns)
    if not runs or name in known:
        return name
    ends = [key for key in known if key.endswith(f".{name}")]
    ends = [key for key in ends if key in FIRST] or ends  # those that lists show under this name
    if len(ends) == 1:
        return ends[0]
    by_end = {last_part(key): key for key in known} | {key: key for key in known}
    near = ends or [by_end[key] for key in difflib.get_close_matches(name, by_end, 3)]
    others = ["a setting such as training.lambda", *dict.fromkeys(columns)]
    raise ConfigError(f"{option} {name}: no run has such a value; try {', '.join(sorted(set(near)) or others)}")


def differing(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys whose values are not the same in all the mappings."""
    keys = dict.fromkeys(key for table in tables for key in table)
    return [key for key in keys if any(table.get(key) != tables[0].get(key) for table in tables)]


def differing_settings(runs: Sequence[Run]) -> list[str]:
    """Return the settings that differ between those runs that have recorded theirs."""
    return differing([{key: run.values.get(key) for key in run.choices} for run in runs if run.choices])


def handles(runs: Sequence[Run]) -> dict[Path, str]:
    """Return the shortest name of each run that a command takes: when it was started, where no other began then."""
    counts = Counter(run.name[:15] for run in runs)
    return {run.path: run.name[:15] if counts[run.name[:15]] == 1 else run.name for run in runs}


def recorded_facts(run: Run) -> dict[str, Any]:
    """Return what a run's results may depend on besides its settings; nothing of one that has not recorded it."""
    return facts(run.environment) if (run.path / "environment.json").exists() else {}
