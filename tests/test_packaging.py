"""The package as others get it: an sdist, a wheel made of it, and the wheel at work without this clone."""

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
NAMES = ("python3.11", "python3.12", "python3.13")
pythons = [sys.executable]
if os.environ.get("CIFARNET_PYTHONS") == "all":
    found = filter(None, map(shutil.which, NAMES))  # a pyenv has names for Pythons that it does not have
    pythons = [path for path in found if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0]
pytestmark = [pytest.mark.packaging, pytest.mark.slow]


def run(*command, cwd, **extra):
    """Run a command that knows nothing of this environment; returns its standard output."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CIFARNET", "PYTHON", "VIRTUAL"))}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=kept | extra, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel made of an sdist, and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return [next(folder.glob(f"*.{kind}")) for kind in ("whl", "tar.gz")]


def test_the_wheel_has_every_file_of_the_package_and_the_configs_and_the_sdist_the_tests(built):
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    kept = [path for path in (ROOT / "cifarnet").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    configs = {f"cifarnet/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "configs").rglob("*.*")}
    assert names == configs | {path.relative_to(ROOT).as_posix() for path in kept}
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "Makefile", "configs/quick.yaml", "tests/test_packaging.py"} <= names
    assert not [name for name in names if name.startswith((".venv", "runs/2"))]


def works(python, wheel, folder, **extra):
    """Version with the commit of the wheel, a config by its name, a training, the library."""
    described = run(python, "-m", "cifarnet", "--version", cwd=folder, **extra)
    commit = re.search(r"-[0-9.]+(?:\+g(\w+))?", wheel.name)[1]  # the wheel's, as files may have changed since
    assert described.startswith(f"cifarnet {version.RELEASE} (commit {commit}" if commit else "cifarnet")
    assert commit or version.commit() is None
    small = ("--set", "data={limit: 500, validation: 1000}", "--set", "training.schedule.n_s=5")
    run(python, "-m", "cifarnet", "train", "quick", *small, "--format", "svg", cwd=folder, **extra)
    code = "import cifarnet; run = cifarnet.load(); run.draw('curves'); print(run.status)"
    assert run(python, "-c", code, cwd=folder, **extra) == "completed\n"


def test_the_wheel_works_in_another_place(built, tmp_path):
    """Unpacked, and before this clone on the path, with the libraries that are here."""
    zipfile.ZipFile(built[0]).extractall(tmp_path / "lib")
    (tmp_path / "elsewhere").mkdir()
    works(sys.executable, built[0], tmp_path / "elsewhere", PYTHONPATH=str(tmp_path / "lib"))


@pytest.mark.torture
@pytest.mark.parametrize("python", pythons)
def test_the_wheel_works_in_a_new_environment(built, python, tmp_path):
    """It names all that it needs."""
    run(python, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    inside = next(path for name in ("bin", "Scripts") if (path := tmp_path / "venv" / name).is_dir()) / "python"
    run(inside, "-m", "pip", "install", "--quiet", built[0], cwd=tmp_path)
    run(inside.with_name("cifarnet"), "train", "--help", cwd=tmp_path)
    works(inside, built[0], tmp_path)
