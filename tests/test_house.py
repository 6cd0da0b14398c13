"""The layout of the package: which room imports which, and what each may touch."""

import ast
from pathlib import Path

import pytest

import cifarnet

PACKAGE = Path(cifarnet.__file__).parent

ROOMS = {  # room: rooms of ours that it may import; errors, nested and streams are everybody's
    "config": set(),
    "data": {"config"},
    "network": set(),
    "schedule": set(),
    "optimisers": {"network"},
    "objectives": {"network"},
    "gradcheck": set(),
    "products": {"network"},
    "evaluation": {"network", "products"},
    "parallel": {"network", "products"},
    "training": {"network", "schedule", "evaluation", "data", "parallel", "optimisers"},
    "planning": {"config", "data", "network", "schedule", "optimisers", "objectives", "evaluation", "training"},
    "runs": {"config"},
    "model": {"network", "runs"},
    "catalogue": {"runs"},
    "page": {"runs", "catalogue"},
    "plots": set(),
    "resume": {"config", "data", "training", "runs"},
    "experiment": {
        "model",
        "resume", "config", "data", "network", "evaluation", "training", "planning", "runs", "plots",
    },
    "gradients": {"config", "data", "network", "objectives", "gradcheck", "training", "planning"},
    "ensembles": {"config", "data", "network", "evaluation", "runs", "model", "plots", "experiment"},
    "range_test": {"config", "data", "schedule", "training", "runs", "plots", "experiment"},
    "search": {"resume", "config", "data", "evaluation", "training", "runs", "plots", "experiment"},
    "library": {
        "config", "data", "parallel", "training", "runs", "model", "plots", "page", "resume", "experiment",
    },
    "export": {"network", "plots", "runs", "model", "library"},
    "estimator": {"network", "schedule", "data", "training"},
}  # fmt: skip
ROOMS["report"] = {"config", "experiment", "gradcheck", "gradients", "runs", "plots", "page"}
ROOMS["cli"] = set(ROOMS)
COMMON = {"errors", "nested", "streams", "version"}


def files(room):
    return sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]


def imported(tree):
    """Full names of the modules that a file imports, wherever it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(tree):
    """Names of what a file calls: f for f(...) and x.f(...)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def test_every_module_belongs_to_a_room():
    """No file of the package stands outside the table."""
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in PACKAGE.rglob("*.py")}
    assert found - {"__init__", "__main__"} == set(ROOMS) | COMMON


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_down_the_table(room):
    """A room imports the rooms that the table allows it, and matplotlib is imported by plots alone."""
    for path in files(room):
        names = [name.split(".") for name in imported(ast.parse(path.read_text()))]
        ours = {parts[1] for parts in names if parts[0] == "cifarnet" and len(parts) > 1} - {"__version__"}
        assert ours - {room} - COMMON <= ROOMS[room], path.name
        assert room == "plots" or not any(parts[0] == "matplotlib" for parts in names), path.name


@pytest.mark.parametrize("room", sorted(set(ROOMS) - {"config", "data", "runs"}))
def test_files_are_opened_by_three_rooms_alone(room):
    """Only config, data and runs open, read or write files."""
    touching = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "replace", "savez"}
    for path in files(room):
        used = touching & set(calls(ast.parse(path.read_text())))
        text = room in ("plots", "cli", "catalogue", "search", "range_test", "report")  # str.replace is meant
        assert used <= ({"replace"} if text else set()), f"{path.name}: {used}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_output_is_echoed_by_the_command_line_alone(path):
    """print nowhere; click.echo in cli only."""
    used = set(calls(ast.parse(path.read_text())))
    assert "print" not in used
    assert "echo" not in used or path.parent.name == "cli"
