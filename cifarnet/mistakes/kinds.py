"""The known mistakes of a gradient: each changes values of the backward pass, so that two can be made together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cifarnet.data import Split
from cifarnet.experiments.gradients import Problem
from cifarnet.nn.network import Array, views
from cifarnet.student.calling import DECOY_LAMBDA


def empty() -> Array:
    return np.zeros(0)


@dataclass
class Pass:
    """What a change may look at: a forward pass, and where the backward pass is."""

    problem: Problem
    H: list[Array]  # what each layer gets: X, H1, ... (n, d_in)
    S: list[Array] = field(default_factory=list)  # what it makes of it, before the ReLU or the softmax (n, d_out)
    E: Array = field(default_factory=empty)  # exp(S) of the last (n, K)
    P: Array = field(default_factory=empty)  # (n, K)
    earlier: Pass | None = None  # of the batch before
    layer: int = 0  # counted from 0
    G: Array = field(default_factory=empty)  # dJ/dS of the layer, J without its L2 term: divided by n
    unmasked: Array = field(default_factory=empty)  # G before the layer's mask

    @property
    def n(self) -> int:
        return len(self.P)

    @property
    def b(self) -> Array:
        return views(self.problem.theta, self.problem.settings.sizes)[1][self.layer]


Change = Callable[[Any, Pass], Any]


@dataclass(frozen=True)
class Mistake:
    """A mistake: what it is and where it shows in plain words, the line of mathematics that is right, and its changes.

    ``changes`` are by the places in `forward` and `gradient`. With ``layer`` that layer alone has them.
    """

    what: str
    shows: str
    right: str
    changes: Mapping[str, Change]
    layer: int | None = None

    def __str__(self) -> str:
        return self.what if self.layer is None else f"{self.what} (in layer {self.layer + 1} alone)"


def changed(place: str, value: Any, p: Pass, mistakes: Sequence[Mistake]) -> Any:
    """Return what the mistakes make of a value, in the layer where the pass is."""
    for mistake in mistakes:
        if place in mistake.changes and mistake.layer in (None, p.layer):
            value = mistake.changes[place](value, p)
    return value


def forward(problem: Problem, images: Split, mistakes: Sequence[Mistake] = ()) -> Pass:
    """Return the forward pass of a batch."""
    p = Pass(problem, [images.X])
    for p.layer, (W, b) in enumerate(zip(*views(problem.theta, problem.settings.sizes), strict=True)):
        p.S.append(p.H[-1] @ W + changed("bias", b, p, mistakes))  # (n, d_out)
        p.H.append(np.maximum(p.S[-1], 0))
    p.H.pop()
    p.E = np.exp(p.S[-1] - p.S[-1].max())
    p.P = p.E / p.E.sum(axis=1, keepdims=True)
    return p


def passes(problem: Problem, mistakes: Sequence[Mistake] = ()) -> Pass:
    """Return the forward pass of a problem, with that of the batch before it."""
    return replace(forward(problem, problem.images, mistakes), earlier=forward(problem, problem.before, mistakes))


def gradient(passed: Pass, mistakes: Sequence[Mistake] = ()) -> dict[str, Array]:
    """Return the gradient of the assignment's cost with some mistakes, W (d_in, d_out) and b (d_out,) by name."""
    problem, found = passed.problem, {}
    wrong_forward = any("bias" in mistake.changes for mistake in mistakes)
    p = passes(problem, mistakes) if wrong_forward else replace(passed)
    Ws, K = views(problem.theta, problem.settings.sizes)[0], problem.settings.sizes[-1]

    def at(place: str, value: Any) -> Any:
        return changed(place, value, p, mistakes)

    p.layer = len(Ws) - 1
    p.G = at("G", (at("P", p.P) - at("Y", np.eye(K)[problem.images.y])) / p.n)  # (n, K)
    for layer in reversed(range(len(Ws))):
        p.layer, W = layer, Ws[layer]
        gW = at("data", at("H", p.H[layer]).T @ p.G) + at("l2", 2 * problem.settings.training.lam) * W  # (d_in, d_out)
        found[f"W{layer + 1}"] = at("all", at("W", gW))
        found[f"b{layer + 1}"] = at("all", at("nodes", at("b", p.G.sum(axis=0))))  # (d_out,)
        if layer:
            p.unmasked = at("G back", p.G) @ at("W back", W + at("step", 0.0) * gW).T  # (n, d_in)
            p.G = p.unmasked * at("mask", p.S[layer - 1] > 0)
    return found


def fitting(value: Array, other: Array) -> Array:
    """Return another value where its shape fits."""
    return other if other.shape == value.shape else value


