"""Studies: what a report states and claims, read from YAML. Another report is another file, and no code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cifarnet import config
from cifarnet.config import Settings
from cifarnet.errors import ConfigError
from cifarnet.nn.random import generator
from cifarnet.setting import Setting, as_tuple
from cifarnet.studies.check import Check
from cifarnet.studies.figures import Curve, Floats, read_curves, read_templates
from cifarnet.studies.printed import Measure, Name, Printed, Remark, Reported, Several, Text

Basis = Literal["stated", "forced", "author's program", "plausible", "chosen after the numbers"]
BASES: tuple[Basis, ...] = get_args(Basis)  # from the firmest down
FILLED = re.compile(r"\{([a-z0-9.-]+/[a-z0-9.-]+) ([a-z_.]+)\}")  # of an explanation: {EXHIBIT/ROW MEASURE}, our mean


class Sample(Setting):
    """Trials with lambda = 10^l that a report does not list: l is drawn between low and high."""

    low: float
    high: float
    trials: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)]

    def rows(self) -> Iterator[dict[str, Any]]:
        for trial in range(self.trials):
            power = generator(self.seed, "search", trial).uniform(self.low, self.high)
            settings = {"training": {"lambda": 10**power}}
            yield {"id": f"sample-{trial + 1}", "title": f"l = {power:.4f} (sampled)", "settings": settings}


class Row(Setting):
    """One training, or one gradient check, and what the report says of it; ``exhibit`` is that of which it is a row."""

    id: Name
    exhibit: str = ""
    title: Text
    settings: Settings
    check: Check | None = None
    place: str = ""
    figure: str = Field("", description="The figure of the report that shows it.")
    stated: Printed = Field({}, description="Settings as the report prints them.")
    reported: Several[Reported] = ()
    alternative: str = Field("", description="The other reading of an assumption; such a row is not counted.")

    @property
    def name(self) -> str:
        """EXHIBIT/ROW."""
        return f"{self.exhibit}/{self.id}"

    def measured(self, number: Reported) -> str:
        """Return the name of a number's measure in the results of this training or gradient check."""
        if self.check:
            return ".".join([number.method or self.check.methods[0], number.parameter or "all", number.measure])
        return ("first." if number.at == "first" else "") + number.measure


