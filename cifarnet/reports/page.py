"""The page of the reports: index.html, report.md and numbers.csv, from the studies and what is recorded alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from tabulate import tabulate

from cifarnet import pages
from cifarnet.readable import csv_text, percent
from cifarnet.reports import jobs
from cifarnet.reports.figures import figure, over_lambda
from cifarnet.runs import Folder, Run
from cifarnet.statistics.inference import LEVEL
from cifarnet.studies.figures import Curve
from cifarnet.studies.printed import Measure, Reported
from cifarnet.studies.spec import BASES, FILLED, Exhibit, Row, Study
from cifarnet.verdicts import claims, compare, curves
from cifarnet.verdicts.claims import Tested
from cifarnet.verdicts.compare import USEFUL, Entry
from cifarnet.verdicts.curves import Compared, Templates

COLUMNS = ["exhibit", "row", "quantity", "reported", "mean", "std", "n", "95 %", "verdict", "rests on", "remark"]
CAUSES = "causes.json"  # what cifarnet diagnose found for the numbers that are incompatible, where it was asked
FEW = 8  # points of a curve that are named


class Report:
    """All that the page shows: the studies, plan.json (``state``) and the recorded runs of the reports' folder."""

    def __init__(self, studies: Sequence[Study], folder: Path) -> None:
        self.folder = folder
        self.state = jobs.read_plan(folder)
        self.studies = [s for s in studies if s.named_rows.keys() & self.state["rows"].keys()]
        self.runs = jobs.recorded(folder)
        self.measures = {key: jobs.measures(run) for key, run in self.runs.items()}

    def runs_of(self, name: str) -> list[Run]:
        """Return the finished runs of a row, STUDY/EXHIBIT/ROW: one a seed."""
        return [self.runs[key] for key in self.state["rows"].get(name, ()) if key in self.runs]

    def results(self, name: str) -> list[Mapping[str, float]]:
        """Return what the runs of a row measured, seed by seed; nothing of one that is not recorded."""
        return [self.measures.get(key, {}) for key in self.state["rows"].get(name, ())]

    @property
    def incomparable(self) -> str:
        """Why no number can be compared, where none can."""
        if self.state["synthetic"]:
            return "the data are synthetic"
        return f"trainings are shortened to {self.state['scale']:g} of their length" if self.state["scale"] != 1 else ""

    @cached_property
    def causes(self) -> dict[str, Any]:
        """What explains numbers, by "STUDY/EXHIBIT/ROW QUANTITY", as entries have it."""
        return Folder(self.folder).read_json(CAUSES) if (self.folder / CAUSES).exists() else {}

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        given = self.results, self.incomparable, self.official
        return {s.id: [self.explained(s, e) for e in compare.entries(s, *given)] for s in self.studies}

    def explained(self, study: Study, entry: Entry) -> Entry:
        """Fill the explanation of a number that is incompatible, and add its cause."""
        if entry.verdict != "incompatible":
            return entry
        reason, found = self.fill(study, entry.reason), self.cause_of(entry)
        return entry._replace(reason=" ".join(filter(None, [reason, cause(found, entry.quantity) if found else ""])))

    def cause_of(self, entry: Entry) -> dict[str, Any] | None:
        """Return what causes.json has of a number."""
        found: dict[str, Any] = self.causes.get(f"{entry.report}/{entry.exhibit}/{entry.row} {entry.quantity}", {})
        return found if found and found.get("value", entry.reported) == entry.reported else None

    def fill(self, study: Study, text: str) -> str:
        """Return an explanation with our means in the places of {EXHIBIT/ROW MEASURE}; nothing where one is missing."""
        for row, measure in set(FILLED.findall(text)):
            values = compare.finite(self.results(f"{study.id}/{row}"), measure)
            if not values:
                return ""
            text = text.replace(f"{{{row} {measure}}}", show(fmean(values), measure))
        return text

    @cached_property
    def claims(self) -> dict[str, list[Tested]]:
        """The claims of each study; the error rate holds over all of them."""
        found = [(s, claims.test(s, c, self.results, self.incomparable)) for s in self.studies for c in s.claims]
        verdicts = zip(found, claims.decide([tested for _, tested in found]), strict=True)
        decided = [
            (s.id, t._replace(reason=self.fill(s, t.claim.explanation)) if t.verdict == "does not hold" else t)
            for (s, _), t in verdicts
        ]
        return {s.id: [t for name, t in decided if name == s.id] for s in self.studies}

    @cached_property
    def curves(self) -> dict[str, list[tuple[Exhibit, Row, Compared]]]:
        """The reports' curves of each study beside ours."""
        return {s.id: [(e, r, self.compared(s, e, r, c)) for e in s.exhibits for r in e.rows if not r.alternative
                       for c in s.curves_of(f"{e.id}/{r.id}")] for s in self.studies}  # fmt: skip

    def compared(self, study: Study, exhibit: Exhibit, row: Row, curve: Curve) -> Compared:
        runs = [] if self.incomparable else self.runs_of(f"{study.id}/{exhibit.id}/{row.id}")
        p = float(curve.y[-1]) if curve.measure == "accuracy" else 0.0
        extra = compare.other_images(row.settings, curve.column, p, exhibit.held_out, self.official)
        useful = USEFUL.get(curve.measure, math.inf)
        found = curves.compare(curve, runs, exhibit.x, extra, useful)
        return replace(found, cause=self.causes.get(f"{study.id}/{curve.row} {curve.column.replace('_', ' ')} curve"))

    @property
    def standalone(self) -> Study | None:
        """The study that stands by itself, where the page is of nothing else."""
        return self.studies[0] if len(self.studies) == 1 and self.studies[0].separate else None

    @property
    def title(self) -> str:
        return self.standalone.title if self.standalone else "What the reports claim, measured again"

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """Of the latest run."""
        latest = max(self.runs.values(), key=lambda run: run.path, default=None)
        return latest.environment if latest else {}

    @property
    def official(self) -> bool:
        return bool(self.environment) and self.environment["data"]["official"]

    def summary(self) -> dict[str, Any]:
        """Return the figures at the head of the page and in the output of the command."""
        everything = [e for found in self.entries.values() for e in found]
        accuracies = [e for e in everything if e.is_accuracy]
        verdicts = [tested.verdict for found in self.claims.values() for tested in found]
        figures = [c for found in self.curves.values() for _, _, c in found]
        points = [verdict for c in figures for verdict in c.verdicts]
        differ = [self.cause_of(e) for e in accuracies if e.counts and e.verdict == "incompatible"]
        return {
            "accuracies": compare.count(accuracies),
            "explained": sum(bool(found and found["deviation"]) for found in differ),
            "readings": {basis: compare.count(e for e in accuracies if e.basis == basis) for basis in BASES},
            "firm": compare.count(e for e in accuracies if e.basis in ("stated", "forced")),
            "numbers": compare.count(everything),
            "total": len(everything),
            "repeated": sum(not e.counts for e in everything),
            "curves": {name: sum(c.verdict == verdict for c in figures) for name, verdict in compare.COUNTED.items()},
            "points": {name: sum(point == verdict for point in points) for name, verdict in compare.COUNTED.items()},
            "claims_hold": verdicts.count("holds"),
            "claims_fail": verdicts.count("does not hold"),
            "claims_open": verdicts.count("undecided"),
            "claims_not_run": verdicts.count("not run"),
            "claims_not_tested": verdicts.count("not tested"),
            "claims": len(verdicts),
            "by_chance": round((1 - LEVEL) * sum(e.counts and not math.isnan(e.low) for e in everything), 1),
            "curves_by_chance": round((1 - LEVEL) * sum(c.n > 1 for c in figures), 1),
            "seeds": max((len(keys) for keys in self.state["rows"].values()), default=0),
        }

    def closing(self) -> str:
        """Return the line that ends the command."""
        if self.incomparable:
            return f"Nothing is compared: {self.incomparable}."
        head = self.summary()
        a, missing, untested = head["accuracies"], head["claims_not_run"], head["claims_not_tested"]
        judged = a["compatible"] + a["incompatible"] + a["not_decidable"]
        rest = {
            "under a named deviation": head["explained"],
            "not decidable": a["not_decidable"],
            "not run": a["not_run"],
        }
        accuracies = outcome(a["compatible"], judged, "accuracies", "are compatible", rest)
        tested = head["claims"] - missing - untested
        claims = outcome(head["claims_hold"], tested, "claims", "hold", {"not tested": untested, "not run": missing})
        return f"{claims}." if self.standalone else f"{accuracies}; {claims}."

    def write(self) -> Path:
        """Write the three files; return the path of the page."""
        files = {"numbers.csv": self.table(), "report.md": self.markdown(), "index.html": self.html()}
        for name, text in files.items():
            Folder(self.folder).write(name, text)
        return self.folder / "index.html"

    def table(self) -> str:
        """Return numbers.csv; our own times are left out, as they differ from run to run."""
        rows: list[Sequence[str | float]] = [Entry._fields]
        points = [e for s in self.studies for exhibit, row, c in self.curves[s.id]
                  for e in compare.points(s, exhibit, row, c)]  # fmt: skip
        for e in (*(e for found in self.entries.values() for e in found), *points):
            timeless = e._replace(mean=math.nan, std=math.nan, difference=math.nan) if e.quantity == "seconds" else e
            cells = {k: f"{v:.6g}" if isinstance(v, float) and v == v else v for k, v in timeless._asdict().items()}
            rows.append([*(cells | {"reported": e.reported}).values()])  # to its last digit
        return csv_text(rows)

    def markdown(self) -> str:
        """Return report.md: the tables of the page without its figures."""
        out = [f"# {self.title}", "", self.closing(), ""]
        chosen = [0, 1, 2, 4, 5, 6] if self.standalone else range(len(COLUMNS))
        for study in self.studies:
            rows = [
                [e.exhibit, e.row, e.quantity, e.text, show(e.mean, e.quantity), show(e.std, e.quantity), e.n,
                 span(e.low, e.high, e.quantity), e.verdict, e.basis, e.reason]
                for e in self.entries[study.id] if e.is_result
            ]  # fmt: skip
            table = tabulate([[row[i] for i in chosen] for row in rows], [COLUMNS[i] for i in chosen],
                             tablefmt="github", disable_numparse=True)  # fmt: skip
            claims = [f"- {t.claim.says} *{t.verdict}* {t.reason}".rstrip() for t in self.claims[study.id]]
            shapes = [f"- {e.title}, {c.curve.column.replace('_', ' ')}: {described(c)} *{c.verdict}*"
                      for e, _, c in self.curves[study.id]]  # fmt: skip
            out += [f"## {study.author}: {study.title}", "", table, "", *shapes, *claims, ""]
        return "\n".join(out)

    def html(self) -> str:
        """Return the page as one self-contained file."""
        alone = self.standalone
        command = f"cifarnet reproduce-report --studies {alone.id}" if alone else "cifarnet reproduce-report"
        words = {"title": self.title, "standalone": bool(alone), "command": command, "book": self, **self.summary()}
        words |= {"bases": BASES, "useful": USEFUL, "level": LEVEL, "isnan": math.isnan}
        shown = {"show": show, "gap": gap, "span": span, "described": described}
        return str(pages.template("report.html.j2").render(**words, **shown))

    @cached_property
    def chapters(self) -> list[dict[str, Any]]:
        return [self.chapter(study) for study in self.studies]

    def chapter(self, study: Study) -> dict[str, Any]:
        found = self.entries[study.id]
        return {
            "study": study,
            "outcome": compare.count(found),
            "accuracies": compare.count([e for e in found if e.is_accuracy]),
            "claims": self.claims[study.id],
            "findings": self.findings(study),
            "curves": [c for _, _, c in self.curves[study.id]],
            "sections": [self.section(study, exhibit) for exhibit in study.exhibits],
        }

    def findings(self, study: Study) -> list[str]:
        """Return what was found, filled, as far as a number has the verdict that it explains."""
        verdicts = [(e.verdict, e.exhibit, f"{e.exhibit}/{e.row}") for e in self.entries[study.id]]
        shown = [f for f in study.findings
                 if any(f.verdict == verdict and f.exhibit in places for verdict, *places in verdicts)]  # fmt: skip
        return [text for finding in shown if (text := self.fill(study, finding.says))]

    def section(self, study: Study, exhibit: Exhibit) -> dict[str, Any]:
        """Return one exhibit as the page shows it."""
        entries = [e for e in self.entries[study.id] if e.exhibit == exhibit.id]
        lines, figures, shapes, search = [], [], [], "lambda" in exhibit.figures
        templates: Templates | None = None
        for row in exhibit.rows:
            runs = self.runs_of(name := f"{study.id}/{exhibit.id}/{row.id}")
            found = [e for e in entries if e.row == row.id and e.is_result]
            if found or search:
                lines.append((row, found or [self.unreported(study, exhibit, row, name)], runs))
            known = [c for _, r, c in self.curves[study.id] if r is row]
            shapes += [(row, c) for c in known]
            if not row.check and not row.alternative:
                reported = None if self.incomparable else study.templates_of(f"{exhibit.id}/{row.id}")
                own = None if reported is None else curves.compare_templates(reported, runs)
                shown = figure(exhibit, row, runs, known, own)
                figures += [shown] if shown else []
                templates = templates or own
        if search and (chart := over_lambda(lines)):
            figures.append({"caption": "Every trial of the search", "charts": [chart], "images": []})
        settings = [e for e in entries if not (e.is_result and e.row)]
        return {"exhibit": exhibit, "lines": lines, "settings": settings, "figures": figures, "curves": shapes,
                "templates": templates}  # fmt: skip

    def unreported(self, study: Study, exhibit: Exhibit, row: Row, name: str) -> Entry:
        """Return ours of a trial that the report gives no number of."""
        measure: Measure = next((number.measure for r in exhibit.rows for number in r.reported), "test_accuracy")
        blank = Reported(text="–", measure=measure, reason="not in the report")
        values = {row.id: compare.finite(self.results(name), measure)}
        return compare.compare(study, exhibit, row, blank, values)._replace(text="")


