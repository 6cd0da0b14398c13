"""The studies: what a report states and claims, read from YAML. A further report is a further file, and no code."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from cifarnet.config import document
from cifarnet.config.model import Model
from cifarnet.config.settings import Cyclic, Settings
from cifarnet.errors import ConfigError
from cifarnet.nested import flat
from cifarnet.report.numbers import Measure, Method, Remark, Reported, Text, quantity, resolution
from cifarnet.streams import stream

Scores = Literal["cost", "loss", "accuracy"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
TEST_IMAGES = 10_000


class Check(Model):
    """A gradient check: on how many images, the first or random ones, by which methods."""

    methods: tuple[Method, ...]
    samples: Annotated[int, Field(ge=1)]
    random: bool = False
    step: Annotated[float, Field(gt=0)]

    _tuples = field_validator("methods", mode="before")(
        lambda value: tuple(value) if isinstance(value, list) else value
    )


class Sample(Model):
    """Trials with lambda = 10^l that a report does not list: l is drawn between low and high."""

    low: float
    high: float
    trials: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]

    def rows(self) -> Iterator[dict[str, Any]]:
        for trial in range(self.trials):
            power = stream(self.seed, "search", trial).uniform(self.low, self.high)
            settings = {"training": {"lambda": 10**power}}
            yield {"id": f"sample-{trial + 1}", "title": f"l = {power:.4f} (sampled)", "settings": settings}


class Row(Model):
    """One training, or one gradient check, and what the report says of it."""

    id: Name
    title: Text
    settings: Settings
    check: Check | None = None
    place: str = ""
    figure: str = Field("", description="The figure of the report that shows it.")
    stated: dict[str, tuple[Text, ...]] = Field({}, description="Settings as the report prints them.")
    reported: tuple[Reported, ...] = ()

    _stated = field_validator("stated", mode="before")(lambda value: texts(value))
    _tuples = field_validator("reported", mode="before")(lambda value: tuple(value))


class Exhibit(Model):
    """A table, search or figure of a report: rows that share settings, which each row changes where it says so.

    In a ``stepwise`` one a row changes those of the row above it. ``reported`` is for all rows that have none.
    """

    id: Name
    title: Text
    place: Text
    rows: tuple[Row, ...]
    stated: dict[str, tuple[Text, ...]] = Field(
        {}, description="Settings as the report prints them; checked against the rows."
    )
    sample: Sample | None = None
    figures: tuple[Literal["cost", "loss", "accuracy", "eta", "templates", "lambda"], ...] = ()
    x: Literal["step", "epoch", "record"] = "step"
    stepwise: bool = False
    other: tuple[Remark, ...] = ()
    explanation: str = Field("", description="What was found, shown where a number of this exhibit differs.")

    _stated = field_validator("stated", mode="before")(lambda value: texts(value))
    _tuples = field_validator("figures", "other", mode="before")(lambda value: tuple(value))

    @model_validator(mode="before")
    @classmethod
    def _whole_rows(cls, raw: Any) -> Any:
        """Give every row its whole settings, and add the sampled rows."""
        shared, rows, whole = raw.get("settings", {}), list(raw.get("rows", ())), []
        if "sample" in raw:
            rows += Sample.model_validate(raw["sample"]).rows()
        for row in rows:
            settings = merged(shared, row.get("settings", {}))
            shared = settings if raw.get("stepwise") else shared
            whole.append({"reported": raw.get("reported", ())} | row | {"settings": settings})
        return {k: value for k, value in raw.items() if k not in ("settings", "reported")} | {"rows": tuple(whole)}

    @model_validator(mode="after")
    def _stated_settings_are_used(self) -> Exhibit:
        for row in self.rows:
            known = self.known(row)
            shared = {} if self.sample and row not in self.rows[: -self.sample.trials] else self.stated
            for key, printed in (shared | row.stated).items():
                for text in printed:
                    if key not in known or not means(text, known[key]):
                        raise ValueError(
                            f"row {row.id}: {key} is stated as {text!r} but is {known.get(key, 'no setting')}"
                        )
        return self

    def known(self, row: Row) -> dict[str, Any]:
        """Every setting of a row by its dotted key, with what follows from the settings under ``derived``."""
        whole = {"check": row.check, "sample": self.sample, "derived": derived(row.settings) | {"rows": len(self.rows)}}
        parts = {name: part.model_dump() if isinstance(part, Model) else part for name, part in whole.items()}
        found = flat(row.settings.model_dump(by_alias=True) | parts)
        return {key: v[0] if isinstance(v, tuple) and len(v) == 1 else v for key, v in found.items()}


class Claim(Model):
    """That one setting beats others, or that settings are alike; tested with paired seeds."""

    says: Text
    place: Text
    expect: Literal["first highest", "first lowest", "alike"]
    measure: Measure
    rows: Annotated[tuple[str, ...], Field(min_length=2)] = Field(description="As exhibit/row.")
    explanation: str = ""

    _tuples = field_validator("rows", mode="before")(lambda value: tuple(value))


class Study(Model):
    """A report: who wrote it, what is assumed where it is silent, its exhibits in order, and its claims."""

    id: Name
    title: Text
    author: Text
    year: int | None = None
    assumptions: tuple[Text, ...] = ()
    exhibits: Annotated[tuple[Exhibit, ...], Field(min_length=1)]
    claims: tuple[Claim, ...] = ()
    findings: str = Field("", description="What the reproduction found, in two sentences.")
    apart: bool = Field(False, description="Left out where a whole folder of studies is read.")

    _tuples = field_validator("assumptions", "exhibits", "claims", mode="before")(lambda value: tuple(value))

    @field_validator("claims")
    @classmethod
    def _rows_exist(cls, claims: tuple[Claim, ...], info: ValidationInfo) -> tuple[Claim, ...]:
        known = {f"{exhibit.id}/{row.id}" for exhibit in info.data.get("exhibits", ()) for row in exhibit.rows}
        if known and (missing := {name for claim in claims for name in claim.rows} - known):
            raise ValueError(f"no such row: {', '.join(sorted(missing))}; a row is named exhibit/row")
        return claims

    def row(self, name: str) -> Row:
        exhibit, _, row = name.partition("/")
        return next(r for e in self.exhibits if e.id == exhibit for r in e.rows if r.id == row)


class Stated(NamedTuple):
    """A setting as printed, at an exhibit or at one of its rows."""

    key: str
    text: str


def texts(value: Any) -> Any:
    """Printed settings: one text or several for each key."""
    return {key: tuple(text) if isinstance(text, list) else (text,) for key, text in value.items()}


def merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with a row's own laid over the shared ones, mapping by mapping; another kind of one takes its place."""
    if "kind" in own and own["kind"] != shared.get("kind", own["kind"]):
        return dict(own)
    both = {
        k: merged(shared[k], v) for k, v in own.items() if isinstance(v, Mapping) and isinstance(shared.get(k), Mapping)
    }
    return {**shared, **own, **both}


