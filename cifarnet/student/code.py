"""A student's file: its definitions are run, and the functions for gradient, cost and forward pass are found."""

from __future__ import annotations
import __future__

import ast
import builtins
import contextlib
import dis
import inspect
import re
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cifarnet.errors import CodeError

KINDS = {  # names in lower case without underscores: patterns of the likely ones first
    "gradient": (
        r"(get|calc(ulate)?|compute)?(grads?|gradients?)|(get|calc(ulate)?|compute)?backward(s|pass|prop)?|backprop\w*",
        r"\w*(grad|backw|backprop)\w*",
    ),
    "forward": (r"forward(pass|prop)?|evaluateclassifier|applynetwork", r"\w*(forward|apply|evaluate|feed|predict)\w*"),
    "cost": (r"(compute)?costs?", r"\w*cost\w*", r"(compute)?loss", r"\w*loss\w*"),
}
OTHER = re.compile(
    r"num|slow|check|torch|test|compar|error|plot|svm|train|update|accura|relu|softmax|sigmoid|norm|fit$"
)
DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
Raised = (Exception, SystemExit)  # what a student's code may raise; not Ctrl-C


def define(module: types.ModuleType, path: str) -> dict[str, str]:
    """Run a file's imports, functions, classes and constants; return of all other names why they are not defined.

    What loads data, trains, draws and prints is left out, and what cannot be run, such as an import of what is not
    installed and a class that inherits from it.
    """
    tree = ast.parse(SourceFileLoader(module.__name__, path).get_source(module.__name__) or "", path)
    own = {node.name for node in tree.body if isinstance(node, DEFINED)}
    left_out: dict[str, str] = {}
    flags = __future__.annotations.compiler_flag  # what annotations name need not be installed
    for node in tree.body:
        why = "it is no definition"
        if defines(node, own):
            try:
                exec(compile(ast.Module([node], []), path, "exec", flags, dont_inherit=True), vars(module))
                continue
            except Raised as error:
                if isinstance(node, DEFINED) and not (isinstance(error, NameError) and error.name in left_out):
                    raise
                why = f"{type(error).__name__}: {error}"
        left_out |= {name: f"line {node.lineno} was not run: {why}" for name in names_of(node)}
    return left_out


def defines(node: ast.stmt, own: set[str]) -> bool:
    """Return whether a top-level statement only defines something: it calls none of the file's own functions."""
    if isinstance(node, (ast.Import, ast.ImportFrom, *DEFINED)):
        return True
    if isinstance(node, ast.If | ast.Try):
        return all(defines(part, own) for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt))
    calls = [ast.unparse(part.func) for part in evaluated(node) if isinstance(part, ast.Call)]
    if isinstance(node, ast.Expr):
        return bool(calls) and calls[0].startswith("sys.path.")
    own = own | {"open", "input"}
    return isinstance(node, ast.Assign | ast.AnnAssign) and not any(call.split(".")[0] in own for call in calls)