def outcome(good: int, total: int, things: str, verb: str, open_: Mapping[str, int]) -> str:
    """Say how many of the things that were judged are good, and how many of the others are open, and why."""
    rest = ", ".join(f"{number} {why}" for why, number in open_.items() if number)
    if not total and rest:
        return f"no {things} judged: {rest}"
    return f"{good} of {total} {things} {verb}" + (f" ({rest})" if rest else "")


def cause(found: Mapping[str, Any], quantity: str) -> str:
    """Say under which deviation a number is compatible, or that there is none."""
    if not found["deviation"]:
        none = f"None of {(n := found['tried'])} deviation{'s' * (n != 1)} tried explains it."
        return found.get("says") or (none if n else "No deviation is tried: each takes too long.")
    at = f", {show(found['mean'], quantity)} ({span(found['low'], found['high'], quantity)})" if "mean" in found else ""
    return f"Compatible under: {found['deviation']}{at}. {found['says']} Again: {found['command']}"


def described(found: Compared) -> str:
    """Say how far a report's curve is from ours."""
    if math.isnan(found.largest[0]):
        return "not run"
    measure, (largest, where) = found.curve.measure, found.largest
    mean = gap(float(np.nanmean(found.distances)), measure)
    words = f"theirs {mean} on average, at most {gap(largest, measure)}, at {where:g}"
    outside = [f"{x:g}" for x, v in zip(found.curve.x, found.verdicts, strict=True) if v == "incompatible"]
    if 0 < len(outside) <= FEW:
        words += f"; incompatible at {', '.join(outside)}"
    if math.isnan(found.within):
        return words
    words = f"{100 * found.within:.0f} % of {len(found.curve.x)} points in the band; {words}"
    return f"{words}. {cause(found.cause, measure)}" if found.cause and found.verdict == "incompatible" else words


def show(value: float, quantity: str) -> str:
    """Return a number as people read it: accuracies in per cent, errors with a power of ten."""
    if math.isnan(value):
        return "–"
    if "accuracy" in quantity:
        return percent(value)
    if "error" in quantity:
        return f"{value:.2e}"
    return f"{value:.1f} s" if quantity == "seconds" else f"{value:.4g}"


def gap(value: float, quantity: str) -> str:
    """Return a difference with its sign; of accuracies in percentage points."""
    if math.isnan(value) or "error" in quantity or quantity == "seconds":
        return "–"
    return (f"{100 * value:+.2f}" if "accuracy" in quantity else f"{value:+.3g}").replace("-", "−")


def span(low: float, high: float, quantity: str) -> str:
    """Return an interval."""
    if math.isnan(low):
        return "–"
    return f"{show(low, quantity)} to {show(high, quantity)}".replace(" % to", " to")
