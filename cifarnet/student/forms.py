"""What a student's functions take and return: layouts, forms of W and b, and which parameter is which by its name."""

from __future__ import annotations

import inspect
import itertools
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from cifarnet.experiments.gradients import Problem
from cifarnet.nn.network import Array, forward, named_views, predict

Place = tuple[Any, ...]  # keys, indices and attributes that lead to a value
Values = dict[str, Any]


class Unfit(Exception):
    """A function cannot be called in this way, or what it returns is no gradient."""


class Layout(NamedTuple):
    """How matrices lie, and in which order one vector has all parameters."""

    order: str
    images: str
    weights: str
    bias: str

    def __str__(self) -> str:
        labels = "K x n" if self.images == "d x n" else "n x K"
        return f"X {self.images}, one-hot labels {labels}, W1 {self.weights}, b1 {self.bias}"


SHAPES = {"m x 1": (-1, 1), "(m,)": (-1,), "1 x m": (1, -1)}
ORDERS = ("W1, b1, W2, ...", "W1, W2, ..., b1, ...")
LAYOUTS = [  # the course's first
    Layout(*parts) for parts in itertools.product(ORDERS, ("d x n", "n x d"), ("m x d", "d x m"), SHAPES)
]
NOISE = re.compile(
    r"(?<=.)(batch|train|mats?|matrix|matrices|vecs?|vectors?|list)$|^(batch|train|validation|val|my)(?=.)"
)
ROLES = {  # of a parameter by its name, in lower case without underscores and noise
    "X": r"x\d?|data|images?|inputs?|features|samples",
    "Y": r"ys?|ytrue|ytruth|(true)?(targets?|labels?)(onehot)?|onehot(labels?)?|yonehot|groundtruth|t|truth",
    "P": r"ps?|prob(s|abilit(y|ies))?|pred(iction)?s?|yhat|ypred|softmax|out(put)?s?",
    "H": r"hs?\d?|hact|hidden(layers?)?|as?\d?|act(ivation)?s?|layeroutputs|[sz]s?\d?|scores",
    "cache": r"fp(data)?|caches?|forward\w*|intermediates?|values|store|memory|states?",
    "lam": r"l|la?m(b?d?a?)\d?|lambda\w*|lambd|lmb?d|lmbda|labda|reg(?!ression)\w*|l2\w*|rglz|weightdecay",
    "net": r"(net(work)?s?|nn|mlp|classifier)(params?|parameters?|data)?|params?|parameters?|model|weightsandbiases",
    "W": r"ws?|weights?|thetas?|v",
    "b": r"bs?|bias(es)?|b[vw]",
    "n": r"n|size|nb|npts|nsamples|nexamples",
}
SIZES = {  # above all of a constructor's
    "K": r"k|n?out(put)?s?(dim|size|nodes)?|(num|n)?classes|(num|n)labels|dout|nout\w*",
    "d": r"d|n?in(put)?s?(dim|size|nodes)?|din|dims?|n?features",
    "hidden": r"(nodes|hidden)(layers|sizes)|numberofunits|nodes|units",
    "m": r"m|hs?|n?h|n?hidden\w*|mnodes|num(hidden|nodes)\w*|dhidden|hsize",
    "sizes": r"layers|sizes|layer(sizes|dims)|shape|setup|architecture",
    "seed": r"seed|randomstate",
    "init": r"init\w*",
    "eta": r"eta|lr|learningrate",
}
FORMS = {  # what some keys of `values` are
    "labels": "labels 0 to K - 1", "labels-row": "labels 1 x n",
    "H": "of the forward pass", "cache": "of the forward pass",
    "Ws": "[W1, ...]", "W-names": "{'W1': W1, ...}", "W-indexed": "{0: W1, ...}",
    "bs": "[b1, ...]", "b-names": "{'b1': b1, ...}", "b-indexed": "{0: b1, ...}",
    "lists": "{'W': [W1, ...], 'b': [b1, ...]}", "indexed": "{'W': {0: W1, ...}, 'b': {0: b1, ...}}",
    "names": "{'W1': W1, 'b1': b1, ...}", "layers": "[{'W': W1, 'b': b1}, ...]", "pairs": "[(W1, b1), ...]",
    "tuple": "([W1, ...], [b1, ...])", "flat": "[W1, b1, W2, ...]", "vector": "one vector",
    "object": "an object with W, b",
}  # fmt: skip
NETS = ("lists", "names", "indexed", "layers", "pairs", "tuple", "flat", "object", "vector")  # W and b in one value


def squash(name: Any) -> str:
    return NOISE.sub("", NOISE.sub("", str(name).lower().replace("_", "")))


def role(name: Any, roles: Mapping[str, str] = ROLES) -> str | None:
    """Return what a name stands for."""
    return next((key for key, pattern in roles.items() if re.fullmatch(pattern, squash(name))), None)