def last_image(value: Array, p: Pass) -> Array:
    return np.where(np.arange(p.n)[:, None] == p.n - 1, value, 0)


def ones(value: Array, p: Pass) -> Array:
    return np.ones(value.shape)


def earlier_H(value: Array, p: Pass) -> Array:
    return p.earlier.H[p.layer] if p.earlier and p.layer else value  # X is given


def earlier_mask(value: Array, p: Pass) -> Array:
    return p.earlier.S[p.layer - 1] > 0 if p.earlier else value


def earlier_P(value: Array, p: Pass) -> Array:
    return p.earlier.P if p.earlier else value


def shifted(p: Pass) -> Array:
    """Return exp(S) after the largest score of each image is subtracted."""
    E: Array = np.exp(p.S[-1] - p.S[-1].max(axis=1, keepdims=True))
    return E


def sorted_images(value: Array, p: Pass) -> Array:
    return value[np.argsort(p.problem.images.y, kind="stable")]


L2 = "dJ/dW = G H^T / n + 2 lambda W: J has lambda times the sum of the squares of all weights, and nothing else"
DATA = "dJ/dW = G H^T / n + 2 lambda W and dJ/db = G 1 / n: the loss is a mean over the n images, the columns of X"
BIAS = "dJ/db = G 1 / n, a value a node: G.mean(axis=1, keepdims=True)"
MASK = "G <- (W^T G) * Ind(S > 0), S the values of the same layer and images before the ReLU"
SOFTMAX = "G = P - Y, the derivative of -log p_y by the scores, with P = exp(S) / 1^T exp(S): its columns sum to 1"
LABELS = "G = P - Y, where column i of Y has its 1 in the row of the label of image i, counted from 0"
BACK = "G <- W2^T G with the W2 of the forward pass: change the weights after all gradients are there"
OWN = "2 lambda W with the lambda that the function is given, so that a search can change it"
SHAPE = "dJ/dW = G H^T / n + 2 lambda W, in the shape of W"
FILLED = "return what is computed: np.zeros(W.shape) is but the place for it, and integers cut it to 0"
STALE = "G = P - Y, dJ/dW2 = G H^T / n: P, H and Y of the same images; make the forward pass for each batch"
TYPES = "float64 arrays: np.zeros(W.shape), X.astype(float)"
FORWARD = "S = W X + b in every layer, so that dJ/db = G 1 / n"
LAMBDA, BATCH, LOW, ALL = "where lambda > 0", "where n > 1", "in the layers below the output's", "everywhere"
GROUPS: list[tuple[str, str, dict[str, dict[str, Change]]]] = [  # the likelier ones first
    (f"in W, {LAMBDA}", L2, {
        "The L2 term is missing": {"l2": lambda v, p: 0.0},
        "The L2 term is lambda W instead of 2 lambda W": {"l2": lambda v, p: v / 2},
        "The L2 term is divided by the batch size": {"l2": lambda v, p: v / p.n},
        "The L2 term is subtracted": {"l2": lambda v, p: -v},
        "The L2 term is 4 lambda W": {"l2": lambda v, p: 2 * v},
    }),
    ("in W", OWN, {
        "Lambda is that of the script or the object, not the argument": {"l2": lambda v, p: 2 * DECOY_LAMBDA},
    }),
    (f"in b, {LAMBDA}", L2, {
        "The biases have an L2 term": {"b": lambda v, p: v + 2 * p.problem.settings.training.lam * p.b},
    }),
    (f"in W and b, {BATCH}", DATA, {
        "The data term is not divided by n": {"G": lambda v, p: v * p.n},
        "The data term is divided by n twice": {"G": lambda v, p: v / p.n},
        "The data term is divided by d, the number of rows of X": {"G": lambda v, p: v * p.n / p.H[0].shape[1]},
        "The data term is divided by K, the number of rows of Y": {"G": lambda v, p: v * p.n / v.shape[1]},
        "The gradient is that of the last image alone": {"G": lambda v, p: p.n * last_image(v, p)},
        "The gradient is that of the last image alone, divided by n": {"G": last_image},
    }),
    ("in W and b", DATA, {
        "The data term is divided by n K, the number of entries of Y": {"G": lambda v, p: v / v.shape[1]},
    }),
    (f"in W, {BATCH}", DATA, {
        "The data term of W is not divided by n": {"data": lambda v, p: v * p.n},
        "The data term of W is divided by n twice": {"data": lambda v, p: v / p.n},
        "The gradient of W is that of the last image alone": {
            "data": lambda v, p: p.n * np.outer(p.H[p.layer][-1], p.G[-1])
        },
        "The gradient of W is that of the last image alone, divided by n": {
            "data": lambda v, p: np.outer(p.H[p.layer][-1], p.G[-1])
        },
    }),
    (f"in b, {BATCH}", BIAS, {
        "The bias gradient is summed over the images, not averaged": {"b": lambda v, p: v * p.n},
        "The bias gradient is divided by n twice": {"b": lambda v, p: v / p.n},
        "The bias gradient is that of the last image alone": {"b": lambda v, p: p.n * p.G[-1]},
        "The bias gradient is that of the last image alone, divided by n": {"b": lambda v, p: p.G[-1]},
        "The bias gradient is that of the first image alone": {"b": lambda v, p: p.n * p.G[0]},
    }),
    ("in b", BIAS, {
        "The bias gradient is averaged over the nodes as well": {"nodes": lambda v, p: np.array(v.mean())},
        "The bias gradient is summed over the nodes as well": {"nodes": lambda v, p: np.array(v.sum())},
        "The bias gradient is averaged over the nodes, not the images": {"nodes": lambda v, p: p.n * p.G.mean(axis=1)},
        "The bias gradient is summed over the nodes, not the images": {"nodes": lambda v, p: p.n * p.G.sum(axis=1)},
        "The bias gradient leaves out the ReLU mask": {
            "b": lambda v, p: p.unmasked.sum(axis=0) if p.unmasked.size and p.layer < len(p.S) - 1 else v
        },
    }),
    (LOW, MASK, {
        "The ReLU mask is missing, or true everywhere, as H >= 0 is": {"mask": ones},
        "The ReLU mask has the values of H, not 1": {"mask": lambda v, p: np.maximum(p.S[p.layer - 1], 0)},
        "The ReLU mask is where the gradient is positive, not the node": {"mask": lambda v, p: p.unmasked > 0},
        "The ReLU mask is turned around: it lets the dead nodes through": {"mask": lambda v, p: 1 - v},
        "The ReLU mask is from the wrong layer: the output's scores": {
            "mask": ones, "G back": lambda v, p: v * (p.S[p.layer] > 0)
        },
        "The ReLU mask is from the wrong layer: the one above": {"mask": lambda v, p: fitting(v, p.S[p.layer] > 0)},
        "The ReLU mask is from the wrong layer: the one below": {"mask": lambda v, p: fitting(v, p.H[p.layer - 1] > 0)},
        "The output has a ReLU mask, too": {"G": lambda v, p: v * (p.S[-1] > 0)},
    }),
    (LOW, BACK, {
        "W2 is not transposed on the way back, which a square matrix allows": {"W back": lambda v, p: fitting(v, v.T)},
    }),
    ("in W", SHAPE, {
        "The gradient of W is transposed": {"W": lambda v, p: v.T},
    }),
    (ALL, FILLED, {
        "The gradient is 0": {"all": lambda v, p: 0 * v},
    }),
    ("in W", FILLED, {
        "The gradient of W is 0": {"W": lambda v, p: 0 * v},
    }),
    ("in b", FILLED, {
        "The gradient of b is 0": {"b": lambda v, p: 0 * v},
    }),
    (ALL, SOFTMAX, {
        "The sign of P - Y is turned": {"G": lambda v, p: -v},
        "The sign of the gradient is turned": {"all": lambda v, p: -v},
        "Y is missing from G = P - Y": {"Y": lambda v, p: 0 * v},
        "P is missing from G = P - Y": {"P": lambda v, p: 0 * v},
        "G has the scores where it should have P": {"P": lambda v, p: p.S[-1]},
        "G has the derivative of a sigmoid, P (1 - P), as a factor": {"G": lambda v, p: v * p.P * (1 - p.P)},
        "The softmax is over the images instead of the classes": {"P": lambda v, p: p.E / p.E.sum(axis=0)},
        "The softmax is over the images, after the largest score of each is subtracted": {
            "P": lambda v, p: shifted(p) / shifted(p).sum(axis=0)
        },
    }),
    (ALL, FORWARD, {
        "The forward pass subtracts b: W X - b": {"bias": lambda v, p: -v},
        "The forward pass subtracts b, W X - b, and the gradient of b goes with that": {
            "bias": lambda v, p: -v, "b": lambda v, p: -v
        },
        "The forward pass leaves b out": {"bias": lambda v, p: 0 * v},
    }),
    (BATCH, SOFTMAX, {
        "The softmax is over all scores of the batch together": {"P": lambda v, p: p.E / p.E.sum()},
        "The softmax is over all scores of the batch, after the largest of each image is subtracted": {
            "P": lambda v, p: shifted(p) / shifted(p).sum()
        },
    }),
    (ALL, LABELS, {
        "The labels are shifted by one: y + 1": {"Y": lambda v, p: np.roll(v, 1, axis=1)},
        "The labels are shifted by one: y - 1": {"Y": lambda v, p: np.roll(v, -1, axis=1)},
        "The labels are those of the next image": {"Y": lambda v, p: np.roll(v, -1, axis=0)},
        "The labels are those of the image before": {"Y": lambda v, p: np.roll(v, 1, axis=0)},
        "The one-hot labels are in another order: the classes are reversed": {"Y": lambda v, p: v[:, ::-1]},
        "The one-hot labels are in another order: the images are reversed": {"Y": lambda v, p: v[::-1]},
        "The one-hot labels are in another order: sorted": {"Y": sorted_images},
        "The one-hot labels are reshaped instead of transposed": {"Y": lambda v, p: v.reshape(v.shape[::-1]).T},
    }),
    ("from the second batch on", STALE, {
        "H is that of an earlier batch": {"H": earlier_H},
        "H and the ReLU mask are those of an earlier batch": {"H": earlier_H, "mask": earlier_mask},
        "The ReLU mask is that of an earlier batch": {"mask": earlier_mask},
        "P is that of an earlier batch": {"P": earlier_P},
        "P and H are those of an earlier batch": {"P": earlier_P, "H": earlier_H, "mask": earlier_mask},
    }),
    (ALL, TYPES, {
        "The gradient is cut to integers": {"all": lambda v, p: np.trunc(v)},
    }),
]  # fmt: skip
MISTAKES = [Mistake(what, shows, right, changes) for shows, right, group in GROUPS for what, changes in group.items()]
AT_ZERO = Mistake(
    "The ReLU mask is 1 at exactly 0",
    "at nodes that are exactly 0",
    "the course has Ind(S > 0) there; any value from 0 to 1 is a subgradient",
    {"mask": lambda v, p: p.S[p.layer - 1] >= 0},
)
FLOAT32 = Mistake("Something is float32", "in the seventh digit of everything", TYPES, {})
INEXACT = Mistake(
    "Something is float32 on the way, or has a small number added, such as 1e-8",
    "in the last digits of everything",
    "float64 throughout, and sums as the formulas have them",
    {},
)
BROKEN = Mistake(
    "A function raises an error",
    "wherever it is called",
    "a forward pass and a cost that run where the gradient does",
    {},
)
IN_PLACE = Mistake(
    "Arguments are changed in place", "in all that uses them afterwards", "W <- W - eta dJ/dW, in the training loop", {}
)


