"""Runs what README.md shows, as one session in an empty folder: `make readme` writes the output into it.

A block under the comment ``<!-- CIFAR-10 -->`` needs the real images. A line ``...`` in an output stands for lines that
are left out; as many as are shown before and after it are shown again. A block under ``<!-- shrunk: KEY=VALUE ... -->``
would take minutes: it is run with these settings, to see that it runs, and its output is left as it is.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
COMMENTS = r"(?P<real><!-- CIFAR-10 -->\n+)?(?:<!-- shrunk: (?P<shrunk>[^\n]*) -->\n+)?"
BLOCK = re.compile(COMMENTS + r"```(?P<kind>console|python|sh)\n(?P<body>.*?)```", re.DOTALL)
VARYING = [  # what differs from run to run and from machine to machine, and the layout that follows from it
    (r"\d{8}-\d{6}", "TIME"),
    (r"(TIME-[\w.-]*?)(-\d+)+\b", r"\1"),  # the -2 of a second run in the same second
    (r"\d{4}-\d\d-\d\dT[\d:+.-]+", "TIME"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{9,64}\b", "HASH"),
    (r"(\d+ (d|h|min) )?\d+(\.\d+)? (d|h|min|s)\b", "DURATION"),
    (r"\d+\.\d+(e[-+]\d+)?%?", "NUMBER"),
    (r"#{2,}", "#"),
    (r"-{2,}", "--"),
    (r"[ \t]+", " "),
]


@dataclass(frozen=True)
class Block:
    """A fenced block: whether it needs the real images, what it is shrunk by, language, text, place in the README."""

    real: bool
    shrunk: str
    kind: str
    body: str
    place: slice

    @property
    def steps(self) -> list[tuple[str, str]]:
        """Each command of a console block with the output that is shown."""
        parts = re.split(r"^\$ (.*(?:\\\n.*)*)\n", self.body, flags=re.MULTILINE)[1:]
        return list(zip(parts[::2], parts[1::2], strict=True))


def blocks(text: str) -> list[Block]:
    """Every block of commands or Python, in order."""
    return [
        Block(bool(m["real"]), m["shrunk"] or "", m["kind"], m["body"], slice(m.start("body"), m.end("body")))
        for m in BLOCK.finditer(text)
    ]


def normal(output: str) -> str:
    """An output without what may vary."""
    for pattern, instead in VARYING:
        output = re.sub(pattern, instead, output)
    return "\n".join(line.strip() for line in output.strip().splitlines())


def shortened(output: str, shown: str) -> str:
    """An output with lines left out where those that are shown have them left out."""
    if "...\n" not in shown.splitlines(keepends=True):
        return output
    before, after = (part.count("\n") for part in shown.split("...\n", 1))
    lines = output.splitlines(keepends=True)
    return "".join([*lines[:before], "...\n", *lines[len(lines) - after :]])


class Session:
    """An empty folder with the command cifarnet, where the blocks run one after the other."""

    def __init__(self, folder: Path, data_dir: Path | None) -> None:
        self.folder, self.data_dir = folder / "session", data_dir
        self.folder.mkdir()
        commands = folder / "bin"
        commands.mkdir()
        script = commands / "cifarnet"
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cifarnet "$@"\n')
        script.chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CIFARNET")}
        path = f"{commands}{os.pathsep}{kept['PATH']}"
        self.env = kept | {"PATH": path, "PYTHONPATH": str(README.parent), "XDG_CACHE_HOME": str(folder / "cache")}
        self.env |= {"OPENBLAS_NUM_THREADS": "1", "COLUMNS": "120"}
        if data_dir:
            self.env["CIFARNET_DATA_DIR"] = str(data_dir)
        self.names: dict[str, str] = {}  # of runs: as shown -> as they are in this session

    def output(self, command: str, shown: str = "", shrunk: str = "") -> str:
        """What a command prints, on both streams as on a terminal; runs are called what they are called here."""
        for name, here in self.names.items():
            command = command.replace(name, here)
        output = self.call(["sh", "-c", command], CIFARNET_SET=shrunk)
        times = (re.findall(r"\d{8}-\d{6}", text) for text in (shown, output))
        self.names |= dict(zip(*map(reversed, times), strict=False))
        return output

    def python(self, code: str) -> str:
        """What a piece of Python prints."""
        return self.call([sys.executable, "-W", "error", "-c", code])

    def call(self, words: list[str], **extra: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.env | extra,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        output = done.stdout
        if self.data_dir:
            output = output.replace(str(self.data_dir), "/home/you/.cache/cifarnet")
        return output + "\n" * (output != "" and not output.endswith("\n"))


def refresh(text: str, session: Session) -> str:
    """The README's text with the outputs as they are now; those that differ only in what varies stay as they were."""
    for block in reversed([ran(block, session) for block in blocks(text)]):
        text = text[: block.place.start] + block.body + text[block.place.stop :]
    return text


def ran(block: Block, session: Session) -> Block:
    """The block with its outputs."""
    if block.kind == "python":
        session.python(block.body)
    if block.kind != "console" or block.shrunk or (block.real and not session.data_dir):
        return block
    body = ""
    for command, shown in block.steps:
        output = shortened(session.output(command, shown), shown)
        body += f"$ {command}\n" + (shown if normal(output) == normal(shown) else output)
    return replace(block, body=body)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        where = os.environ.get("CIFARNET_DATA_DIR")
        README.write_text(refresh(README.read_text(), Session(Path(folder), Path(where) if where else None)))