class Exhibit(Setting):
    """A table, search or figure of a report: rows with common settings, each with changes of its own.

    In a ``stepwise`` one a row changes the settings of the row above it. ``reported`` is for all rows that have none.
    """

    id: Name
    title: Text
    place: Text
    rows: Annotated[Several[Row], Field(min_length=1)]
    stated: Printed = Field({}, description="Settings as the report prints them, of all its rows.")
    sample: Sample | None = None
    figures: Several[Literal["cost", "loss", "accuracy", "eta", "templates", "lambda"]] = ()
    x: Literal["step", "epoch", "record"] = "step"
    stepwise: bool = False
    trials: int | None = Field(None, ge=1, description="Of a search, where they are not as many as its rows.")
    trials_are_stated: bool = Field(True, description="If not, there may be as few as those that are printed.")
    held_out: Literal["unknown", "ours"] = Field("unknown", description="Whether its held-out images are those here.")
    other: Several[Remark] = ()
    explanation: str = Field("", description="What was found, shown where a number of this exhibit is incompatible.")

    @model_validator(mode="before")
    @classmethod
    def _complete_rows(cls, raw: Any) -> Any:
        """Give every row all of its settings, and add the sampled rows."""
        rows = raw.get("rows") if isinstance(raw, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError("must be a mapping with id, title, place and rows, a list of mappings")
        shared, complete = raw.get("settings", {}), []
        for row in [*rows, *(Sample.model_validate(raw["sample"]).rows() if "sample" in raw else ())]:
            settings = merged(shared, row.get("settings", {}))
            shared = settings if raw.get("stepwise") else shared
            own = {"settings": settings, "exhibit": str(raw.get("id"))}
            complete.append({"reported": raw.get("reported", ())} | row | own)
        return {k: v for k, v in raw.items() if k not in ("settings", "reported")} | {"rows": tuple(complete)}


class Assumption(Setting):
    """How a report is read where it does not say, or contradicts itself, and what that rests on.

    ``tries`` are rows that are trained under the ``other`` reading too: settings by dotted key, or ``measure``.
    """

    says: Text
    basis: Basis = "plausible"
    source: str = ""
    exhibits: Several[str] = Field((), description="Exhibits or rows that rest on it; none: all.")
    other: dict[str, Any] = Field({})
    otherwise: str = Field("", description="The other reading in words.")
    tries: Several[str] = ()

    def concerns(self, row: Row) -> bool:
        return not self.exhibits or row.exhibit in self.exhibits or row.name in self.exhibits

    def alternative(self, row: Row, number: int) -> Row:
        """Return a row under the other reading."""
        changes = {key: value for key, value in self.other.items() if key != "measure"}
        measure = {"measure": self.other["measure"]} if "measure" in self.other else {}
        reported = [r.model_copy(update={"explanation": "", "best": None} | measure) for r in row.reported]
        other = config.override(row.settings, changes, self.says)
        parts = {key.partition(".")[0] for key in changes}  # the others are stated as before, the seed among them
        settings = row.settings.model_copy(update={name: getattr(other, name) for name in parts})
        name, title = f"{row.id}.other-{number}", f"{row.title}, read otherwise: {self.otherwise}"
        changed = {"settings": settings, "stated": {}, "reported": tuple(reported), "alternative": self.otherwise}
        return row.model_copy(update={"id": name, "title": title} | changed)


class Finding(Setting):
    """What the reproduction found: shown where a number of the exhibit (or row) has the verdict that it explains."""

    says: Text
    exhibit: Text
    verdict: Literal["compatible", "incompatible"] = "incompatible"


class Figures(Setting):
    """A table of points beside the study (row, measure, split, x, value), and how well each measure was read off."""

    file: Text
    reading: dict[str, float] = Field({})


class Templates(Setting):
    """Class templates beside the study, an .npz, of a row (EXHIBIT/ROW)."""

    file: Text
    row: Text


class Claim(Setting):
    """That one setting beats others, or that settings are alike; tested with paired seeds."""

    says: Text
    place: Text
    expect: Literal["first highest", "first lowest", "alike"]
    measure: Measure
    rows: Annotated[Several[str], Field(min_length=2)] = Field(description="As exhibit/row.")
    margin: float = Field(0.01, gt=0, description="How far apart settings that are alike may be.")
    seeds: int = Field(10, ge=2, description="Trainings of each row that decide it, fixed before any is seen.")
    explanation: str = Field("", description="Shown where the claim does not hold; filled by FILLED.")


class Study(Setting):
    """A report: who wrote it, what is assumed where it is silent, its exhibits in order, and its claims."""

    id: Name
    title: Text
    author: Text
    year: int | None = None
    assumptions: Annotated[tuple[Assumption, ...], BeforeValidator(lambda v: tuple(map(worded, as_tuple(v))))] = ()
    exhibits: Annotated[Several[Exhibit], Field(min_length=1)]
    claims: Several[Claim] = ()
    findings: Several[Finding] = ()
    curves: Figures | None = None
    templates: Templates | None = None
    separate: bool = Field(False, alias="apart", description="Left out where a folder of studies is read.")
    _curves: tuple[Curve, ...] = PrivateAttr(())
    _templates: Floats | None = PrivateAttr(None)

    @field_validator("exhibits")
    @classmethod
    def _other_readings(cls, exhibits: tuple[Exhibit, ...], info: ValidationInfo) -> tuple[Exhibit, ...]:
        """Add the rows under other readings."""
        assumptions = list(enumerate(info.data.get("assumptions", ()), 1))
        known = {row.name for exhibit in exhibits for row in exhibit.rows}
        if missing := {name for _, a in assumptions for name in a.tries} - known:
            raise ValueError(f"no such row: {', '.join(sorted(missing))}; an assumption tries exhibit/row")
        found = []
        for exhibit in exhibits:
            others = [a.alternative(row, number) for row in exhibit.rows for number, a in assumptions
                      if row.name in a.tries]  # fmt: skip
            found.append(exhibit.model_copy(update={"rows": (*exhibit.rows, *others)}))
        return tuple(found)

    @model_validator(mode="after")
    def _rows_exist(self) -> Study:
        """Check the rows that claims, templates and explanations name."""
        named = {name for claim in self.claims for name in claim.rows}
        named |= {self.templates.row} if self.templates else set()
        named |= {row for text in self.texts for row, _ in FILLED.findall(text)}
        named |= {finding.exhibit for finding in self.findings} - {exhibit.id for exhibit in self.exhibits}
        if missing := named - self.rows.keys():
            raise ValueError(f"no such row: {', '.join(sorted(missing))}; a row is named exhibit/row")
        return self

    @property
    def rows(self) -> dict[str, Row]:
        """The rows by EXHIBIT/ROW."""
        return {row.name: row for exhibit in self.exhibits for row in exhibit.rows}

    @property
    def texts(self) -> list[str]:
        """Explanations and findings, which are filled from what was measured."""
        numbers = [r.explanation for e in self.exhibits for row in e.rows for r in row.reported]
        exhibits, claims = [e.explanation for e in self.exhibits], [c.explanation for c in self.claims]
        return [*numbers, *exhibits, *claims, *(finding.says for finding in self.findings)]

    def basis(self, row: Row) -> Basis:
        """Return the least firm thing that a row rests on."""
        found: list[Basis] = [a.basis for a in self.assumptions if a.concerns(row)]
        return max(found, key=BASES.index, default="stated")

    def curves_of(self, row: Row) -> list[Curve]:
        """Return the report's curves of a row."""
        return [curve for curve in self._curves if curve.row == row.name]

    def templates_of(self, row: Row) -> Floats | None:
        """Return the report's class templates of a row, where it has them."""
        return self._templates if self.templates and self.templates.row == row.name else None

    def read_figures(self, folder: Path) -> Study:
        """Read the curves and templates that stand beside the study; ConfigError says what is wrong."""
        if self.curves:
            self._curves = tuple(read_curves(folder / self.curves.file, self.curves.reading))
            if missing := {curve.row for curve in self._curves} - self.rows.keys():
                raise ConfigError(f"{folder / self.curves.file}: no such row: {', '.join(sorted(missing))}")
        if self.templates:
            self._templates = read_templates(folder / self.templates.file)
        return self

    @property
    def named_rows(self) -> dict[str, Row]:
        """The rows by STUDY/EXHIBIT/ROW."""
        return {f"{self.id}/{name}": row for name, row in self.rows.items()}


def worded(value: Any) -> Any:
    """Return an assumption that is a sentence alone as a mapping."""
    return {"says": value} if isinstance(value, str) else value


def merged(shared: Any, own: Any) -> Any:
    """Lay a row's settings over the shared ones, mapping by mapping; of another kind, they replace them."""
    if not isinstance(shared, Mapping) or not isinstance(own, Mapping):
        return own
    if "kind" in own and own["kind"] != shared.get("kind", own["kind"]):
        return dict(own)
    return {**shared, **{key: merged(shared.get(key), value) for key, value in own.items()}}


def read_study(path: Path) -> Study:
    """Read one study.

    Raises
    ------
    ConfigError
        With every problem: file, line, key, and what would be right.
    """
    try:
        found = config.read_yaml(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    problems = [(p.line, p.path, p.sentence) for p in found.problems]
    if not problems and isinstance(found.value, dict):
        try:
            name = re.sub("[^a-z0-9.-]+", "-", path.stem.lower()).strip(".-")
            return Study.model_validate({"id": name, **found.value}).read_figures(path.parent)
        except ValidationError as error:
            problems = [(line(found.lines, e["loc"]), e["loc"], e["msg"]) for e in error.errors()]
    problems = problems or [(1, ("file",), "not a study; it has to be a mapping with title, author and exhibits")]
    raise ConfigError("\n".join(f"{path}:{n}: {'.'.join(map(str, key))}: {text}" for n, key, text in problems))


def line(lines: Mapping[tuple[str | int, ...], int], place: tuple[str | int, ...]) -> int:
    """Return the line of a key, or of the nearest one around it."""
    return next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), 1)


def read_studies(source: Path | None = None) -> list[Study]:
    """Read the studies of a folder, a file or a shipped study's name; by default the shipped folder.

    In a folder, the course's own results come first, the others by name; those that are ``separate`` are left out.

    Raises
    ------
    ConfigError
        If there is none, or one is wrong.
    """
    shipped = config.folder() / "reports"
    path = next((p for p in (source or shipped, shipped / f"{source}.yaml") if p.exists()), None)
    if path is None:
        names = ", ".join(sorted(p.stem for p in shipped.glob("*.yaml")))
        raise ConfigError(f"{source}: neither a file nor a folder, nor one of {names}")
    if path.is_file():
        return [read_study(path)]
    paths = sorted(path.glob("*.yaml"), key=lambda p: (p.stem != "assignment", p.stem))
    if found := [study for p in paths if not (study := read_study(p)).separate]:
        return found
    raise ConfigError(f"{path}: no studies (*.yaml); name the folder that holds them")
