"""``cifarnet find-eta``: the learning rate range test."""

from collections.abc import Sequence

import click

from cifarnet.cli.options import KNOBS, POSITIVE, Drawing, WithConfig, command, hidden_layers, option
from cifarnet.cli.output import warn, warn_synthetic, wrapped
from cifarnet.cli.progress import follow

SCALE = click.Choice(["linear", "log"])


@command("find-eta")
class FindEta(WithConfig, Drawing):
    """Find eta_min and eta_max by Smith's range test.

    A network of its own trains for a few epochs while eta rises, with the optimizer, dropout and augmentation that are
    set. Several --hidden and several --lambda are tested in all combinations. Prints the two --set flags to use for
    each, draws the curves, and writes a config with them into the run folder.

    Examples:
      cifarnet find-eta figure-3
      cifarnet find-eta figure-3 --hidden 50 --hidden 200 --lambda 0 --lambda 0.01
    """

    knobs = {"--batch-size": KNOBS["--batch-size"]}  # noqa: RUF012
    hidden: Sequence[str] = option("--hidden", metavar="NODES", multiple=True, help="50, or 50,30, or 0; repeatable.")
    lambdas: Sequence[str] = option("--lambda", metavar="X", multiple=True, help="Of the L2 term; repeatable.")
    epochs: int = option("--epochs", type=click.IntRange(1, 1000), metavar="N", default=4, help="How long eta rises.")
    low: float = option("--from", default=1e-5, help="The first eta.", **POSITIVE)
    high: float = option("--to", default=0.5, help="The last eta.", **POSITIVE)
    scale: str = option("--scale", type=SCALE, default="linear", help="In equal steps or factors.")

    def run(self) -> None:
        from cifarnet.experiments import range_test
        from cifarnet.nn.schedules import Ramp

        if self.low >= self.high:
            raise click.UsageError(f"--from {self.low:g} must be below --to {self.high:g}")
        settings = self.resolve().settings
        lambdas = [self.resolve({"--lambda": f"training.lambda={x}"}).settings.training.lam for x in self.lambdas]
        warn_synthetic(settings.data.source)
        hidden = [self.resolve({"--hidden": hidden_layers(nodes)}).settings.network.hidden for nodes in self.hidden]
        ramp = Ramp(eta_min=self.low, eta_max=self.high, epochs=self.epochs, log=self.scale == "log")
        test = range_test.start(
            settings, ramp, hidden=hidden, lambdas=list(dict.fromkeys(lambdas)), threads=self.threads,
            formats=self.formats, runs_dir=self.runs_dir, data_dir=self.data_dir,
        )  # fmt: skip
        before = {name: number / len(test.tests) for number, name in enumerate(test.tests)}
        steps = ((before[name] + step / updates / len(test.tests), name) for name, step, updates in test)
        follow(steps, quiet=self.quiet)
        warn(*test.warnings)
        path, results = test.run.path, test.run.results
        flags = {name: " ".join(f"--set {k}={v:g}" for k, v in pair.items()) for name, pair in results["found"].items()}
        text = [str(path), *(f"{name}: {words}" for name, words in flags.items()), wrapped(results["rule"])]
        again = self.command_line("train", "--config", f"{path}/{next(iter(flags))}.yaml")
        self.answer({"run": str(path)} | results, *text, *self.next_steps(test.run, again))
