"""``cifarnet report``: the beginning of a student's own report."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from cifarnet.cli.options import RUN, Folder, WithRuns, argument, command, option


@command("report")
class Report(WithRuns):
    """Begin a report of your own from runs.

    Settings and results as tables, figures with captions, the best three trials of a search, the final result: in the
    order of the assignment's questions, with every number from the run folders, and [blanks] for your words. md and tex
    have their figures beside them; html is one file, and its blanks can be filled in the browser. A report that is
    there is never overwritten.

    Examples:
      cifarnet report latest
      cifarnet report 20261121-0835 20261121-0840 --to tex --output hand-in
    """

    names: Sequence[str] = argument(nargs=-1, required=True, **RUN | {"metavar": "RUN..."})
    to: str = option("--to", type=click.Choice(["md", "tex", "html"]), default="md", help="Which form.")
    output: Path = option("--output", "-o", type=Folder(), default="report", help="The folder to write to.")

    def run(self) -> None:
        from cifarnet.export import handin

        runs = self.find_all(self.names)
        files, missing = handin.write(runs, self.to, self.output), handin.missing(runs)
        hints = [f"No run of: {title.lower()} ({way})" for title, way in missing.items()]
        folder = shlex.quote(str(self.output))
        compiled = [f"Compile it: cd {folder} && pdflatex report.tex"] if self.to == "tex" else []
        self.answer({"files": [str(file) for file in files], "missing": missing}, str(files[0]), *compiled, *hints)
