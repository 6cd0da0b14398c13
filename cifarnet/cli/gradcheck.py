"""``cifarnet gradcheck``: is the gradient right?"""

from collections.abc import Sequence

import click

from cifarnet.cli.find_eta import hidden_layers
from cifarnet.cli.options import POSITIVE, Experiment, WithConfig, command, flag, option
from cifarnet.cli.output import table, warn_synthetic
from cifarnet.cli.progress import bar
from cifarnet.errors import GradientCheckFailed

METHODS = click.Choice(["forward", "centred", "centered", "complex-step"])
DIMS, SAMPLES, FROM_0 = click.IntRange(1, 3072), click.IntRange(1, 10_000), click.FloatRange(min=0)
ERRORS = [f"{kind}_error" for kind in ("norm_relative", "max_relative", "max_absolute", "mean_absolute")]
COLUMNS = ["method", "hidden", "lambda", "name", *ERRORS, "n", "kinks", "kink_max_absolute_error"]
HEADINGS = {"name": "parameter", "n": "values", "kinks": "across\na kink", COLUMNS[-1]: "max absolute\nacross a kink"}


@command("gradcheck")
class Gradcheck(WithConfig, Experiment):
    """Compare the gradient with a numerical one.

    In float64; exit code 3 where they differ. Passes when ||ga - gn|| / (||ga|| + ||gn||) of every parameter is at most
    1e-5 (forward), 1e-8 (centred) or 1e-13 (complex-step). Coordinates whose steps cross a kink of the ReLU are counted
    and compared by themselves.

    Examples:
      cifarnet gradcheck
      cifarnet gradcheck --method forward --method centred --lambda 0.1 --samples 100
      cifarnet gradcheck --all --samples 2
    """

    methods: Sequence[str] = option(
        "--method", type=METHODS, multiple=True, default=("centred",), help="Of the numerical gradient; repeatable."
    )
    dims: int = option("--dims", type=DIMS, metavar="N", default=20, help="Inputs.")
    samples: int = option("--samples", type=SAMPLES, metavar="N", default=20, help="Images.")
    random_samples: bool = flag("--random-samples", help="Images at random, not the first ones.")
    lam: float | None = option("--lambda", type=FROM_0, metavar="X", help="Over what the config says.")
    hidden: str | None = option("--hidden", metavar="NODES", help="Hidden layers: 50 or 50,30; 0 for none.")
    step: float | None = option("--step", help="h; else 1e-6, 1e-5 and 1e-20.", **POSITIVE)
    all_inputs: bool = flag("--all", help="All 3072 inputs.")

    def run(self) -> None:
        from cifarnet.experiments import gradients

        hidden = [] if self.hidden is None else [hidden_layers(self.hidden)]
        settings = self.settings(f"data.dims={3072 if self.all_inputs else self.dims}", *hidden)
        warn_synthetic(settings.data.source)
        check = gradients.check(
            settings,
            lambdas=None if self.lam is None else [self.lam],
            methods=[method.replace("centered", "centred") for method in self.methods],
            samples=self.samples,
            random_samples=self.random_samples,
            step=self.step,
            runs_dir=self.runs_dir,
            data_dir=self.data_dir,
            threads=self.threads or 1,  # the products are small
        )
        with bar(len(check), "derivative", quiet=self.quiet, leave=False) as shown:
            for _ in check:
                shown.update()
        path, results = check.run.path, check.run.results
        cells = [[row[key] for key in COLUMNS] for row in results["parameters"]]
        headings = [HEADINGS.get(key, key.removesuffix("_error").replace("_", "\n")) for key in COLUMNS]
        verdict = f"{'passed' if results['passed'] else 'FAILED'}; {path}"
        self.answer({"run": str(path)} | results, table(cells, headings, floatfmt=".1e"), verdict)
        if not results["passed"]:
            raise GradientCheckFailed("the gradients differ by more than the method's own error; see the table")
