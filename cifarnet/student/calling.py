"""A student's functions, and a session in which they are called in the way that was found."""

from __future__ import annotations

import copy
import inspect
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from cifarnet.experiments.gradients import Problem
from cifarnet.nn.network import Array, weight_count
from cifarnet.student import forms
from cifarnet.student.code import Code, Found
from cifarnet.student.forms import Layout, Unfit, Values
from cifarnet.student.points import distance

FROM_FORWARD_PASS = {"P", "H", "cache"}  # what a forward pass gives
DECOY_LAMBDA = 0.037  # of the script and the object: where it shows, the function does not take its argument


class Call(NamedTuple):
    """A function, and the key of the value that each of its parameters gets."""

    found: Found
    keys: Mapping[str, str]

    def __str__(self) -> str:
        return f"{self.found.label}({', '.join(self.keys)}), line {self.found.line}"


Failure = tuple[Call, BaseException]  # what was called, and what it raised


class Answer(NamedTuple):
    """What a call of the gradient gave."""

    gradient: dict[str, Array]  # in our layout
    changed: list[str]  # arguments
    returned: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]  # of the student's parameters

    @property
    def shapes_fit(self) -> bool:
        """Whether every gradient has the shape of its parameter, a bias in any direction."""
        shapes = self.shapes
        return all(a.shape == shapes[k] or (k[0] == "b" and a.size == max(shapes[k])) for k, a in self.returned.items())

    def farthest(self, other: Mapping[str, Array]) -> float:
        """Return the largest distance of a parameter's gradient from another's."""
        return max(distance(self.gradient[key], other[key]) for key in other)

    def is_near(self, other: Mapping[str, Array], limit: float) -> bool:
        """Return whether no parameter's gradient is farther from another's."""
        return all(distance(self.gradient[key], other[key]) <= limit for key in reversed([*other]))  # the last is short


@dataclass(frozen=True)
class Student:
    """A student's functions, and all that is needed to call them."""

    code: Code
    layout: Layout
    gradient: Call
    forward: Call | None = None
    failed: Failure | None = None  # why no forward pass of theirs is called
    cost: Call | None = None
    adds_l2: bool = False  # their cost takes no lambda
    globals: Mapping[str, str] = field(default_factory=dict)  # variables, by their names
    places: Mapping[int, Mapping[str, forms.Place]] = field(default_factory=dict)  # in what is returned, by layers
    sizes: Sequence[tuple[int, ...]] = ()
    flat: bool = False  # parameters or gradients are one vector
    notes: Sequence[str] = ()  # what could not be called, and why
    broken: Sequence[str] = ()  # what raises an error, and where

    @property
    def taken(self) -> list[str]:
        """What was taken for what, a line each."""
        given = [f"{name} = {forms.FORMS[key]}" for name, key in self.gradient.keys.items() if key in forms.FORMS]
        places = next(iter(self.places.values()), {})
        found = [f"{key} = " + "".join(f"[{part!r}]" for part in place) for key, place in places.items() if place]
        taken = {
            "gradient": self.gradient, "layout": self.layout, "given as": ", ".join(given),
            "one vector is": self.flat and self.layout.order, "returned": ", ".join(found),
            "forward pass": self.forward, "cost": self.cost or "no function for it can be called",
            "set as global variables": ", ".join(self.globals),
        }  # fmt: skip
        lines = [f"{what}: {text}" for what, text in taken.items() if text]
        lines += ["The cost takes no lambda: the L2 term is added to it here."] if self.adds_l2 else []
        return [*lines, *self.notes]


