"""Runs what README.md shows, block after block in an empty folder: `make readme` writes the output into it.

Names of runs and durations may differ from those that are shown, words and whole numbers may not. Accuracies have a
spread: a line that begins with "With seeds 42 to 46: " under a block says what its last command reaches with these
seeds, mean ± standard deviation. An accuracy that differs by more than three of these deviations is a mistake.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(
    r"```(?P<kind>\w*)\n(?P<body>.*?)```\n(?:\n(?P<spread>With seeds (?P<first>\d+) to (?P<last>\d+):[^\n]*)\n)?",
    re.DOTALL,
)
FIGURE = re.compile(r"(?P<name>\w+) (?P<value>\d+\.\d+)(?: ± (?P<deviation>\d+\.\d+))? ?%")
VARYING = [  # what is the machine's and the clock's
    (r"\d{8}-\d{6}(-\d+)?", "TIME"),
    (r"(\d+(\.\d+)? to )?\d+(\.\d+)? (min|s)\b( on \d+ cores)?", "DURATION"),
    (FIGURE, r"\g<name> %"),
]


@dataclass(frozen=True)
class Block:
    """A fenced block of a text, the line under it that states a spread, and where both are."""

    kind: str
    body: str
    spread: str
    seeds: range
    places: dict[str, slice]

    @property
    def steps(self) -> list[tuple[str, str]]:
        """The commands, each with the output that is shown; those of sh, or a piece of Python, show none."""
        if self.kind == "console":
            parts = re.split(r"^\$ (.*)\n", self.body, flags=re.MULTILINE)[1:]
            return list(zip(parts[::2], parts[1::2], strict=True))
        commands = [f"{sys.executable} -W error -c {shlex.quote(self.body)}"] if self.kind == "python" else []
        return [(command, "") for command in self.body.splitlines() * (self.kind == "sh") + commands]


def blocks(text: str) -> list[Block]:
    """Every fenced block, in order."""
    return [
        Block(
            m["kind"],
            m["body"],
            m["spread"] or "",
            range(int(m["first"]), int(m["last"]) + 1) if m["spread"] else range(0),
            {name: slice(*m.span(name)) for name in ("body", "spread")},
        )
        for m in BLOCK.finditer(text)
    ]


def agrees(output: str, shown: str, spread: str = "", times: float = 3) -> bool:
    """Whether an output is the one shown, its accuracies within ``times`` the deviations that a spread states."""

    def words(text: str) -> list[str]:
        for pattern, instead in VARYING:
            text = re.sub(pattern, instead, text)
        return text.split()

    deviations = {m["name"]: float(m["deviation"] or 0) for m in FIGURE.finditer(spread)}
    pairs = zip(FIGURE.finditer(output), FIGURE.finditer(shown), strict=False)
    return words(output) == words(shown) and all(
        abs(float(a["value"]) - float(b["value"])) <= times * deviations.get(b["name"], 0) + 1e-9 for a, b in pairs
    )


class Session:
    """An empty folder with the command cifarnet and the real images, where commands run one after the other."""

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self.folder, self.data_dir = folder / "session", data_dir.resolve()
        (folder / "bin").mkdir()
        self.folder.mkdir()
        script = folder / "bin" / "cifarnet"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cifarnet "$@"\n')
        script.chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CIFARNET")}
        path = f"{script.parent}{os.pathsep}{kept['PATH']}"
        self.env = kept | {"PATH": path, "PYTHONPATH": str(ROOT), "CIFARNET_DATA_DIR": str(self.data_dir)}
        self.env |= {"XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "120", "OPENBLAS_NUM_THREADS": "1"}

    def output(self, command: str, shown: str = "") -> str:
        """What a command prints, on both streams as on a terminal; make says what it would do, and does not.

        It succeeds, unless an error is shown.
        """
        make = command.startswith("make ")
        done = subprocess.run(
            ["sh", "-c", command.replace("make ", "make --dry-run ") if make else command],
            cwd=ROOT if make else self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert "Traceback" not in done.stdout and (done.returncode == 0 or shown.startswith("Error: ")), done.stdout
        return done.stdout.replace(str(self.data_dir), "/home/you/.cache/cifarnet")

    def spread(self, block: Block) -> str:
        """What the last command of a block reaches with each of the seeds, as a line."""
        outputs = [self.output(f"{block.steps[-1][0]} --seed {seed}") for seed in block.seeds]
        values = [{m["name"]: float(m["value"]) for m in FIGURE.finditer(output)} for output in outputs]
        seconds = sorted(re.findall(r"in (\d+\.\d) s", "".join(outputs)), key=float)
        texts = [
            f"{key} {fmean(v[key] for v in values):.2f} ± {stdev(v[key] for v in values):.2f} %" for key in values[0]
        ]
        time = f"in {seconds[0]} to {seconds[-1]} s on {os.cpu_count()} cores"
        return f"With seeds {block.seeds[0]} to {block.seeds[-1]}: {', '.join(texts)}, {time}."


def refresh(text: str, session: Session, *, anew: bool = False) -> str:
    """The README's text with outputs and spreads as they are now.

    Those that agree with what is shown stay as they were; ``anew``, what has a spread is written again in any case.
    """
    changed = []
    for block in blocks(text):
        outputs = [(command, session.output(command, shown), shown) for command, shown in block.steps]
        spread, keep = session.spread(block) if block.spread else "", not (anew and block.spread)
        if block.kind == "console":
            shown = (shown if keep and agrees(output, shown, spread) else output for _, output, shown in outputs)
            body = [f"$ {command}\n{output}" for (command, *_), output in zip(outputs, shown, strict=True)]
            changed.append((block.places["body"], "".join(body)))
        if not (keep and agrees(spread, block.spread, block.spread, times=2)):
            changed.append((block.places["spread"], spread))
    for place, new in sorted(changed, key=lambda change: change[0].start, reverse=True):
        text = text[: place.start] + new + text[place.stop :]
    return text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder), Path(os.environ["CIFARNET_DATA_DIR"]))
        README.write_text(refresh(README.read_text(), session, anew=True))
