"""``cifarnet export``: a run for other tools."""

import click

from cifarnet.cli.options import RUN_OR_LATEST, WithRuns, argument, command, option


@command("export")
class Export(WithRuns):
    """Write a run for other tools, into its own folder.

    onnx: the network from pixels (n, 32, 32, 3) to probabilities, the normalisation inside. tensorboard: curves,
    figures and settings; show them with tensorboard --logdir runs. csv: settings, results, records, weights and biases.
    The first two need the extras cifarnet[onnx] and cifarnet[tensorboard].

    Examples:
      cifarnet export latest --to onnx
      cifarnet export latest --to csv
    """

    name: str = argument(**RUN_OR_LATEST)
    to: str = option("--to", type=click.Choice(["onnx", "tensorboard", "csv"]), required=True, help="Which form.")

    def run(self) -> None:
        from cifarnet.export import export

        run = self.find(self.name, "network")
        files = [str(run.path / file) for file in export(run, self.to)]
        self.answer({"run": str(run.path), "files": files}, *files)
