"""What the comparisons say: where gradients and costs agree, and which known mistakes give a student's numbers."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from cifarnet.experiments.gradients import Problem
from cifarnet.mistakes import kinds
from cifarnet.mistakes.kinds import Mistake, Pass, gradient, passes
from cifarnet.nn.network import Array, views, weight_count
from cifarnet.student.calling import Answer, Session, Student
from cifarnet.student.points import distance, point

TOLERANCE, NUMERICAL = 1e-9, 1e-6  # of a gradient compared with ours; of a cost, and of a numerical gradient
SAME = 1e-6  # a mistake's numbers are the student's
ROUNDING = 1e-4  # an error below it may be float32's
SCOPED = {"l2", "b", "nodes", "data", "mask", "W back", "W", "H", "bias"}  # places of changes that one layer may have
HOW = (
    "Your function is called twice, with different images, and the second answer is checked: in float64, with lambda 0 "
    "and 0.1, with 20 images and with 1. Weights, biases and images are random; one node of each hidden layer is "
    "always off, and no other is near 0. The numerical gradient is by centred differences with h = 1e-5."
)

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One problem, and what the student's functions make of it."""

    problem: Problem
    answer: Answer
    right: dict[str, Array]
    numerical: dict[str, tuple[Array, Array]]  # some entries of a parameter, and the derivatives of the student's cost
    cost: float | None

    def rows(self) -> Iterator[Row]:
        """Yield the errors of each parameter."""
        training = self.problem.settings.training
        where = {"lambda": training.lam, "images": training.batch_size}
        for name, right in self.right.items():
            found, numerical = self.answer.gradient[name], None
            if name in self.numerical:
                entries, derivative = self.numerical[name]
                numerical = distance(found.ravel()[entries], derivative) if found.shape == right.shape else 1.0
            error = distance(found, right)
            passed = error <= TOLERANCE and (numerical or 0.0) <= NUMERICAL
            row = {"name": name, "norm_relative_error": error, "numerical_error": numerical, "tolerance": TOLERANCE}
            yield row | {"passed": passed, "hidden": list(self.problem.settings.network.hidden), **where}

    def cost_error(self, wrong: Any = None) -> float:
        """Return the relative error of the student's cost, or of what it would be with a known mistake."""
        settings, theta = self.problem.settings, self.problem.theta
        right, l2 = self.problem.probe(theta)[0].sum(), settings.training.l2
        if wrong:
            term, biases = l2.cost(theta[: weight_count(settings.sizes)]), views(theta, settings.sizes)[1]
            penalty = settings.training.lam * sum(float(b @ b) for b in biases)
            right = wrong(right - term, term, penalty, settings.training.batch_size, settings.sizes[-1])
        return 0.0 if self.cost is None else distance(np.array([self.cost]), np.array([right]))


def judge(student: Student, cases: Sequence[Case]) -> dict[str, Any]:
    """Return the results of all cases: the three comparisons, the mistakes and the rows of the table."""
    rows = [row for each in cases for row in each.rows()]
    right = all(row["norm_relative_error"] <= TOLERANCE for row in rows)
    changed = sorted({name for each in cases for name in each.answer.changed})
    explained = [] if right else diagnose(cases)
    found = [*explained, *(replace(kinds.BROKEN, what=text) for text in student.broken)]
    found += [replace(kinds.IN_PLACE, what=f"{kinds.IN_PLACE}: {', '.join(changed)}")] if changed else []
    named = [{"mistake": str(each), "shows": each.shows, "right": each.right} for each in found]
    costs_agree = max(each.cost_error() for each in cases) <= NUMERICAL
    return {
        "passed": all(row["passed"] for row in rows) and costs_agree and not changed and not student.broken,
        "code": str(student.code.path),
        "function": student.gradient.found.label,
        "taken": student.taken,
        "how": HOW,
        "comparisons": [*comparisons(rows, cases)],
        "mistakes": named,
        "differences": [] if right or explained else differences(cases),
        "notes": notes(student) if right else [],
        "parameters": rows,
        "source": inspect.getsource(student.gradient.found.function),
    }