def derived(settings: Settings) -> dict[str, Any]:
    """What reports print that follows from the settings: epochs, numbers of images, how often a cost is recorded."""
    data, s = settings.data, settings.training.schedule
    values: dict[str, Any] = {
        "inputs": data.d,
        "classes": 10,
        "training_images": data.n_train,
        "test_images": TEST_IMAGES,
    }
    values["validation_images"] = data.validation if isinstance(data.validation, int) else 10_000 * len(data.validation)
    if isinstance(s, Cyclic) and settings.steps_per_epoch:
        n_s = settings.steps(s.n_s)
        values["epochs"] = 2 * n_s * s.cycles / settings.steps_per_epoch
        values["record_every"] = round(2 * n_s / (settings.evaluation.per_cycle or 10))
    return values


def means(text: str, value: Any) -> bool:
    """Whether a printed text is this setting, to its last digit; lambda may also be given as its power of ten."""
    if not isinstance(value, (int, float)):
        return False
    near = 1.0001 * resolution(text)  # the last digit may have been cut or rounded
    powers = [math.log10(value)] if value > 0 else []
    return any(abs(quantity(text) - number) <= near for number in [value, *powers])


def read(path: Path) -> Study:
    """Read one study.

    Raises
    ------
    ConfigError
        With every problem: file, line, key, and what would be right.
    """
    text = document.read(path, most=10_000)
    problems = [f"{path}:{p.line}: {'.'.join(map(str, p.path))}: {p.sentence}" for p in text.problems]
    if not problems and isinstance(text.value, dict):
        try:
            return Study.model_validate({"id": path.stem, **text.value})
        except ValidationError as error:
            problems = [
                f"{path}:{line(text.lines, e['loc'])}: {'.'.join(map(str, e['loc']))}: {e['msg']}"
                for e in error.errors()
            ]
    raise ConfigError(
        "\n".join(problems) or f"{path}: not a study; it has to be a mapping with title, author and exhibits"
    )


def line(lines: Mapping[tuple[str | int, ...], int], place: tuple[str | int, ...]) -> int:
    """The line of a key, or of the nearest one around it."""
    return next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 1)


def read_all(folder: Path) -> list[Study]:
    """Read every study of a folder, the course's own results first, the others by name; or the one in a file.

    Raises
    ------
    ConfigError
        If there is none, or one is wrong.
    """
    if folder.is_file():
        return [read(folder)]
    paths = sorted(folder.glob("*.yaml"), key=lambda path: (path.stem != "assignment", path.stem))
    if found := [study for path in paths if not (study := read(path)).apart]:
        return found
    raise ConfigError(f"{folder}: no studies (*.yaml); name the folder that holds them")
