"""The page: index.html, report.md and numbers.csv of a book."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from cifarnet import page, runs
from cifarnet.report import compare
from cifarnet.report.book import Book
from cifarnet.report.compare import Entry
from cifarnet.report.studies import Study


def show(value: float, quantity: str) -> str:
    """A number as people read it: accuracies in per cent, errors with a power of ten."""
    if math.isnan(value):
        return "–"
    if "accuracy" in quantity:
        return f"{100 * value:.2f} %"
    if "error" in quantity:
        return f"{value:.2e}"
    return f"{value:.1f} s" if quantity == "seconds" else f"{value:.4g}"


def gap(value: float, quantity: str) -> str:
    """A difference, with its sign; of accuracies in percentage points."""
    if math.isnan(value) or "error" in quantity or quantity == "seconds":
        return "–"
    return (f"{100 * value:+.2f}" if "accuracy" in quantity else f"{value:+.3g}").replace("-", "−")


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.0f} s"


def html(book: Book) -> str:
    """The page as one self-contained file."""
    alone, names = apart(book), {"duration": duration, "show": show, "gap": gap, "isnan": math.isnan}
    command = f"cifarnet reproduce-report --studies {alone.id}" if alone else "cifarnet reproduce-report"
    words = {"title": title(book), "apart": bool(alone), "command": command}
    return str(page.template("page.html.j2", "cifarnet.report").render(book=book, **names, **words, **summary(book)))


def apart(book: Book) -> Study | None:
    """The study that stands apart, where the page is of nothing else."""
    studies = [chapter.study for chapter in book.chapters]
    return studies[0] if len(studies) == 1 and studies[0].apart else None


def title(book: Book) -> str:
    """What the page is called."""
    alone = apart(book)
    return alone.title if alone else "What the reports claim, measured again"


def summary(book: Book) -> dict[str, Any]:
    """The figures at the head of the page, and of the line at the end of the command."""
    everything = [e for found in book.entries.values() for e in found]
    claims = [tested for found in book.claims.values() for tested in found]
    return {
        "accuracies": compare.count([e for e in everything if e.is_accuracy and e.verdict != "setting"])._asdict(),
        "numbers": compare.count(everything)._asdict(),
        "total": len(everything),
        "claims_hold": sum(t.verdict == "holds" for t in claims),
        "claims_fail": sum(t.verdict == "does not hold" for t in claims),
        "claims_open": sum(t.verdict == "undecided" for t in claims),
        "claims": len(claims),
        "seeds": max((len(keys) for keys in book.state["rows"].values()), default=0),
    }


def table(book: Book) -> str:
    """numbers.csv: every number that the reports print. Our own times are left out, as they differ from run to run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Entry._fields)
    for found in book.entries.values():
        for e in found:
            timeless = e._replace(mean=math.nan, std=math.nan, difference=math.nan) if e.quantity == "seconds" else e
            writer.writerow(
                "" if v != v else f"{v:.6g}" if isinstance(v, float) and i != 6 else v for i, v in enumerate(timeless)
            )
    return out.getvalue()


def markdown(book: Book) -> str:
    """report.md: the same tables without the figures."""
    from tabulate import tabulate

    out = [f"# {title(book)}", ""]
    out += [closing(book), ""]
    for chapter in book.chapters:
        out += [f"## {chapter.study.author}: {chapter.study.title}", ""]
        rows = [
            [e.exhibit, e.row, e.quantity, e.text, show(e.mean, e.quantity), show(e.std, e.quantity), e.n,
             gap(e.difference, e.quantity), e.verdict, e.reason]
            for e in book.entries[chapter.study.id] if e.verdict != "setting"
        ]  # fmt: skip
        headers = ["exhibit", "row", "quantity", "reported", "mean", "std", "n", "difference", "verdict", "remark"]
        if apart(book):
            headers, rows = [*headers[:3], *headers[4:7]], [[*row[:3], *row[4:7]] for row in rows]
        out += [tabulate(rows, headers, tablefmt="github", disable_numparse=True), ""]
        out += [f"- {t.claim.says} *{t.verdict}* {t.claim.explanation}".rstrip() for t in chapter.claims] + [""]
    return "\n".join(out)


def closing(book: Book) -> str:
    """The line that ends the command."""
    if book.incomparable:
        return f"Nothing is compared: {book.incomparable}."
    head = summary(book)
    a = head["accuracies"]
    accuracies = f"{a['agrees']} of {a['agrees'] + a['differs']} accuracies agree; "
    return f"{'' if apart(book) else accuracies}{head['claims_hold']} of {head['claims']} claims hold."


def write(book: Book, folder: Path) -> Path:
    """Write the three files; returns the path of the page."""
    for name, text in {"numbers.csv": table(book), "report.md": markdown(book), "index.html": html(book)}.items():
        runs.write_whole(folder / name, text.encode())
    return folder / "index.html"
