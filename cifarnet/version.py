"""Which cifarnet this is: the release, and the commit of the clone that it runs from or was built from."""

from pathlib import Path

RELEASE = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent


def git(*arguments: str) -> str | None:
    """Return what git says of the clone that this package runs from, or None where it runs from none.

    Variables such as GIT_DIR, which hooks set, would lead to another clone.
    """
    import os
    import subprocess

    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def run(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, env=env, capture_output=True, timeout=10, check=True)
        return done.stdout.decode(errors="replace").strip()

    try:
        inside = Path(run("rev-parse", "--show-toplevel")).resolve() == ROOT  # not of a clone that a venv lies in
        return run(*arguments) if inside else None
    except (OSError, subprocess.SubprocessError):
        return None


def commit() -> str | None:
    """Return a short hash, with ``.dirty`` where files are not as committed."""
    return git("describe", "--always", "--dirty=.dirty", "--abbrev=9", "--exclude=*")


def full() -> str:
    """Return the version of a package that is built: from a clone with its commit, from an sdist that of the sdist."""
    if known := commit():
        return f"{RELEASE}+g{known}"
    try:
        lines = (ROOT / "PKG-INFO").read_text(encoding="utf-8").splitlines()
    except OSError:
        return RELEASE
    return next(line.partition(": ")[2] for line in lines if line.startswith("Version: "))


def source() -> str | None:
    """Return the commit of the clone, or that an installed package was built from; None where neither is known."""
    from importlib import metadata

    try:
        return commit() or metadata.version("cifarnet").partition("+g")[2] or None
    except metadata.PackageNotFoundError:
        return None


def describe() -> str:
    """Return what ``cifarnet --version`` says."""
    known = source()
    return f"{RELEASE} (commit {known.replace('.dirty', ', with changes')})" if known else RELEASE