def numbered(name: Any) -> str | None:
    """Return W1 for w1, W_1, weights1 and grad_W1."""
    found = re.fullmatch(r"(?:grads?|d|dj?l?d)?(w|b|weights?|bias)(\d)(?:grads?)?", squash(name))
    return f"{'b' if found[1].startswith('b') else 'W'}{found[2]}" if found else None


def keys(name: str, names: Sequence[str], layers: int) -> list[str]:
    """Return the keys of `values` that a parameter among others may stand for, the likeliest first."""
    if one := numbered(name):
        first = min(int(other[1]) for other in map(numbered, names) if other)  # some count from 0
        return [f"{one[0]}{int(one[1]) + 1 - first}"]
    kind, words = role(name), {squash(other) for other in names}
    if kind in ("W", "b") and {"v", "w"} <= words:
        return [{"v": "W1", "w": "W2", "bv": "b1", "bw": "b2"}[squash(name)]]
    if kind == "X":
        return ["X", "H"]  # H: a list of all layers' values
    if kind == "Y":
        hot = name.lstrip("_")[0].isupper() or "hot" in squash(name)
        return ["onehot", "labels"] if hot else ["labels", "onehot", "labels-row"]
    if kind == "net" or (kind == "W" and not any(role(word) == "b" or numbered(word) for word in words)):
        lone, many = ("W1", "lists", "tuple", "object", "vector"), ("Ws", "W-names", *NETS)
        return [key for key in (lone if layers == 1 else many) if kind == "W" or key[0] != "W"]
    if kind in ("W", "b"):
        return [f"{kind}1"] if layers == 1 else [f"{kind}s", f"{kind}-names", f"{kind}-indexed"]
    kind = kind or role(name, SIZES)
    return [kind] if kind else []