def comparisons(rows: Sequence[Row], cases: Sequence[Case]) -> Iterator[str]:
    """Yield the three comparisons, a sentence each."""
    if cases[0].cost is None:
        yield "No cost of yours can be called: it is not compared, and your gradient with no numerical one."
    else:
        yield sentence("Your gradient and the numerical gradient of your cost", rows, "numerical_error", NUMERICAL)
        worst = max(each.cost_error() for each in cases)
        known = (
            what for what, wrong in kinds.COSTS.items() if all(each.cost_error(wrong) <= NUMERICAL for each in cases)
        )
        mistake = f" {what}." if worst > NUMERICAL and (what := next(known, "")) else ""
        agree = "differ" if worst > NUMERICAL else "agree"
        yield f"Your cost and the assignment's {agree}: relative error at most {worst:.0e}.{mistake}"
    yield sentence("Your gradient and ours", rows, "norm_relative_error", TOLERANCE)


def sentence(what: str, rows: Sequence[Row], key: str, tolerance: float) -> str:
    """Say whether two gradients agree, and in which parameters and cases they do not."""
    wrong = [row for row in rows if row[key] > tolerance]
    agree = f"differ {where(wrong, rows)}" if wrong else "agree"
    return f"{what} {agree}: relative error at most {max(row[key] for row in rows):.0e}."


def where(wrong: Sequence[Row], rows: Sequence[Row]) -> str:
    """Say in which parameters, and at which lambda and n, rows are wrong, unless it is at all of them."""
    text = f"in {', '.join(dict.fromkeys(row['name'] for row in wrong))}"
    for key, name in (("lambda", "lambda"), ("images", "n")):
        if (values := {row[key] for row in wrong}) != {row[key] for row in rows}:
            text += f", only where {name} = {min(values):g}"
    return text


def diagnose(cases: Sequence[Case]) -> list[Mistake]:
    """Return the known mistake, or the two, that give the student's numbers in every case; nothing if none does."""
    short = any(a.dtype.kind == "f" and a.itemsize < 8 for a in cases[0].answer.returned.values())
    if max(each.answer.farthest(each.right) for each in cases) <= ROUNDING:
        return [kinds.FLOAT32 if short else kinds.INEXACT]
    answers = [(passes(each.problem), each.answer) for each in cases]
    found = next((found for count in (1, 2) for found in explain(answers, count)), [])
    return [*found, kinds.FLOAT32] if short else found


def known(problem: Problem, answer: Answer, count: int) -> bool:
    """Return whether ``count`` known mistakes give a gradient."""
    return next(explain([(passes(problem), answer)], count), None) is not None


def explain(answers: Sequence[tuple[Pass, Answer]], count: int) -> Iterator[list[Mistake]]:
    """Yield the sets of ``count`` known mistakes that give the student's numbers on all problems."""
    every = [*kinds.MISTAKES, *fitted(*answers[0])]
    layers = range(max(len(p.S) for p, _ in answers))
    every += [replace(m, layer=layer) for m in kinds.MISTAKES if SCOPED.issuperset(m.changes) for layer in layers]
    hard = sorted(answers, key=lambda each: (each[0].n > 1) + (each[0].problem.settings.training.lam > 0), reverse=True)
    for chosen in itertools.combinations(every, count):
        if all(answer.is_near(gradient(p, chosen), SAME) for p, answer in hard):
            yield list(chosen)


