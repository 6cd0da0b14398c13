"""``cifarnet gradcheck``: is the gradient right?"""

from pathlib import Path
from typing import Any

import click

from cifarnet.cli.options import common_options, config_options, echo_json, warn_synthetic


@click.command()
@config_options
@common_options
@click.option(
    "--method",
    "methods",
    type=click.Choice(["forward", "centred", "complex-step"]),
    multiple=True,
    default=("centred",),
    show_default=True,
    help="Of the numerical gradient; repeatable.",
)
@click.option("--dims", metavar="N", type=click.IntRange(1, 3072), default=20, show_default=True, help="Inputs.")
@click.option("--samples", metavar="N", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Images.")
@click.option("--random-samples", is_flag=True, help="Images at random, not the first ones.")
@click.option("--lambda", "lam", metavar="X", type=click.FloatRange(min=0), help="Over what the config says.")
@click.option("--hidden", metavar="NODES", help="Of the hidden layers: 50 or 50,30; 0 for none.")
@click.option(
    "--step", "h", metavar="X", type=click.FloatRange(min=0, min_open=True), help="h; else 1e-6, 1e-5 and 1e-20."
)
@click.option("--all", "whole", is_flag=True, help="All 3072 inputs.")
def gradcheck(
    source: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    label: str | None,
    data_dir: Path | None,
    threads: int | None,
    runs_dir: Path,
    quiet: bool,
    as_json: bool,
    methods: tuple[str, ...],
    dims: int,
    samples: int,
    random_samples: bool,
    lam: float | None,
    hidden: str | None,
    h: float | None,
    whole: bool,
) -> None:
    """Compare the gradient with a numerical one.

    In float64; exit code 3 where they differ. Passes when ||ga - gn|| / (||ga|| + ||gn||) of every parameter is at most
    1e-5 (forward), 1e-8 (centred) or 1e-13 (complex-step). Coordinates whose steps cross a kink of the ReLU are counted
    and compared apart.

    \b
    Examples:
      cifarnet gradcheck
      cifarnet gradcheck --method forward --method centred --lambda 0.1 --samples 100
      cifarnet gradcheck --all --samples 2
    """
    from tqdm import tqdm

    from cifarnet import config, data, experiment, gradcheck, gradients
    from cifarnet.errors import GradientCheckFailed
    from cifarnet.page import page_of
    from cifarnet.parallel import blas_threads

    layers = None if hidden is None else f"[{'' if hidden == '0' else hidden}]"
    options = {"data.dims": 3072 if whole else dims, "training.lambda": lam, "network.hidden": layers}
    chosen = tuple(f"{key}={value}" for key, value in options.items() if value is not None)
    settings = config.load(source, (*overrides, *chosen), seed=seed, label=label)
    warn_synthetic(settings.data.source)
    dataset = data.load(settings.data, data_dir, dtype="float64")
    problem = gradients.problem(settings, dataset.train, samples, random_samples=random_samples)
    run = experiment.start(settings, dataset, runs_dir, "gradcheck")
    rows: list[dict[str, Any]] = []
    with page_of(run), blas_threads(threads or 1):  # the products are small
        for method in methods:
            slopes = problem.slopes(method, h or gradcheck.STEPS[method])
            shown = tqdm(slopes, method, len(problem.theta), leave=False, disable=quiet or None)
            rows += [{"method": method} | e._asdict() for e in problem.errors(list(shown))]
        results = {
            "passed": all(row["norm_relative_error"] <= gradcheck.TOLERANCES[row["method"]] for row in rows),
            "method": methods[0] if len(methods) == 1 else list(methods),
            "max_relative_error": max(row["max_relative_error"] for row in rows),
            "parameters": rows,
        }
        run.finish("completed", results=results)
    if as_json:
        echo_json({"run": str(run.path)} | results)
    else:
        click.echo(errors(rows) + f"\n{'passed' if results['passed'] else 'FAILED'}; {run.path}")
    if not results["passed"]:
        raise GradientCheckFailed("the gradients differ by more than the method's own error; see the table")


def errors(rows: list[dict[str, Any]]) -> str:
    """The errors, a row a parameter."""
    from cifarnet.cli.tables import table

    headers = {
        "method": "method",
        "name": "parameter",
        "norm_relative_error": "norm-wise\nrelative",
        "max_relative_error": "max\nrelative",
        "max_absolute_error": "max\nabsolute",
        "mean_absolute_error": "mean\nabsolute",
        "n": "values",
        "kinks": "across\na kink",
        "kink_max_absolute_error": "max absolute\nacross a kink",
    }
    cells = [[row[key] for key in headers] for row in rows]
    return table(cells, list(headers.values()), floatfmt=".1e")
