"""A run for TensorBoard: the columns of metrics.csv, the figures and the settings as one event file."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarnet import plots
from cifarnet.runs import Folder, Run


def files(run: Run) -> dict[str, bytes]:
    """Return the content of the event file, under a name that is the same each time."""
    from tensorboardX import SummaryWriter

    started = datetime.fromisoformat(run.info["started"]).timestamp()
    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            for tag, step, value in scalars(run):
                writer.add_scalar(tag, value, step, walltime=started + step / 1000)
            for name, spec in plots.FIGURES.items():
                if spec.available(run):
                    writer.add_image(name, pixels(spec.draw(run), run), walltime=started, dataformats="HWC")
            settings = json.dumps(run.info.get("settings", {}), indent=2)
            writer.add_text("settings", f"```\n{settings}\n```", walltime=started)
        (file,) = Path(folder).iterdir()
        return {"tensorboard/events.out.tfevents.cifarnet": Folder(file.parent).read_bytes(file.name)}


def scalars(run: Run) -> Iterator[tuple[str, int, float]]:
    """Yield every measurement as tag, step and value; training and validation are one group."""
    records = run.records
    for column in (name for name in records if name != "step"):
        split, _, name = column.partition("_")
        for step, value in zip(records["step"].tolist(), records[column].tolist(), strict=True):
            if np.isfinite(value):
                yield f"{name}/{split}" if name else column, int(step), value


def pixels(figure: Any, run: Run) -> NDArray[np.uint8]:
    """Return a figure as an image, (height, width, 3)."""
    from PIL import Image

    if run.is_synthetic:
        plots.stamp(figure)
    return np.asarray(Image.open(io.BytesIO(plots.render(figure, "png"))).convert("RGB"))