def fitted(p: Pass, answer: Answer) -> Iterator[Mistake]:
    """Yield the mistakes that have a number, with the one that fits best: the gradient is linear in each of them."""

    def best(name: str, of: Callable[[float], Mistake]) -> float:
        none, one = (gradient(p, [of(value)])[name] for value in (0.0, 1.0))
        if answer.gradient[name].shape != none.shape:
            return 0.0
        change, off = (one - none).ravel(), (answer.gradient[name] - none).ravel()
        return float(change @ off / max(change @ change, 1e-30))

    last = len(p.S)
    if last > 1 and (step := best(f"W{last - 1}", kinds.updated)):
        yield kinds.updated(step)
    if factor := best(f"W{last}", partial(kinds.multiplied, "G")):
        yield from (kinds.divided(p.n / factor), kinds.multiplied("G", factor))
    if factor := best(f"W{last}", partial(kinds.multiplied, "all")):
        yield kinds.multiplied("all", factor)
    for layer, kind in itertools.product((None, *range(last)), "Wb"):
        if factor := best(f"{kind}{last if layer is None else layer + 1}", partial(kinds.multiplied, kind)):
            yield kinds.multiplied(kind, factor, layer)


def differences(cases: Sequence[Case]) -> list[str]:
    """Say where the first gradient differs that does, in the student's layout of W: for a mistake that is not known."""
    each = next(each for each in cases if each.answer.farthest(each.right) > TOLERANCE)
    lines = []
    for name, right in each.right.items():
        found = each.answer.gradient[name]
        if distance(found, right) <= TOLERANCE:
            continue
        if found.shape != right.shape:
            lines.append(f"{name}: its shape is {found.shape[::-1]} instead of {right.shape[::-1]}")
            continue
        off = np.abs(found - right)
        at = np.unravel_index(off.argmax(), off.shape)
        count = int((~(off <= TOLERANCE * np.abs(right).max())).sum())  # NaN is different, too
        most = f"[{', '.join(str(i) for i in at[::-1])}]: {found[at]:.6g} instead of {right[at]:.6g}"
        lines.append(f"{name}: {count} of {off.size} entries differ, most of all {most}")
    return lines


def notes(student: Student) -> list[str]:
    """Say what a right gradient does in an update, and where its value is a choice: at a node that is exactly 0."""
    problem = point(student.sizes[0])
    Ws, bs = views(problem.theta, problem.settings.sizes)
    Ws[0][:, 0] = bs[0][0] = 0
    answer, one_at_zero = Session(student).gradient(problem), gradient(passes(problem), [kinds.AT_ZERO])
    found = [
        f"{name} has the shape {shape} and its gradient {a.shape}: {name} - eta * gradient has another."
        for (name, a), shape in zip(answer.returned.items(), answer.shapes.values(), strict=True)
        if shape not in (a.shape, (1, *a.shape))
    ]
    if not answer.is_near(problem.gradient(), TOLERANCE) and answer.is_near(one_at_zero, SAME):
        found.append(f"{kinds.AT_ZERO}: {kinds.AT_ZERO.right}.")
    return found


def lines(results: dict[str, Any]) -> Iterator[str]:
    """Lay out the results of a check, in at most 80 columns."""
    from tabulate import tabulate

    yield from results["taken"]
    rows, cells = results["parameters"], []
    cases = dict.fromkeys((row["lambda"], row["images"]) for row in rows)
    for name in sorted({row["name"] for row in rows}, key=lambda name: (name[1:], name)):
        own = [row for row in rows if row["name"] == name]
        errors = [
            max(row["norm_relative_error"] for row in own if (row["lambda"], row["images"]) == case) for case in cases
        ]
        numerical = None if own[0]["numerical_error"] is None else max(row["numerical_error"] for row in own)
        cells.append([name, *errors, numerical, "right" if all(row["passed"] for row in own) else "WRONG"])
    headings = ["parameter", *(f"lambda {lam:g}\nn = {n}" for lam, n in cases), "numerical", "verdict"]
    yield "\n" + tabulate(cells, headings, floatfmt=".0e") + "\n"
    yield from results["comparisons"]
    for each in results["mistakes"]:
        yield f"\n{each['mistake']}.\n  It shows {each['shows']}.\n  Right is: {each['right']}."
    if results["differences"]:
        yield "\nNone of the known mistakes, alone or in pairs, explains your numbers."
    if any(line.startswith("W1:") for line in results["differences"]):
        yield "figures/error_W1.png shows where your gradient of W1 differs."
    yield from results["differences"] + results["notes"]
    yield ""