class Session:
    """The definitions of a file, run anew, and an object of its class if it has one, for calls one after the other."""

    def __init__(self, student: Student, module: types.ModuleType | None = None) -> None:
        self.student = student
        self.module = module or student.code.load()
        self.made: Any = None
        self.held: dict[str, forms.Place] = {}  # where the object has its parameters

    def gradient(self, problem: Problem) -> Answer:
        """Return the student's gradient at a point."""
        v = self.prepare(problem)
        if "lam" in self.student.gradient.keys.values():
            others = [name for name, key in self.student.globals.items() if key == "lam"]
            vars(self.module).update(dict.fromkeys(others, DECOY_LAMBDA))
            self.assign_numbers("lam", DECOY_LAMBDA)
        given = self.arguments(self.student.gradient, v)
        kept, result = copy.deepcopy(given), self.call(self.student.gradient, given)
        changed = self.changes(kept, given, v)
        found = self.located(self.kept_gradients() if result is None and self.made is not None else result, v)
        if strange := [f"{key} as an array of {a.dtype}" for key, a in found.items() if a.dtype.kind not in "biufc"]:
            raise Unfit(f"returns {strange[0]}, not of numbers")
        shapes = {key: v[key].shape for key in found}
        return Answer(forms.plain(found, problem, self.student.layout), changed, found, shapes)

    def changes(self, kept: Mapping[str, Any], given: Mapping[str, Any], v: Values) -> list[str]:
        """Return which arguments and parameters of the object a call changed; what a forward pass gives may change."""
        inner = [name for name, key in self.student.gradient.keys.items() if key in FROM_FORWARD_PASS]
        old, now = [(path, a) for path, a in forms.leaves(kept) if path[0] not in inner], dict(forms.leaves(given))
        changed = [path for path, a in old if path not in now or not np.array_equal(a, now[path])]
        held = [(v[key], path) for key, path in self.held.items()]
        changed += [("self", *path) for a, path in held if not np.array_equal(a, forms.follow(self.made, path))]
        return [show(path) for path in changed]

    def kept_gradients(self) -> Mapping[Any, Array]:
        """Return the attributes of the object that are called like gradients, for a method that returns nothing."""
        pattern = re.compile(r"grad|d[lj]?d?[wb]")
        own = {p: a for p, a in forms.leaves(self.made) if any(pattern.match(str(key).lower()) for key in p)}
        named = {path[-1]: a for path, a in own.items()}
        return named if len(named) == len(own) else own

    def located(self, result: Any, v: Values) -> dict[str, Array]:
        """Return the gradient of each parameter in what was returned, and remember where it was."""
        student, shapes = self.student, {key: a.shape for key, a in v["names"].items()}
        if vectors := forms.vectors(result, v["vector"]):
            self.student = replace(student, flat=True)
            return forms.split(np.asarray(forms.follow(result, vectors[0])), v)
        layers, flat = len(shapes) // 2, "vector" in {*student.gradient.keys.values(), *self.held}
        places = student.places.get(layers) or forms.places(result, shapes)
        self.student = replace(student, places={**student.places, layers: places}, flat=flat)
        return {key: np.asarray(forms.follow(result, places[key])) for key in shapes}

    def cost(self, problem: Problem) -> float:
        """Return the student's cost at a point: of several numbers the largest, as the cost is loss plus L2 term."""
        if not self.student.cost:
            raise Unfit("there is no cost function")
        result = self.call(self.student.cost, self.arguments(self.student.cost, self.prepare(problem)))
        if not (numbers := [float(a.reshape(())) for _, a in forms.leaves(result) if a.size == 1]):
            raise Unfit("it returns no number")
        w = problem.theta[: weight_count(problem.settings.sizes)]
        return max(numbers) + (problem.settings.training.l2.cost(w) if self.student.adds_l2 else 0.0)

    def prepare(self, problem: Problem) -> Values:
        """Return the values at a point; the object gets its parameters, and the forward pass is made."""
        student, v = self.student, dict(forms.values(problem, self.student.layout))
        vars(self.module).update({name: copy.deepcopy(v[key]) for name, key in student.globals.items()})
        if owner := student.gradient.found.owner:
            if self.made is None:
                self.made = self.build(owner, v)
                self.held = held(self.made, v)
            for key, path in self.held.items():
                forms.assign(self.made, path, v[key].copy())
            for kind in ("lam", "n"):
                self.assign_numbers(kind, v[kind])
        if student.forward:
            v["passed"] = self.call(student.forward, self.arguments(student.forward, v))
        elif any(FROM_FORWARD_PASS & {*call.keys.values()} for call in (student.gradient, student.cost) if call):
            v["passed"] = forms.our_forward(problem, student.layout)
        return v

    def assign_numbers(self, kind: str, value: Any) -> None:
        """Set the attributes of the object that are called like a number, such as lambda."""
        for path, a in [*forms.leaves(self.made)] if self.made is not None else ():
            if a.ndim == 0 and a.dtype != bool and forms.role(path[-1]) == kind:
                forms.assign(self.made, path, value)

    def build(self, owner: type, v: Values) -> Any:
        """Make an object of the student's class with the layer sizes of a point."""
        given = {}
        for name, p in inspect.signature(owner).parameters.items():
            kind = str(forms.role(name, forms.SIZES) or forms.role(name))
            kind = {"Y": "onehot"}.get(kind, kind)
            if kind in ("sizes", "hidden") and len(v["sizes"]) == 2:
                raise Unfit("it has hidden layers")
            if kind in v:
                given[name] = copy.deepcopy(v[kind])
            elif p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                raise Unfit(f"cannot tell what {name} of {owner.__name__}(...) should be")
        with self.student.code.running():
            return getattr(self.module, owner.__name__)(**given)

    def arguments(self, call: Call, v: Values) -> dict[str, Any]:
        """Return copies of the values that a call gets; those of the forward pass come from its result."""
        given = {}
        for name, key in call.keys.items():
            passed = key in FROM_FORWARD_PASS
            if ("passed" if passed else key) not in v:
                raise Unfit(f"cannot tell what its {name} should be")
            given[name] = forms.intermediate(key, name, v["passed"], v) if passed else v[key]
        return copy.deepcopy(given)

    def call(self, call: Call, given: Mapping[str, Any]) -> Any:
        """Call a function of the file."""
        function = getattr(self.made if call.found.owner else self.module, call.found.name)
        bound = inspect.signature(function).bind_partial()
        bound.arguments.update(given)
        with self.student.code.running():
            return function(*bound.args, **bound.kwargs)


def show(path: forms.Place) -> str:
    """Write a path as in Python."""
    return str(path[0]) + "".join(
        f".{key}" if path[0] == "self" and i == 0 else f"[{key!r}]" for i, key in enumerate(path[1:])
    )


def held(made: Any, v: Values) -> dict[str, forms.Place]:
    """Return where an object holds its parameters: by shape and name, in what is still None, or in one vector."""
    found: dict[str, forms.Place] = {}
    numbers = [int(name[1:]) for path, _ in forms.leaves(made) if (name := forms.numbered(path[-1]))]
    if max(numbers, default=0) >= len(v["sizes"]):
        raise Unfit(f"an object of {type(made).__name__} has more layers")
    for key, value in v["names"].items():
        fit = [p for p, a in forms.leaves(made) if a.shape == value.shape and p not in found.values()]
        exact = [p for p in fit if forms.numbered(p[-1]) == key]
        unset = [(name,) for name, held in vars(made).items() if held is None and forms.numbered(name) == key]
        if not (some := exact or fit or unset):
            if all_in_one := forms.vectors(made, v["vector"]):
                return {"vector": all_in_one[0]}
            raise Unfit(f"an object of {type(made).__name__} has no {key} of shape {value.shape}")
        found[key] = some[0]
    return found