def evaluated(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all below it but what is in a lambda, which is called later, if ever."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda):
            yield from evaluated(child)


def names_of(node: ast.stmt) -> set[str]:
    """Return the names that a statement would define."""
    if isinstance(node, DEFINED):
        return {node.name}
    stored = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    return stored | {(part.asname or part.name) for part in ast.walk(node) if isinstance(part, ast.alias)}


class Found(NamedTuple):
    """A function of the file, or a method of a class in it."""

    label: str  # as --function takes it
    function: Callable[..., Any]
    owner: type | None

    @property
    def name(self) -> str:
        return self.label.rpartition(".")[2]

    @property
    def line(self) -> int:
        return int(inspect.unwrap(self.function).__code__.co_firstlineno)


class Code:
    """A student's file."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.left_out: dict[str, str] = {}  # of names: why they are not defined
        if path.suffix == ".ipynb":
            raise CodeError(f"{path}: a notebook; make a Python file of it: jupyter nbconvert --to script {path}")

    def load(self) -> types.ModuleType:
        """Run the file's definitions in a new module: nothing stays of earlier calls. CodeError says what is wrong."""
        name, before = "student_" + re.sub(r"\W", "_", self.path.stem), set(sys.modules)
        module = types.ModuleType(name)
        module.__file__ = str(self.path)
        sys.modules[name] = module  # where dataclasses look for it
        try:
            with self.running():
                self.left_out = define(module, str(self.path))
        except Raised as error:
            raise CodeError(self.explain(error)) from error
        finally:
            for new in set(sys.modules) - before:
                if self.is_own(getattr(sys.modules[new], "__file__", None)):
                    del sys.modules[new]
        return module

    def is_own(self, file: str | None) -> bool:
        """Return whether a file is the student's: in the folder of theirs, and not installed."""
        path = Path(file or "/")
        return path.is_relative_to(self.path.parent) and "site-packages" not in path.parts

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run code of the file: its folder is there to import from, and what it prints goes to standard error.

        No bytecode is written there: Python would take it for that of a file that changes within the same second.
        """
        folder, before = str(self.path.parent), sys.dont_write_bytecode
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        try:
            with contextlib.redirect_stdout(sys.stderr), np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            sys.path.remove(folder)
            sys.dont_write_bytecode = before

    def explain(self, error: BaseException) -> str:
        """Say what was raised, and where in the student's files."""
        if isinstance(error, SyntaxError):
            place = f"{error.filename or self.path}" + (f", line {error.lineno}" if error.lineno else "")
            return f"{place}: {type(error).__name__}: {error.msg}"
        text = f"{type(error).__name__}: {error}"
        frames = [f for f in traceback.extract_tb(error.__traceback__) if self.is_own(f.filename)]
        if frames:
            last = frames[-1]
            text = f"{last.filename}, line {last.lineno}, in {last.name}: {text}\n    {last.line}"
        elif isinstance(error, UnicodeDecodeError):
            text = f"{self.path}: {error}; save it as UTF-8"
        why = self.left_out.get(str(error.name)) if isinstance(error, NameError) else None
        return f"{text}\n    {why}" if why else text

    def functions(self, module: types.ModuleType) -> list[Found]:
        """Return the functions and methods that are the student's."""
        found = []
        for name, value in vars(module).items():
            methods = vars(value) if inspect.isclass(value) else {}
            found += [Found(f"{name}.{n}", f, value) for n, f in methods.items() if self.wrote(f)]
            found += [Found(name, value, None)] if self.wrote(value) else []
        return found

    def wrote(self, value: Any) -> bool:
        code = getattr(inspect.unwrap(value), "__code__", None) if callable(value) else None
        return code is not None and self.is_own(code.co_filename)

    def variables(self, module: types.ModuleType) -> set[str]:
        """Return the global names that the student's functions use and nothing defines, or a number, or None."""
        codes, names = [inspect.unwrap(found.function).__code__ for found in self.functions(module)], set[str]()
        for code in codes:
            names |= {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
            codes += [inner for inner in code.co_consts if isinstance(inner, types.CodeType)]
        defined = vars(builtins) | vars(module)
        return {n for n in names if n not in defined or type(defined[n]) in (int, float, type(None))}

    def candidates(self, module: types.ModuleType, kind: str) -> list[list[Found]]:
        """Return the functions of a kind by their names, the equally likely ones together, the likeliest first."""
        ranks: dict[int, list[Found]] = {}
        for found in self.functions(module):
            name = found.name.lower().replace("_", "")
            fit = [rank for rank, pattern in enumerate(KINDS[kind]) if re.fullmatch(pattern, name)]
            if fit and not OTHER.search(name):
                ranks.setdefault(fit[0], []).append(found)
        return [ranks[rank] for rank in sorted(ranks)]

    def gradient(self, module: types.ModuleType, name: str | None) -> Found:
        """Return the function that computes the gradient: the one of that name, or the one that is called like it."""
        every = self.functions(module)
        ranks = [[f for f in every if name in (f.label, f.name)]] if name else self.candidates(module, "gradient")
        if not ranks or not ranks[0]:
            needs = name or "function called like compute_gradients or backward"
            has = ", ".join([found.label for found in every]) or "no functions"
            likely = [why for other, why in self.left_out.items() if re.match(KINDS["gradient"][1], other.lower())]
            text = f"{self.path}: no {needs}; it has {has}. Name one with --function; --template shows a file."
            raise CodeError("\n    ".join([text, *likely]))
        if len(ranks[0]) > 1:
            names = ", ".join(f"{found.label} (line {found.line})" for found in ranks[0])
            raise CodeError(f"{self.path}: which of these computes the gradient: {names}? Name it with --function.")
        return ranks[0][0]
