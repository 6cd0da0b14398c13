"""``cifarnet evaluate``: a run's network on a set of images, from its folder and the data alone."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from cifarnet.cli.options import RUN, Drawing, argument, command, flag, option
from cifarnet.cli.output import table, warn, warn_synthetic
from cifarnet.readable import in_table, percent

SPLITS, SHIFTS = click.Choice(["train", "validation", "test"]), click.IntRange(0, 8)


@command("evaluate")
class Evaluate(Drawing):
    """Evaluate a run's network on images.

    Prints accuracy, loss, precision, recall and F1 of each class and the confusions; adds the confusion matrix and the
    surest mistakes as figures to the run folder. RUN is a run folder, the beginning of its name, or latest. Several
    networks, of runs or of the ends of cycles, are taken as one: by mean probability, and beside it by majority vote.
    --shifts 2 averages over each image moved in every way by up to 2 pixels.

    Examples:
      cifarnet evaluate latest
      cifarnet evaluate latest --checkpoint best --split validation
      cifarnet evaluate latest --ensemble cycles --flips --shifts 2
      cifarnet evaluate 20261121-0835 20261121-0840 20261121-0845
    """

    names: Sequence[str] = argument(nargs=-1, **RUN | {"metavar": "[RUN]..."})
    split: str = option("--split", type=SPLITS, default="test", help="Which images.")
    checkpoint: str | None = option("--checkpoint", metavar="NAME", help="Take a checkpoint: best, latest or cycle-N.")
    ensemble: str | None = option("--ensemble", type=click.Choice(["cycles"]), help="Take the ends of cycles as one.")
    flips: bool = flag("--flips", help="Average over each image and its mirror image.")
    shifts: int = option("--shifts", type=SHIFTS, default=0, metavar="PIXELS", help="Average over moved images.")

    def run(self) -> None:
        from cifarnet import training
        from cifarnet.experiments.evaluate import evaluate

        if self.checkpoint and self.ensemble:
            raise click.UsageError("--ensemble cycles takes the ends of all cycles: leave out --checkpoint")
        self.say("Evaluating ...")
        need = "checkpoint" if self.checkpoint or self.ensemble else "network"
        runs = self.find_all(self.names or ["latest"], need)
        how: dict[str, Any] = {"checkpoint": self.checkpoint, "cycles": self.ensemble == "cycles", "flips": self.flips}
        how |= {"shifts": self.shifts, "formats": self.formats}
        found = evaluate(runs, self.split, self.data_dir, self.threads or training.cores(), **how)
        warn_synthetic(found.source)
        if not found.same_data and not self.quiet:
            warn(f"these are not the images that {' and '.join(run.name for run in runs)} had in training")
        path, figures = runs[0].path, ", ".join(f"{name}.{self.formats[0]}" for name in found.figures)
        last = [] if found.warnings else [f"\nFigures: {path}/figures/{figures}"]
        members = found.summary.get("members")
        networks = [f"{len(members)} networks as one"] if members else filter(None, [str(path), self.checkpoint])
        what = ", ".join([*networks, f"{found.summary['n']:,} {self.split} images"])
        self.answer(found.summary, *lines(what, found.summary), *last)
        warn(*found.warnings)


def lines(what: str, summary: dict[str, Any]) -> Iterator[str]:
    """Lay out a summary of some images, in at most 80 columns."""
    from tabulate import tabulate

    from cifarnet.training.evaluation import MEASURES

    yield f"{what}:\naccuracy {percent(summary['accuracy'])}, loss {summary['loss']:.4f}\n"
    if "members" in summary:
        members = {"network": [member["name"] for member in summary["members"]]}
        members["alone"] = [percent(member["accuracy"]) for member in summary["members"]]
        for how in ("mean probability", "majority vote"):
            so_far = [row[how.replace(" ", "_")] for row in summary["by_members"]]
            members[f"{how}\nwith those above"] = [percent(accuracy) for accuracy in so_far]
        yield table(members) + "\n"
    rows = summary["per_class"] | {f"{kind} average": means for kind, means in summary["averages"].items()}
    classes = {"class": [*rows]}
    for measure in MEASURES:
        classes[measure] = ["" if row[measure] is None else percent(row[measure]) for row in rows.values()]
    yield table(classes | {"images": [in_table("n", row.get("n")) for row in rows.values()]})
    yield "\nConfusions: a row for each true class, a column for each predicted one"
    names = list(summary["per_class"])
    confusion = [[name, *row] for name, row in zip(names, summary["confusion"], strict=True)]
    confusion = [["", *(name[:4] for name in names)], *confusion]
    yield tabulate(confusion, tablefmt="plain", disable_numparse=True, colalign=["left", *["right"] * len(names)])
