"""The page of the reports: index.html, report.md and numbers.csv, from the studies and what is recorded alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from tabulate import tabulate

from cifarnet import pages
from cifarnet.readable import csv_text
from cifarnet.reports.chapter import Chapter
from cifarnet.reports.jobs import Records
from cifarnet.runs import Folder
from cifarnet.statistics.inference import LEVEL
from cifarnet.studies.spec import BASES, Study
from cifarnet.verdicts import claims, compare
from cifarnet.verdicts.compare import USEFUL, Entry
from cifarnet.verdicts.words import described, gap, show, span

COLUMNS = ["exhibit", "row", "quantity", "reported", "mean", "std", "n", "95 %", "verdict", "rests on", "remark"]


class Report:
    """All that the page shows: a chapter for each study that something is planned of."""

    def __init__(self, studies: Sequence[Study], folder: Path) -> None:
        self.records = Records(folder)
        planned = self.records.rows.keys()
        self.chapters = [Chapter(s, self.records) for s in studies if s.named_rows.keys() & planned]
        tested = [
            claims.test(chapter.study, claim, chapter.results, self.records.incomparable)
            for chapter in self.chapters
            for claim in chapter.study.claims
        ]
        decided = iter(claims.decide(tested))  # the error rate holds over all of them
        for chapter in self.chapters:
            chapter.claims = [chapter.explained_claim(next(decided)) for _ in chapter.study.claims]

    @property
    def standalone(self) -> Study | None:
        """The study that stands by itself, where the page is of nothing else."""
        study = self.chapters[0].study if len(self.chapters) == 1 else None
        return study if study and study.separate else None

    @property
    def title(self) -> str:
        return self.standalone.title if self.standalone else "What the reports claim, measured again"

    @cached_property
    def entries(self) -> list[Entry]:
        """Every number of all reports."""
        return [entry for chapter in self.chapters for entry in chapter.entries]

    def summary(self) -> dict[str, Any]:
        """Return the figures at the head of the page and in the output of the command."""
        accuracies = [e for e in self.entries if e.is_accuracy]
        differ = [e for e in accuracies if e.counts and e.verdict == "incompatible"]
        verdicts = [tested.verdict for chapter in self.chapters for tested in chapter.claims]
        figures = [found for chapter in self.chapters for found in chapter.curves]
        points = [verdict for found in figures for verdict in found.verdicts]
        return {
            "accuracies": compare.count(accuracies),
            "explained": sum(bool(self.records.cause_of(e).get("deviation")) for e in differ),
            "readings": {basis: compare.count(e for e in accuracies if e.basis == basis) for basis in BASES},
            "firm": compare.count(e for e in accuracies if e.basis in ("stated", "forced")),
            "numbers": compare.count(self.entries),
            "total": len(self.entries),
            "repeated": sum(not e.counts for e in self.entries),
            "curves": compare.tally(found.verdict for found in figures),
            "points": compare.tally(points),
            "claims_hold": verdicts.count("holds"),
            "claims_fail": verdicts.count("does not hold"),
            "claims_open": verdicts.count("undecided"),
            "claims_not_run": verdicts.count("not run"),
            "claims_not_tested": verdicts.count("not tested"),
            "claims": len(verdicts),
            "by_chance": round((1 - LEVEL) * sum(e.counts and not math.isnan(e.low) for e in self.entries), 1),
            "curves_by_chance": round((1 - LEVEL) * sum(found.n > 1 for found in figures), 1),
            "seeds": max((len(keys) for keys in self.records.rows.values()), default=0),
        }

    def closing(self) -> str:
        """Return the line that ends the command."""
        if self.records.incomparable:
            return f"Nothing is compared: {self.records.incomparable}."
        head = self.summary()
        a, missing, untested = head["accuracies"], head["claims_not_run"], head["claims_not_tested"]
        judged = a["compatible"] + a["incompatible"] + a["not_decidable"]
        rest = {"under a named deviation": head["explained"]}
        rest |= {"not decidable": a["not_decidable"], "not run": a["not_run"]}
        accuracies = outcome(a["compatible"], judged, "accuracies", "are compatible", rest)
        tested = head["claims"] - missing - untested
        claims = outcome(head["claims_hold"], tested, "claims", "hold", {"not tested": untested, "not run": missing})
        return f"{claims}." if self.standalone else f"{accuracies}; {claims}."

    def write(self) -> Path:
        """Write the three files; return the path of the page."""
        folder = self.records.folder
        files = {"numbers.csv": self.table(), "report.md": self.markdown(), "index.html": self.html()}
        for name, text in files.items():
            Folder(folder).write(name, text)
        return folder / "index.html"

    def table(self) -> str:
        """Return numbers.csv; our own times are left out, as they differ from run to run."""
        rows: list[Sequence[str | float]] = [Entry._fields]
        points = [
            point
            for chapter in self.chapters
            for exhibit, row, found in chapter.drawn
            for point in compare.points(chapter.study, exhibit, row, found)
        ]
        for e in (*self.entries, *points):
            timeless = e._replace(mean=math.nan, std=math.nan, difference=math.nan) if e.quantity == "seconds" else e
            cells = {k: f"{v:.6g}" if isinstance(v, float) and v == v else v for k, v in timeless._asdict().items()}
            rows.append([*(cells | {"reported": e.reported}).values()])  # to its last digit
        return csv_text(rows)

    def markdown(self) -> str:
        """Return report.md: the tables of the page without its figures."""
        out = [f"# {self.title}", "", self.closing(), ""]
        chosen = [0, 1, 2, 4, 5, 6] if self.standalone else range(len(COLUMNS))
        for chapter in self.chapters:
            rows = [
                [e.exhibit, e.row, e.quantity, e.text, show(e.mean, e.quantity), show(e.std, e.quantity), e.n,
                 span(e.low, e.high, e.quantity), e.verdict, e.basis, e.reason]
                for e in chapter.entries if e.is_result
            ]  # fmt: skip
            table = tabulate([[row[i] for i in chosen] for row in rows], [COLUMNS[i] for i in chosen],
                             tablefmt="github", disable_numparse=True)  # fmt: skip
            claims = [f"- {t.claim.says} *{t.verdict}* {t.reason}".rstrip() for t in chapter.claims]
            shapes = [f"- {e.title}, {c.curve.column.replace('_', ' ')}: {described(c)} *{c.verdict}*"
                      for e, _, c in chapter.drawn]  # fmt: skip
            heading = f"## {chapter.study.author}: {chapter.study.title}"
            out += [heading, "", table, "", *shapes, *claims, ""]
        return "\n".join(out)

    def html(self) -> str:
        """Return the page as one self-contained file."""
        alone = self.standalone
        command = f"cifarnet reproduce-report --studies {alone.id}" if alone else "cifarnet reproduce-report"
        words = {"title": self.title, "standalone": bool(alone), "command": command, **self.summary()}
        words |= {"chapters": self.chapters, "records": self.records}
        words |= {"bases": BASES, "useful": USEFUL, "level": LEVEL, "isnan": math.isnan}
        shown = {"show": show, "gap": gap, "span": span, "described": described}
        return str(pages.template("report.html.j2").render(**words, **shown))


def outcome(good: int, total: int, things: str, verb: str, open_: Mapping[str, int]) -> str:
    """Say how many of the things that were judged are good, and how many of the others are open, and why."""
    rest = ", ".join(f"{number} {why}" for why, number in open_.items() if number)
    if not total and rest:
        return f"no {things} judged: {rest}"
    return f"{good} of {total} {things} {verb}" + (f" ({rest})" if rest else "")
