"""``cifarnet export``: a run for other tools."""

from pathlib import Path

import click

from cifarnet.cli import completion, options
from cifarnet.cli.options import echo_json


@click.command()
@click.argument("name", metavar="[RUN]", default="latest", shell_complete=completion.run_names)
@click.option("--to", type=click.Choice(["onnx", "tensorboard", "csv"]), required=True, help="Which form.")
@options.runs_dir
@options.as_json
def export(name: str, to: str, runs_dir: Path, as_json: bool) -> None:
    """Write a run for other tools, into its own folder.

    onnx: the network from pixels (n, 32, 32, 3) to probabilities, the normalisation inside. tensorboard: curves,
    figures and settings; show them with tensorboard --logdir runs. csv: settings, results, records, weights and biases.
    The first two need the extras cifarnet[onnx] and cifarnet[tensorboard].

    \b
    Examples:
      cifarnet export latest --to onnx
      cifarnet export latest --to csv
    """
    from cifarnet import library
    from cifarnet.export import export

    run = library.load(name, runs_dir)
    files = [str(run.path / file) for file in export(run, to)]
    if as_json:
        echo_json({"run": str(run.path), "files": files})
    else:
        click.echo("\n".join(files))
