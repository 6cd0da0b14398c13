"""``cifarnet gradcheck``: is the gradient right?"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cifarnet.cli.options import KNOBS, POSITIVE, Experiment, Finite, WithConfig, command, flag, option
from cifarnet.cli.output import table, warn_synthetic
from cifarnet.cli.progress import bar
from cifarnet.errors import GradientCheckFailed
from cifarnet.readable import in_table
from cifarnet.runs import Run

METHODS = click.Choice(["forward", "centred", "centered", "complex-step"])
DIMS, SAMPLES, FROM_0 = click.IntRange(1, 3072), click.IntRange(1, 10_000), Finite(min=0)
CODE = click.Path(exists=True, dir_okay=False, path_type=Path)
WITH_CODE = ("code", "function", "label", "runs_dir", "json", "quiet", "verbose")
COLUMNS = {  # headers by key; a narrow terminal has the first five
    "method": "method", "hidden": "hidden", "lambda": "lambda", "name": "parameter",
    "norm_relative_error": "norm\nrelative", "max_relative_error": "max\nrelative",
    "max_absolute_error": "max\nabsolute", "mean_absolute_error": "mean\nabsolute", "n": "values",
    "kinks": "across\na kink", "kink_max_absolute_error": "max absolute\nacross a kink",
}  # fmt: skip


@command("gradcheck")
class Gradcheck(WithConfig, Experiment):
    """Compare the gradient with a numerical one.

    Passes when ||ga - gn|| / (||ga|| + ||gn||) of every parameter is at most 1e-5 (forward), 1e-8 (centred) or 1e-13
    (complex-step); else exit code 3. Values whose step h crosses a kink of a ReLU are left out, and counted beside.

    --code checks a file of yours, its cost and gradient; names its mistake where that is known. The file's imports,
    definitions and constants run with your rights.

    Examples:
      cifarnet gradcheck --method forward --lambda 0.1 --samples 100
      cifarnet gradcheck --template > my_network.py
      cifarnet gradcheck --code my_network.py
    """

    knobs = {"--hidden": KNOBS["--hidden"]}  # noqa: RUF012
    methods: Sequence[str] = option(
        "--method", type=METHODS, multiple=True, default=("centred",), metavar="METHOD",
        help="forward, centred or complex-step; repeatable.", show_default=False,
    )  # fmt: skip
    dims: int | None = option("--dims", type=DIMS, metavar="N", help="Inputs; by default data.dims, or else 20.")
    samples: int = option("--samples", type=SAMPLES, metavar="N", default=20, help="Images.")
    random_samples: bool = flag("--random-samples", help="Images at random, not the first ones.")
    lam: float | None = option("--lambda", type=FROM_0, metavar="X", help="Instead of the config's.")
    step: float | None = option("--step", help="h; else 1e-6, 1e-5 and 1e-20.", **POSITIVE)
    code: Path | None = option("--code", type=CODE, metavar="FILE", help="Check the gradient of a Python file.")
    function: str | None = option("--function", metavar="NAME", help="The function in FILE, or CLASS.METHOD.")
    template: bool = flag("--template", help="Print a file that --code passes.")

    def run(self) -> None:
        if self.template:
            from cifarnet.student import template

            click.echo(inspect.getsource(template).partition("\n")[2], nl=False)
        elif self.code:
            self.check_code(self.code)
        elif self.function:
            raise click.UsageError("--function is the one to check in the file of --code")
        else:
            self.check_ours()

    def check_code(self, code: Path) -> None:
        from cifarnet.mistakes import check, verdict

        context = click.get_current_context()
        for p in context.command.params:
            if context.get_parameter_source(str(p.name)) is ParameterSource.COMMANDLINE and p.name not in WITH_CODE:
                raise click.UsageError(f"--code goes without {p.opts[-1]}")
        found = check.start(code, self.function, label=self.label, runs_dir=self.runs_dir)
        self.follow(found, "case")
        self.report(found.run, *verdict.lines(found.run.results), wrong="your gradient, cost or forward pass is wrong")

    def check_ours(self) -> None:
        from cifarnet.experiments import gradients

        settings = self.resolve().settings
        warn_synthetic(settings.data.source)
        methods = [method.replace("centered", "centred") for method in self.methods]
        how: dict[str, Any] = {"dims": self.dims, "samples": self.samples, "random_samples": self.random_samples}
        how |= {"step": self.step, "runs_dir": self.runs_dir, "data_dir": self.data_dir}
        lambdas, threads = None if self.lam is None else [self.lam], self.threads or 1  # the products are small
        check = gradients.check(settings, lambdas=lambdas, methods=methods, threads=threads, **how)
        self.follow(check, "derivative")
        rows = check.run.results["parameters"]
        cells = {header: [in_table(key, row[key]) for row in rows] for key, header in COLUMNS.items()}
        text = table(cells, left=4, expendable=[*cells][:4:-1])
        self.report(check.run, text, wrong="the gradients differ by more than the method's own error; see the table")

    def follow(self, check: Any, unit: str) -> None:
        with bar(len(check), unit, quiet=self.quiet, leave=False) as shown:
            for _ in check:
                shown.update()

    def report(self, run: Run, *text: str, wrong: str) -> None:
        results = run.results
        verdict = f"{'passed' if results['passed'] else 'FAILED'}; {run.path}"
        self.answer({"run": str(run.path)} | results, *text, verdict, *self.next_steps(run))
        if not results["passed"]:
            raise GradientCheckFailed(wrong)
