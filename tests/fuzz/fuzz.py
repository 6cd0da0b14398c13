"""Coverage-guided fuzzing of what reads files of others, by hand: `pip install atheris`, then

    python tests/fuzz/fuzz.py config|batch|run [FOLDER OF INPUTS] [-max_total_time=60]

Anything but a clean read or an error of one printable line each ends it, with the input in a file crash-*; with
--once FILE, such a file is read again, also without atheris.
"""

import contextlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

try:
    import atheris

    instrumented = atheris.instrument_imports(include=["cifarnet"])
except ImportError:
    atheris, instrumented = None, contextlib.nullcontext()

with instrumented:
    from cifarnet import config, model, runs
    from cifarnet.data import formats, release
    from cifarnet.errors import CifarnetError

FOLDER = Path(tempfile.mkdtemp(prefix="cifarnet-fuzz-"))
RUN_FILES: dict[str, Callable[[Path], object]] = {
    "run.json": runs.read,
    "environment.json": runs.read_environment,
    "metrics.csv": runs.read_curves,
    "model.npz": model.load,
    "trials.csv": lambda path: runs.read_rows(path / "trials.csv"),
}


def read_config(content: bytes) -> None:
    path = FOLDER / "fuzz.yaml"
    path.write_bytes(content)
    config.load(path)


def read_batch(content: bytes) -> None:
    """The first byte chooses between a pickled and a binary batch."""
    form = formats.FORMATS[content[0] % 2] if content else formats.PYTHON
    name = "data_batch_1" + form.suffix
    (FOLDER / name).write_bytes(content[1:])
    release.Release(FOLDER, form).read("data_batch_1")


def read_run(content: bytes) -> None:
    """The first byte chooses the file of the run folder."""
    name = list(RUN_FILES)[content[0] % len(RUN_FILES)] if content else "run.json"
    (FOLDER / name).write_bytes(content[1:])
    RUN_FILES[name](FOLDER)


TARGETS = {"config": read_config, "batch": read_batch, "run": read_run}


def checked(read: Callable[[bytes], None], content: bytes) -> None:
    """Let errors of the family pass, if they keep to one printable line each."""
    try:
        read(content)
    except CifarnetError as error:
        lines = str(error).split("\n")
        assert error.exit_code in (1, 2)
        assert all(line.isprintable() and len(line) < 1000 for line in lines), lines


def main(target: str, *arguments: str) -> None:
    read = TARGETS[target]
    if arguments[:1] == ("--once",):
        for name in arguments[1:]:
            checked(read, Path(name).read_bytes())
        return
    if atheris is None:
        raise SystemExit("pip install atheris, or give --once FILE")
    atheris.Setup([sys.argv[0], *arguments], lambda content: checked(read, content))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
