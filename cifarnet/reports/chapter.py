"""One report on the page: its numbers, curves, claims and exhibits beside ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

from cifarnet.reports.figures import figure, over_lambda
from cifarnet.reports.jobs import Records
from cifarnet.runs import Run
from cifarnet.studies.figures import Curve
from cifarnet.studies.printed import Measure, Reported
from cifarnet.studies.spec import FILLED, Exhibit, Row, Study
from cifarnet.verdicts import compare, curves
from cifarnet.verdicts.claims import Tested
from cifarnet.verdicts.compare import USEFUL, Entry
from cifarnet.verdicts.curves import Compared, Templates
from cifarnet.verdicts.words import cause, show


class Chapter:
    """A study and what is recorded of its rows; ``drawn`` are the curves of its figures beside ours."""

    def __init__(self, study: Study, records: Records) -> None:
        self.study = study
        self.records = records
        found = compare.entries(study, self.results, records.incomparable, records.official)
        self.entries = [self.explained(entry) for entry in found]
        self.outcome = compare.count(self.entries)
        self.accuracies = compare.count(e for e in self.entries if e.is_accuracy)
        rows = [(exhibit, row) for exhibit in study.exhibits for row in exhibit.rows if not row.alternative]
        self.drawn = [(e, row, self.compared(e, row, curve)) for e, row in rows for curve in study.curves_of(row)]
        self.curves = [found for _, _, found in self.drawn]
        self.claims: list[Tested] = []  # once those of all chapters are tested

    def runs_of(self, row: Row) -> list[Run]:
        return self.records.runs_of(f"{self.study.id}/{row.name}")

    def results(self, name: str) -> list[Mapping[str, float]]:
        """Return what the runs of a row, EXHIBIT/ROW, measured, seed by seed."""
        return self.records.results(f"{self.study.id}/{name}")

    def entries_of(self, exhibit: Exhibit) -> list[Entry]:
        return [entry for entry in self.entries if entry.exhibit == exhibit.id]

    def explained(self, entry: Entry) -> Entry:
        """Fill the explanation of a number that is incompatible, and add its cause."""
        if entry.verdict != "incompatible":
            return entry
        reason, found = self.fill(entry.reason), self.records.cause_of(entry)
        return entry._replace(reason=" ".join(filter(None, [reason, cause(found, entry.quantity) if found else ""])))

    def explained_claim(self, tested: Tested) -> Tested:
        """Fill the explanation of a claim that does not hold."""
        fails = tested.verdict == "does not hold"
        return tested._replace(reason=self.fill(tested.claim.explanation)) if fails else tested

    def fill(self, text: str) -> str:
        """Return an explanation with our means in the places of {EXHIBIT/ROW MEASURE}; nothing where one is missing."""
        for row, measure in set(FILLED.findall(text)):
            values = compare.finite(self.results(row), measure)
            if not values:
                return ""
            text = text.replace(f"{{{row} {measure}}}", show(fmean(values), measure))
        return text

    def compared(self, exhibit: Exhibit, row: Row, curve: Curve) -> Compared:
        runs = [] if self.records.incomparable else self.runs_of(row)
        p = float(curve.y[-1]) if curve.measure == "accuracy" else 0.0
        extra = compare.other_images(row.settings, curve.column, p, exhibit.held_out, self.records.official)
        found = curves.compare(curve, runs, exhibit.x, extra, USEFUL.get(curve.measure, math.inf))
        return replace(found, cause=self.records.causes.get(f"{self.study.id}/{curve.name}"))

    @property
    def differing(self) -> set[str]:
        """The rows, EXHIBIT/ROW, with a number or a curve that is incompatible."""
        numbers = {f"{e.exhibit}/{e.row}" for e in self.entries if e.verdict == "incompatible"}
        return numbers | {row.name for _, row, found in self.drawn if found.verdict == "incompatible"}

    @property
    def findings(self) -> list[str]:
        """What was found, filled, as far as a number has the verdict that it explains."""
        known = {(e.verdict, place) for e in self.entries for place in (e.exhibit, f"{e.exhibit}/{e.row}")}
        shown = [finding for finding in self.study.findings if (finding.verdict, finding.exhibit) in known]
        return [text for finding in shown if (text := self.fill(finding.says))]

    @property
    def sections(self) -> list[dict[str, Any]]:
        return [self.section(exhibit) for exhibit in self.study.exhibits]

    def section(self, exhibit: Exhibit) -> dict[str, Any]:
        """Return one exhibit as the page shows it."""
        entries = self.entries_of(exhibit)
        lines, figures, shapes, search = [], [], [], "lambda" in exhibit.figures
        templates: Templates | None = None
        for row in exhibit.rows:
            runs = self.runs_of(row)
            found = [e for e in entries if e.row == row.id and e.is_result]
            if found or search:
                lines.append((row, found or [self.unreported(exhibit, row)], runs))
            known = [c for _, r, c in self.drawn if r is row]
            shapes += [(row, c) for c in known]
            if not row.check and not row.alternative:
                reported = None if self.records.incomparable else self.study.templates_of(row)
                own = None if reported is None else curves.compare_templates(reported, runs)
                shown = figure(exhibit, row, runs, known, own)
                figures += [shown] if shown else []
                templates = templates or own
        if search and (chart := over_lambda(lines)):
            figures.append({"caption": "Every trial of the search", "charts": [chart], "images": []})
        settings = [e for e in entries if not (e.is_result and e.row)]
        return {"exhibit": exhibit, "lines": lines, "settings": settings, "figures": figures, "curves": shapes,
                "templates": templates}  # fmt: skip

    def unreported(self, exhibit: Exhibit, row: Row) -> Entry:
        """Return ours of a trial that the report gives no number of."""
        measure: Measure = next((number.measure for r in exhibit.rows for number in r.reported), "test_accuracy")
        blank = Reported(text="–", measure=measure, reason="not in the report")
        return compare.compare(self.study, exhibit, row, blank, {row.id: self.results(row.name)})._replace(text="")
