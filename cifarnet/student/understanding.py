"""How a student's functions are called: tried out by shapes on one problem, then in the same way on every other."""

from __future__ import annotations

import contextlib
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from cifarnet.errors import CodeError
from cifarnet.experiments.gradients import Problem
from cifarnet.student import forms
from cifarnet.student.calling import FROM_FORWARD_PASS, Answer, Call, Session, Student
from cifarnet.student.code import Code, Found, Raised
from cifarnet.student.forms import LAYOUTS, ORDERS, Unfit
from cifarnet.student.points import point

TRIED = ((7, 5, 10), (7, 10), (10, 10, 10), (7, 50, 10), (3072, 50, 10), (3072, 10))  # the last for sizes in the code
DEEPER = ((7, 5, 6, 10), (7, 5, 5, 10))
Failure = tuple[Call, BaseException]  # what was called, and what it raised
Attempt = tuple[int, int, BaseException]  # a stage, the line of the function that was reached, and what was raised
NOT_CALLED, FORWARD, CALLED = range(3)  # the stages: the forward pass raises, or the gradient
FORWARD_PASS = "forward pass, which ours replaces,"
Known = Callable[[Problem, Answer, int], bool]


def understand(path: Path, name: str | None = None, known: Known = lambda problem, answer, count: False) -> Student:
    """Find out how the functions of a file are called; CodeError says what they need, or what they raise and where.

    Where they can be called in several ways, the way is taken that gives the right gradient, else one with ``known``
    mistakes, of which it is given how many, else the likeliest by the names.
    """
    code = Code(path)
    module = code.load()
    target, failures = code.gradient(module, name), list[Attempt]()
    student = next((s for s in (first(code, target, sizes, failures, known) for sizes in TRIED) if s), None)
    far = max(failures, key=lambda attempt: attempt[:2], default=(NOT_CALLED, 0, Unfit("")))[-1]
    if student is None:
        if isinstance(far, Unfit):
            raise CodeError(
                f"{code.path}, line {target.line}, {target.label}: {far}. It should be called like compute_gradients("
                "X, Y, W, b, lam); `cifarnet gradcheck --template` prints a file that passes."
            )
        raise CodeError(code.explain(far, module)) from far
    if student.sizes == [(10, 10, 10)] and not isinstance(far, Unfit):
        note = f"With matrices that are not square it fails: {code.explain(far, module)}"
        student = replace(student, notes=(*student.notes, note))
    return deeper(with_cost(student))


def without(student: Student, module: types.ModuleType, what: str, failure: Failure) -> Student:
    """Have it said why a function of the student is not called, which is a fault of theirs where it raises."""
    call, error = failure
    if isinstance(error, Unfit):
        note = f"Your {what} cannot be used: {call}: {error}"
        return student if note in student.notes else replace(student, notes=(*student.notes, note))
    text = f"Your {what} raises an error: {call}: {student.code.explain(error, module)}"
    return student if text in student.broken else replace(student, broken=(*student.broken, text))


def first(code: Code, target: Found, sizes: tuple[int, ...], failures: list[Attempt], known: Known) -> Student | None:
    """Try every layout and form on one problem; return the best way to call the functions, None if all fail."""
    problem, module, flat = point(sizes), code.load(), False
    right, found, borrowed = problem.gradient(), list[tuple[Student, Answer]](), list[tuple[Student, Answer]]()
    for student, failed in ways(code, module, target, problem, failures):
        if student.layout.order != ORDERS[0] and not flat:
            break  # no vector has all parameters, so that there is no other order
        session = Session(student, module)
        try:
            answer = session.gradient(problem)
        except (*Raised, Unfit) as error:
            if failed and not isinstance(failed[1], Unfit):
                failures.append((FORWARD, progress(code, *failed), failed[1]))
            else:
                line = progress(code, student.gradient, error)
                failures.append((CALLED if line else NOT_CALLED, line, error))
            continue
        flat = flat or session.student.flat
        given = FROM_FORWARD_PASS & {*student.gradient.keys.values()}
        student = replace(session.student, sizes=[sizes], forward=student.forward if target.owner or given else None)
        if given and failed:  # its own forward pass is tried in every layout first
            borrowed.append((without(student, module, FORWARD_PASS, failed), answer))
            continue
        if answer.is_near(right, 1e-6):
            return student
        if not any(answer.is_near(other.gradient, 1e-12) for _, other in found):
            found.append((student, answer))
    if not found and borrowed:
        return next((student for student, answer in borrowed if answer.is_near(right, 1e-6)), borrowed[0][0])
    found.sort(key=lambda each: not each[1].shapes_fit)
    several = found if len(found) > 1 else []
    explained = (student for count in (1, 2) for student, answer in several if known(problem, answer, count))
    return next(explained, found[0][0] if found else None)


