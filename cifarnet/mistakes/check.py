"""The check of a student's gradient on problems in which wrong things show, and its run folder, which is evidence."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cifarnet import config, pages, plots
from cifarnet.errors import CodeError
from cifarnet.experiments.gradients import Problem
from cifarnet.mistakes import verdict
from cifarnet.mistakes.verdict import Case
from cifarnet.nn.gradcheck import STEPS, derivatives
from cifarnet.nn.network import Array, named_views
from cifarnet.nn.random import generator
from cifarnet.runs import Run
from cifarnet.runs.environment import this_machine
from cifarnet.student.calling import Session, Student
from cifarnet.student.code import Raised
from cifarnet.student.forms import Unfit
from cifarnet.student.points import IMAGES, LAMBDA, point
from cifarnet.student.understanding import understand
from cifarnet.training import blas_threads

CASES = [*itertools.product((0.0, LAMBDA), (IMAGES, 1))]  # lambda and batch size
COORDINATES, FEW = 40, 8  # of each parameter, at most, that have a numerical derivative; of a large network


def start(path: Path, name: str | None = None, *, label: str | None = None, runs_dir: Path = Path("runs")) -> CodeCheck:
    """Find out how a file's functions are called, and make the run folder of their check.

    ``name`` is that of the function or method for the gradient, if the file does not show which one it is. CodeError
    says what the functions need, or what they raise and where.
    """
    with blas_threads(1), np.errstate(all="ignore"):  # the products are small; infinities are found by their values
        student = understand(path, name, verdict.known)
    label = label or config.as_label(path.stem) or "code"
    settings = config.override(point(student.sizes[0]).settings, {"label": label}, "gradcheck")
    run = Run.create(runs_dir, "gradcheck", settings, environment=this_machine())
    run.update(settings={"label": label})  # no images are used, not even synthetic ones
    run.write(path.name, inspect.getsource(student.code.load()))
    return CodeCheck(student, run)


@dataclass(frozen=True, eq=False)
class CodeCheck:
    """A check about to be made: iterate over it to make it, a case at a time; its run has results."""

    student: Student
    run: Run

    def __len__(self) -> int:
        return len(self.student.sizes) * len(CASES)

    def __iter__(self) -> Generator[Case, None, None]:
        cases = []
        with blas_threads(1), pages.live_page(self.run) as refresh, np.errstate(all="ignore"):
            for sizes, (lam, n) in itertools.product(self.student.sizes, CASES):
                cases.append(case(self.student, point(sizes, lam, n)))
                refresh()
                yield cases[-1]
            results = verdict.judge(self.student, cases)
            if any(line.startswith("W1:") for line in results["differences"]):
                self.keep_error(cases)
            self.run.finish("completed", results=results)

    def keep_error(self, cases: list[Case]) -> None:
        """Keep the gradients of a case with a mistake that is not known, and draw its error in W1."""
        worst = max(cases, key=lambda each: each.answer.farthest(each.right))
        right: dict[str, Any] = {f"right_{name}": value for name, value in worst.right.items()}
        self.run.write_arrays("gradients.npz", worst.answer.gradient | right)
        if worst.answer.gradient["W1"].shape == worst.right["W1"].shape:
            figure = plots.FIGURES["error_W1"].draw(self.run)
            plots.save(self.run, {"error_W1": figure})


def case(student: Student, problem: Problem) -> Case:
    """Call the student's functions on one problem, after a call with another batch."""
    session, cost = Session(student), None
    numerical: dict[str, tuple[Array, Array]] = {}
    try:
        session.gradient(replace(problem, images=problem.before))
        answer = session.gradient(problem)
        if student.cost:
            cost = session.cost(problem)
            rng, coordinates = generator(0, "samples"), np.arange(len(problem.theta))
            for name, at in named_views(coordinates, problem.settings.sizes).items():
                entries = rng.permutation(at.size)[: COORDINATES if len(coordinates) < 10_000 else FEW]
                numerical[name] = entries, derivative(session, problem, at.ravel()[entries])
    except (*Raised, Unfit) as error:
        settings = problem.settings
        where = f"with layers {settings.sizes}, lambda {settings.training.lam:g} and n = {settings.training.batch_size}"
        raise CodeError(f"{where}: {student.code.explain(error)}") from error
    return Case(problem, answer, problem.gradient(), numerical, cost)


def derivative(session: Session, problem: Problem, chosen: Array) -> Array:
    """Return the centred differences of the student's cost by chosen coordinates of theta."""

    def probe(part: Array) -> tuple[float, Array]:
        theta = problem.theta.copy()
        theta[chosen] = part
        return session.cost(replace(problem, theta=theta)), np.zeros(0, bool)

    return np.array([d.value for d in derivatives(probe, problem.theta[chosen], "centred", STEPS["centred"])])