def updated(step: float) -> Mistake:
    """Return the mistake of taking W2 back after its update, which added ``step`` times its gradient."""
    what = f"W2 is used after its update (by {-step:.3g} times its gradient)"
    return Mistake(what, LOW, BACK, {"step": lambda v, p: step})


FACTORS = {"all": "The gradient", "G": "The data term", "W": "The gradient of W", "b": "The gradient of b"}


def multiplied(place: str, factor: float, layer: int | None = None) -> Mistake:
    """Return the mistake of a factor at one of the places in `FACTORS`, the same for every batch."""
    what, shows = f"{FACTORS[place]} is {factor:.4g} times the right one", f"in {place}" if place in "Wb" else ALL
    return Mistake(what, shows, DATA, {place: lambda v, p: factor * v}, layer)


def divided(n: float) -> Mistake:
    """Return the mistake of a fixed number in the place of n."""
    return Mistake(f"The data term is divided by {n:,.6g}, whatever n is", ALL, DATA, {"G": lambda v, p: v * p.n / n})


COSTS: dict[str, Callable[[Any, Any, Any, int, int], Any]] = {  # of loss, L2 term, sum of lambda b^2, n and K
    "It has no L2 term: it is the loss": lambda loss, l2, b, n, K: loss,
    "Its L2 term is lambda / 2 times the sum of W^2": lambda loss, l2, b, n, K: loss + l2 / 2,
    "Its L2 term is divided by n": lambda loss, l2, b, n, K: loss + l2 / n,
    "Its L2 term is divided by 2n": lambda loss, l2, b, n, K: loss + l2 / (2 * n),
    "Its L2 term has the biases": lambda loss, l2, b, n, K: loss + l2 + b,
    "Its loss is summed over the images": lambda loss, l2, b, n, K: n * loss + l2,
    "Its loss is divided by n twice": lambda loss, l2, b, n, K: loss / n + l2,
    "Its loss is divided by K as well": lambda loss, l2, b, n, K: loss / K + l2,
    "All of it is divided by n": lambda loss, l2, b, n, K: (n * loss + l2) / n,
    "Its logarithm is log10": lambda loss, l2, b, n, K: loss / np.log(10) + l2,
    "Its sign is turned": lambda loss, l2, b, n, K: l2 - loss,
}