def bindings(function: Callable[..., Any], method: bool, layers: int) -> Iterator[dict[str, str]]:
    """Return the ways to fill the parameters of a function: parameter -> key of `values`; Unfit if one is unknown."""
    found = [*inspect.signature(function).parameters.values()][1 if method else 0 :]
    found = [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    options = {p.name: keys(p.name, [other.name for other in found], layers) for p in found}
    if unknown := [p.name for p in found if p.default is p.empty and not options[p.name]]:
        raise Unfit(f"cannot tell what its {', '.join(unknown)} should be")
    known = {name: some for name, some in options.items() if some}
    return (dict(zip(known, choice, strict=True)) for choice in itertools.product(*known.values()))


@lru_cache(len(LAYOUTS))  # one problem is tried in hundreds of ways
def values(problem: Problem, layout: Layout) -> Mapping[str, Any]:
    """Return all that a function may be given at a point, by keys; it gets copies."""
    sizes, (X, y) = problem.settings.sizes, problem.images
    onehot = np.eye(sizes[-1])[y]
    X, onehot = (X.T, onehot.T) if layout.images == "d x n" else (X, onehot)
    named = named_views(problem.theta, sizes)
    Wn = {name: (a.T if layout.weights == "m x d" else a).copy() for name, a in named.items() if name[0] == "W"}
    bn = {name: a.reshape(SHAPES[layout.bias]).copy() for name, a in named.items() if name[0] == "b"}
    named = {name: (Wn | bn)[name] for name in named}
    order = [*named] if layout.order == ORDERS[0] else [*Wn, *bn]
    vector = np.concatenate([named[name].ravel() for name in order])
    Ws, bs = [*Wn.values()], [*bn.values()]
    W, b = (Ws, bs) if len(Ws) > 1 else (Ws[0], bs[0])  # one array, not a list of one
    return named | {
        "X": X.copy(), "onehot": onehot.copy(),
        "labels": y.copy(), "labels-row": y[None].copy(), "lam": problem.settings.training.lam, "n": len(y),
        "Ws": W, "bs": b, "W-names": Wn, "b-names": bn,
        "W-indexed": dict(enumerate(Ws)), "b-indexed": dict(enumerate(bs)),
        "lists": {"W": W, "b": b}, "names": named, "tuple": (W, b),
        "indexed": {"W": dict(enumerate(Ws)), "b": dict(enumerate(bs))}, "flat": list(named.values()),
        "layers": [{"W": W, "b": b} for W, b in zip(Ws, bs, strict=True)], "pairs": list(zip(Ws, bs, strict=True)),
        "object": types.SimpleNamespace(W=W, b=b, **named),
        "vector": vector.reshape(SHAPES[layout.bias]), "order": order,
        "d": sizes[0], "m": sizes[1], "K": sizes[-1], "hidden": list(sizes[1:-1]), "sizes": list(sizes),
        "seed": 0, "init": "he", "eta": 0.01,
    }  # fmt: skip


def leaves(value: Any, path: Place = ()) -> Iterator[tuple[Place, Array]]:
    """Yield every array and number in a value, with the path to it."""
    holds_others = isinstance(value, np.ndarray) and value.dtype.hasobject
    if isinstance(value, np.ndarray | np.generic | int | float) and not holds_others:
        yield path, np.asarray(value)
        return
    inner = vars(value) if hasattr(value, "__dict__") and not callable(value) else value
    inner = enumerate(inner) if isinstance(inner, list | tuple | np.ndarray) else inner
    for key, part in dict(inner).items() if isinstance(inner, Mapping | enumerate) and len(path) < 4 else ():
        yield from leaves(part, (*path, key))


def follow(value: Any, path: Place) -> Any:
    """Return what a path leads to."""
    for key in path:
        value = value[key] if isinstance(value, Mapping | list | tuple | np.ndarray) else getattr(value, key)
    return value


def assign(value: Any, path: Place, new: Any) -> None:
    """Put a value where a path leads."""
    parent = follow(value, path[:-1])
    if isinstance(parent, dict | list):
        parent[path[-1]] = new
    else:
        setattr(parent, path[-1], new)


def vectors(value: Any, like: Array) -> list[Place]:
    """Return where a value has vectors, rows or columns as long as that of all parameters."""
    return [path for path, a in leaves(value) if max(a.shape, default=0) == a.size == like.size]


def split(vector: Array, v: Values) -> dict[str, Array]:
    """Return the parameters that one vector has, in the shapes of those in `values`."""
    parts = np.split(vector.ravel(), np.cumsum([v[name].size for name in v["order"]])[:-1])
    return {name: part.reshape(v[name].shape) for name, part in zip(v["order"], parts, strict=True)}


def places(result: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Place]:
    """Return where in a result the gradient of each parameter is: by shapes, then names, then the order of all.

    A wrong shape is taken where nothing else can be meant: a transposed matrix or a strange bias is a mistake to name.
    """
    found: dict[str, Place] = {}
    free = dict(leaves(result))
    for turned in (False, True):
        for name, shape in shapes.items():
            wanted = shape[::-1] if turned and name[0] == "W" else shape
            bias = name[0] == "b"
            fit = [p for p, a in free.items() if a.shape == wanted or (bias and a.size == max(wanted))]
            if name not in found and fit:
                found[name] = next((p for p in fit if p and numbered(p[-1]) == name), fit[0])
                del free[found[name]]
    missing = [name for name in shapes if name not in found]
    if any(name[0] == "W" for name in missing) or len(free) < len(missing):
        arrays = ", ".join(str(a.shape) for _, a in leaves(result)) or type(result).__name__
        needs = ", ".join(f"{name} {shapes[name]}" for name in missing)
        raise Unfit(f"returns no gradient of {needs}; what it returns is {arrays}")
    return found | dict(zip(missing, free, strict=False))


def intermediate(key: str, name: str, passed: Any, v: Values) -> Any:
    """Return what a forward pass gave for a parameter of that name: P, values H of hidden layers, or all of it."""
    parts = passed if isinstance(passed, tuple) else (passed,)
    gathered = [part for part in parts if isinstance(part, Mapping | list)]
    if key == "cache":
        return gathered[0] if gathered else passed
    flat = dict(leaves(passed))
    if named := [a for path, a in flat.items() if path and str(path[-1]) == name and a.ndim > 1]:
        return named[0]
    outputs = [p for p, a in flat.items() if a.ndim > 1 and a.size == v["K"] * v["n"]]
    sums = [p for p in outputs if min(np.abs(flat[p].sum(axis=axis) - 1).max() for axis in (0, 1)) < 1e-6]
    if key == "P" and outputs:
        return flat[(sums or [p for p in outputs if flat[p].min() >= 0 and flat[p].max() <= 1] or outputs)[-1]]
    if key == "H" and gathered:
        return gathered[0]
    hidden = [a for p, a in flat.items() if a.ndim > 1 and a.size == v["m"] * v["n"] and p not in sums]
    before = squash(name)[0] in "sz"  # values before the ReLU have negative ones
    if key == "H" and (some := [a for a in hidden if (a < 0).any() == before]):
        return some[0]
    raise Unfit(f"its forward pass gives no {name}")


def our_forward(problem: Problem, layout: Layout) -> tuple[Array, ...]:
    """Return P and the values of the hidden layers, for a file without a forward pass that can be called."""
    at = problem.theta, problem.settings.sizes, problem.images.X
    return tuple((A.T if layout.images == "d x n" else A).copy() for A in (predict(*at), *forward(*at)[1:-1]))


def plain(found: Mapping[str, Any], problem: Problem, layout: Layout) -> dict[str, Array]:
    """Return gradients in our layout, (d_in, d_out) and (d_out,); strange shapes stay strange."""
    wanted, turned = named_views(problem.theta, problem.settings.sizes), {}
    for name, a in found.items():
        turned[name] = a.T if name[0] == "W" and layout.weights == "m x d" else a
        if name[0] == "b" and a.size == wanted[name].size:
            turned[name] = a.reshape(-1)
    return turned
