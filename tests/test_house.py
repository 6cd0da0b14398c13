"""The layout of the package: which room imports which, what each may touch, and how large each may be."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import cifarnet

PACKAGE = Path(cifarnet.__file__).parent
ORDER = [  # a room imports those above it, and itself
    {"errors", "version", "setting", "readable"}, {"nn"}, {"deviations", "statistics"}, {"config"}, {"data"},
    {"training"}, {"runs"}, {"plots"}, {"pages"}, {"experiments"},
    {"search", "student", "causes", "studies"}, {"verdicts", "export", "mistakes"}, {"reports"}, {"api"}, {"cli"},
]  # fmt: skip
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
TOP = {"__init__": "api", "__main__": "cli"}
FILES = ("config", "data", "runs", "pages", "version")  # the rooms that open files; version.py its own PKG-INFO
OPENING = {
    "open", "read_text", "write_text", "write_bytes", "mkdir", "unlink", "rmdir", "rename", "touch", "symlink_to",
    "rmtree", "fromfile", "tofile",
}  # fmt: skip
THREADS = {"Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor", "Pool", "Process"}
BANNED = {
    "jitter", "objective", "slope", "helper", "abreast", "twin", "crew", "team", "told", "due", "proper", "lean",
    "apart", "mend", "sweep", "settle", "doomed",
}  # fmt: skip


def room_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return TOP.get(first, first)


TEXTS = [path for path in sorted(PACKAGE.rglob("*.*")) if path.suffix in (".py", ".j2", ".css")]
LINES = {path: len(path.read_text().splitlines()) for path in TEXTS}


@cache
def trees():
    return {path: ast.parse(path.read_text()) for path in TEXTS if path.suffix == ".py"}


def walk(tree, skip=lambda _: False):
    """A tree's nodes but for those under a node to skip."""
    nodes = [tree]
    for node in nodes:  # which grow meanwhile
        nodes += (child for child in ast.iter_child_nodes(node) if not skip(child))
    return nodes


def imports(tree):
    """The full names that a file imports, wherever it does so; not those for types alone."""
    for node in walk(tree, lambda node: isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ("." * node.level + f"{node.module}.{alias.name}" for alias in node.names)


def calls(nodes):
    """Every call, and the name of its function: f for f(...) and x.f(...)."""
    for node in nodes:
        if isinstance(node, ast.Call):
            yield node, node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


# Rules: each finds what is wrong in a file of a room


def imports_are_absolute_and_point_up(room, tree):
    for name in imports(tree):
        package, *rest = name.split(".")
        other = rest[0] if rest and rest[0] in LEVEL else "api"
        if not package or (package == "cifarnet" and other != room and LEVEL[other] >= LEVEL[room]):
            yield name


def matplotlib_is_imported_by_plots_alone_and_pyplot_by_nobody(room, tree):
    for name in imports(tree):
        if name.startswith("matplotlib") and (room != "plots" or "pyplot" in name):
            yield name


def files_are_opened_in_five_rooms(room, tree):
    """Run.read_bytes(name), str.replace and the file that io.BytesIO is do not open one."""
    for call, name in calls(walk(tree)):
        text, called = ast.unparse(call), ast.unparse(call.func)
        renames = called.endswith(".replace") and len(call.args) == 1 and not call.keywords
        reads = (name == "read_bytes" and not call.args) or re.match(r"np\.(load|save)", called)
        if (name in OPENING or renames or reads) and room not in FILES and "io.BytesIO" not in text:
            yield text


def only_the_command_line_prints(room, tree):
    return (name for _, name in calls(walk(tree)) if name == "print" or (name == "echo" and room != "cli"))


def no_module_has_a_thread(room, tree):
    """A fork has none of its parent's threads: what a run needs, the run owns."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return THREADS & {name for _, name in calls(walk(tree, lambda node: isinstance(node, functions)))}


def names_are_plain_words(room, tree):
    """The words of the field, and none of those that are banned."""
    foreign = {"helper"} if room == "export" else set()  # onnx.helper
    for node in walk(tree, lambda node: isinstance(node, ast.Import | ast.ImportFrom)):
        for text in (getattr(node, field, None) for field in ("name", "arg", "id")):
            words = re.findall("[A-Z]?[a-z]+|[A-Z]+", text) if isinstance(text, str) else ()
            yield from {word.lower() for word in words} & BANNED - foreign


RULES = [
    imports_are_absolute_and_point_up, matplotlib_is_imported_by_plots_alone_and_pyplot_by_nobody,
    files_are_opened_in_five_rooms, only_the_command_line_prints, no_module_has_a_thread, names_are_plain_words,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_file_keeps_the_rules(rule):
    found = {str(path.relative_to(PACKAGE)): [*rule(room_of(path), tree)] for path, tree in trees().items()}
    assert not {name: wrong for name, wrong in found.items() if wrong}


def test_every_module_is_in_a_room():
    assert {room_of(path) for path in TEXTS} <= set(LEVEL)


LARGE = {  # rooms that have outgrown the 1,000 lines that one should have: these numbers only go down
    "causes": 1129, "cli": 1983,
}  # fmt: skip


def test_no_file_and_no_room_is_too_large():
    """A larger one has a second reason to change, and a larger file of tests a second subject."""
    tests = {path: len(path.read_text().splitlines()) for path in Path(__file__).parent.rglob("*.py")}
    assert not {str(path): lines for path, lines in tests.items() if lines > 350}
    rooms = {room: sum(lines for path, lines in LINES.items() if room_of(path) == room) for room in LEVEL}
    assert not {str(path): lines for path, lines in LINES.items() if lines > 350}
    assert not {room: lines for room, lines in rooms.items() if lines > LARGE.get(room, 1000)}
