"""How a student's functions are called: tried out by shapes on one problem, then in the same way on every other."""

from __future__ import annotations

import contextlib
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from cifarnet.errors import CodeError
from cifarnet.experiments.gradients import Problem
from cifarnet.student import forms
from cifarnet.student.calling import FROM_FORWARD_PASS, Answer, Call, Failure, Session, Student
from cifarnet.student.code import Code, Raised
from cifarnet.student.forms import LAYOUTS, ORDERS, Unfit
from cifarnet.student.points import point

TRIED = ((7, 5, 10), (7, 10), (10, 10, 10), (7, 50, 10), (3072, 50, 10), (3072, 10))  # the last for sizes in the code
DEEPER = ((7, 5, 6, 10), (7, 5, 5, 10))
Attempt = tuple[int, int, BaseException]  # the stage, the line of the function that was reached, and what was raised
NOT_CALLED, FORWARD, GRADIENT = range(3)  # the stages
Known = Callable[[Problem, Answer, int], bool]


def understand(path: Path, name: str | None = None, known: Known = lambda problem, answer, count: False) -> Student:
    """Find out how the functions of a file are called; CodeError says what they need, or what they raise and where.

    Where they can be called in several ways, the way is taken that gives the right gradient, else one with ``known``
    mistakes, of which it is given how many, else the likeliest by the names.
    """
    code = Code(path)
    module = code.load()
    target, attempts = code.gradient(module, name), list[Attempt]()
    script = {name: key for name in sorted(code.variables(module)) if (key := left_to_script(name))}
    bare = Student(code, LAYOUTS[0], Call(target, {}), globals=script)
    student = next((s for s in (first(bare, sizes, attempts, known) for sizes in TRIED) if s), None)
    far = max(attempts, key=lambda attempt: attempt[:2], default=(NOT_CALLED, 0, Unfit("")))[-1]
    if student is None:
        if isinstance(far, Unfit):
            raise CodeError(
                f"{code.path}, line {target.line}, {target.label}: {far}. It should be called like compute_gradients("
                "X, Y, W, b, lam); `cifarnet gradcheck --template` prints a file that passes."
            )
        raise CodeError(code.explain(far)) from far
    if student.sizes == [(10, 10, 10)] and not isinstance(far, Unfit):
        student = replace(student, notes=[f"With matrices that are not square it fails: {code.explain(far)}"])
    student = with_cost(student)
    return deeper(without(student, "forward pass, which ours replaces,", student.failed) if student.failed else student)


def without(student: Student, what: str, failure: Failure) -> Student:
    """Have it said why a function of the student is not called, which is a fault of theirs where it raises."""
    call, error = failure
    if isinstance(error, Unfit):
        return replace(student, notes=[*student.notes, f"Your {what} cannot be used: {call}: {error}"])
    text = f"Your {what} raises an error: {call}: {student.code.explain(error)}"
    return replace(student, broken=[*student.broken, text])


def first(bare: Student, sizes: tuple[int, ...], attempts: list[Attempt], known: Known) -> Student | None:
    """Try every layout and form on one problem; return the best way to call the functions, None if all fail."""
    problem, module, flat = point(sizes), bare.code.load(), False
    right, found, borrowed = problem.gradient(), list[tuple[Student, Answer]](), list[tuple[Student, Answer]]()
    for student in ways(bare, module, problem, attempts):
        if student.layout.order != ORDERS[0] and not flat:
            break  # no vector has all parameters, so that there is no other order
        session = Session(student, module)
        try:
            answer = session.gradient(problem)
        except (*Raised, Unfit) as error:
            attempts.append(attempt(student, error))
            continue
        flat = flat or session.student.flat
        student, given = session.student, FROM_FORWARD_PASS & {*student.gradient.keys.values()}
        forward = student.forward if given or student.gradient.found.owner else None
        student = replace(student, sizes=[sizes], forward=forward, failed=student.failed if given else None)
        if student.failed:  # its own forward pass is tried in every layout first
            borrowed.append((student, answer))
        elif answer.is_near(right, 1e-6):
            return student
        elif not any(answer.is_near(other.gradient, 1e-12) for _, other in found):
            found.append((student, answer))
    found = sorted(found or borrowed, key=lambda each: not each[1].shapes_fit)
    several = found if len(found) > 1 else []
    explained = (student for count in (0, 1, 2) for student, answer in several if known(problem, answer, count))
    return next(explained, found[0][0] if found else None)


def ways(bare: Student, module: types.ModuleType, problem: Problem, attempts: list[Attempt]) -> Iterator[Student]:
    """Yield the ways in which the functions may be called, the course's layout first."""
    target = bare.gradient.found
    try:
        found = list(forms.bindings(target.function, target.owner is not None, len(problem.settings.sizes) - 1))
    except Unfit as error:
        attempts.append((NOT_CALLED, 0, error))
        return
    for layout in LAYOUTS:
        student = replace(bare, layout=layout)
        if target.owner or any(FROM_FORWARD_PASS & {*keys.values()} for keys in found):
            student = with_forward_pass(student, module, problem)
        yield from (replace(student, gradient=Call(target, keys)) for keys in found)


def attempt(student: Student, error: BaseException) -> Attempt:
    """Return how far a gradient came that raised an error; an error of its forward pass is the cause of it."""
    if student.failed and not isinstance(student.failed[1], Unfit):
        return FORWARD, progress(student.code, student.failed), student.failed[1]
    line = progress(student.code, (student.gradient, error))
    return GRADIENT if line else NOT_CALLED, line, error


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


def with_forward_pass(student: Student, module: types.ModuleType, problem: Problem) -> Student:
    """Add the first way to call a forward pass that gives probabilities; if there is none, say why not."""
    failures = list[Failure]()
    for call in calls(student, module, "forward", len(problem.settings.sizes) - 1):
        trial = replace(student, forward=call)
        try:
            v = Session(trial, module).prepare(problem)
            forms.intermediate("P", "P", v["passed"], v)
            return trial
        except (*Raised, Unfit) as error:
            failures.append((call, error))
    return replace(student, failed=max(failures, key=partial(progress, student.code), default=None))


def progress(code: Code, failure: Failure) -> int:
    """Return how far a call came: its line of the function, 0 if it was not reached."""
    call, error = failure
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
            trial = with_forward_pass(trial, module, problem)
        try:
            off = abs(Session(trial, module).cost(problem) - problem.probe(problem.theta)[0].sum())
            found.append((off < 1e-6, len(given & taken), trial))
        except (*Raised, Unfit) as error:
            failures.append((call, error))
    if found:
        return max(found, key=lambda each: each[:2])[2]
    if failures:
        return without(student, "cost", max(failures, key=partial(progress, student.code)))
    return student