def ways(
    code: Code, module: types.ModuleType, target: Found, problem: Problem, failures: list[Attempt]
) -> Iterator[tuple[Student, Failure | None]]:
    """Yield the ways in which the functions may be called, the course's layout first, and why no forward pass is."""
    script = {name: key for name in code.variables(module) if (key := left_to_script(name))}
    try:
        found = list(forms.bindings(target.function, target.owner is not None, len(problem.settings.sizes) - 1))
    except Unfit as error:
        failures.append((NOT_CALLED, 0, error))
        return
    for layout in LAYOUTS:
        student, failed = Student(code, layout, Call(target, {}), globals=script), None
        if target.owner or any(FROM_FORWARD_PASS & {*keys.values()} for keys in found):
            student, failed = with_forward_pass(student, module, problem)
        yield from ((replace(student, gradient=Call(target, keys)), failed) for keys in found)


def left_to_script(name: str) -> str | None:
    """Return the key for a global variable, which the script of a file sets, by its name."""
    kind = {"W": "Ws", "b": "bs", "lam": "lam"}.get(str(forms.role(name)))
    return forms.numbered(name) or kind or (name if name in ("K", "d", "m") else None)


def calls(student: Student, module: types.ModuleType, kind: str, layers: int) -> Iterator[Call]:
    """Yield the ways to call the functions of a kind that go with the gradient's: those of its class first."""
    owner = student.gradient.found.label.rpartition(".")[0]
    every = [found for rank in student.code.candidates(module, kind) for found in rank]
    for label in dict.fromkeys((owner, "")):
        for found in (found for found in every if found.label.rpartition(".")[0] == label):
            with contextlib.suppress(Unfit):
                yield from (Call(found, keys) for keys in forms.bindings(found.function, bool(label), layers))


def with_forward_pass(student: Student, module: types.ModuleType, problem: Problem) -> tuple[Student, Failure | None]:
    """Add the first way to call a forward pass that gives probabilities; if there is none, say why not."""
    failures = list[Failure]()
    for call in calls(student, module, "forward", len(problem.settings.sizes) - 1):
        trial = replace(student, forward=call)
        try:
            v = Session(trial, module).prepare(problem)
            forms.intermediate("P", "P", v["passed"], v)
            return trial, None
        except (*Raised, Unfit) as error:
            failures.append((call, error))
    return student, farthest(student.code, failures)


def farthest(code: Code, failures: Sequence[Failure]) -> Failure | None:
    """Return the call that came farthest."""
    return max(failures, key=lambda failure: progress(code, *failure), default=None)


def progress(code: Code, call: Call, error: BaseException) -> int:
    """Return how far a call came: its line of the function, 0 if it was not reached."""
    if isinstance(error, Unfit):
        return 1_000_000 if "returns" in str(error) else 0
    lines = [(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return max([n for f, n in lines if f.co_name == call.found.name and code.is_own(f.co_filename)], default=1)


def deeper(student: Student) -> Student:
    """Add square matrices, and a third layer where the functions take any number of layers."""
    for more in ((10,) * len(student.sizes[0]), *DEEPER, (10, 10, 10, 10)):
        square, known = len({*more}) == 1, len(more) in [len(sizes) for sizes in student.sizes]
        if more in student.sizes or square != known:  # squares do not show where each gradient is in what is returned
            continue
        session = Session(student)
        with contextlib.suppress(*Raised, Unfit):
            session.gradient(point(more))
            if student.cost:
                session.cost(point(more))
            student = replace(session.student, sizes=[*student.sizes, more])
    return student


def with_cost(student: Student) -> Student:
    """Add the student's cost: the first function for it that can be called, given what the gradient's is, or right."""
    problem, module, found = point(student.sizes[0]), student.code.load(), list[tuple[bool, int, Student]]()
    failures = list[Failure]()
    for call in calls(student, module, "cost", len(student.sizes[0]) - 1):
        if found and found[0][2].cost and found[0][2].cost.found != call.found:
            break
        given, taken = {*call.keys.values()}, {*student.gradient.keys.values()}
        lam = "lam" in given | {*student.globals.values()} or call.found.owner
        trial = replace(student, cost=call, adds_l2=not lam and "lam" in taken)
        if not trial.forward and FROM_FORWARD_PASS & given:
            trial, failed = with_forward_pass(trial, module, problem)
            trial = without(trial, module, FORWARD_PASS, failed) if failed else trial
        try:
            off = abs(Session(trial, module).cost(problem) - problem.probe(problem.theta)[0].sum())
            found.append((off < 1e-6, len(given & taken), trial))
        except (*Raised, Unfit) as error:
            failures.append((call, error))
    if found:
        return max(found, key=lambda each: each[:2])[2]
    failure = farthest(student.code, failures)
    return without(student, module, "cost", failure) if failure else student
