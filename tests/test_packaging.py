"""The package as others get it: an sdist, a wheel made of it, and both at work in an empty environment."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from cifarnet import version

ROOT = Path(__file__).parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
pytestmark = pytest.mark.packaging


def run(*command, cwd):
    """Run a command in an environment that knows nothing of this one; returns its standard output."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CIFARNET", "PYTHON", "VIRTUAL"))}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=kept, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def interpreters():
    """The Pythons to try: this one, or with CIFARNET_PYTHONS=all every one on the PATH."""
    if os.environ.get("CIFARNET_PYTHONS") != "all":
        return [sys.executable]
    found = [path for name in PYTHONS if (path := shutil.which(f"python{name}"))]
    return [path for path in found if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """An sdist, and a wheel made of the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_the_wheel_has_every_file_of_the_package_and_the_configs(built):
    """All modules, templates and py.typed, and configs/ inside the package; no tests."""
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    kept = [path for path in (ROOT / "cifarnet").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    expected = {path.relative_to(ROOT).as_posix() for path in kept}
    expected |= {f"cifarnet/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").rglob("*.*")}
    assert names == expected


def test_the_sdist_has_the_tests_and_the_makefile(built):
    """And no run, nor anything else that git does not know."""
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "Makefile", "configs/quick.yaml", "tests/test_packaging.py"} <= names
    assert not [name for name in names if name.startswith((".venv", "runs/2"))]


@pytest.mark.parametrize("python", interpreters())
def test_it_runs_in_an_empty_environment(built, python, tmp_path):
    """Installed from the wheel: version with the commit, configs by name, a training, a list, the library."""
    run(python, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    scripts = next(path for name in ("bin", "Scripts") if (path := tmp_path / "venv" / name).is_dir())
    run(scripts / "python", "-m", "pip", "install", "--quiet", built[0], cwd=tmp_path)
    cifarnet = scripts / "cifarnet"
    told = run(cifarnet, "--version", cwd=tmp_path)
    found = re.search(r"-[0-9.]+(?:\+g(\w+))?", built[0].name)  # the wheel's own, as files may have changed since
    assert told.startswith(f"cifarnet {version.RELEASE} (commit {found[1]}" if found[1] else "cifarnet")
    assert found[1] or version.commit() is None
    assert "figure-3.yaml" in run(cifarnet, "config", "show", "--config", "figure-3", cwd=tmp_path)
    run(cifarnet, "train", "--config", "quick", "--set", "training.schedule.n_s=5", cwd=tmp_path)
    assert "completed" in run(cifarnet, "runs", "list", cwd=tmp_path)
    run(scripts / "python", "-c", "import cifarnet; cifarnet.load().draw('curves')", cwd=tmp_path)
