"""A student's gradient: found in their file as it is written, compared, and the mistake in it named."""

import json
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cifarnet.cli import cli
from cifarnet.diagnosis import check, mistakes, verdict
from cifarnet.errors import CodeError
from cifarnet.student import points
from cifarnet.student.calling import Answer, Session
from cifarnet.student.understanding import understand

slow = partial(pytest.param, marks=pytest.mark.slow)
FILES = Path(__file__).parent / "students"
LISTS, ONE_LAYER, NETWORK, ROWS, CLASS, LAYERS, DEEP, FLAT, HELPER = (
    (FILES / f"{name}.py").read_text()
    for name in ("lists", "one_layer", "network", "rows", "a_class", "model", "deep", "flat", "layers")
)


def changed(text, *replaced):
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return text


SEPARATE = changed(
    LISTS.replace("W, b", "W1, b1, W2, b2").replace("W[0]", "W1").replace("W[1]", "W2").replace("b[0]", "b1"),
    ("b[1]", "b2"), ("return [gW1, gW2], [gb1, gb2]", "return gb1, gb2, gW1, gW2"),
)  # fmt: skip
GLOBALS = changed(LISTS, ("def compute_gradients(X, Y, W, b, lam)", "def compute_gradients(X, Y, W, lam)"))
MIXED = changed(CLASS, ("@ X + self", "@ X.T + self"), ("(Y * p)", "(Y.T * p)"), ("self.p - Y", "self.p - Y.T"),
                ("g @ X.T", "g @ X"), ("n = X.shape[1]", "n = len(X)"))  # fmt: skip
WEIGHTS_FIRST = changed(FLAT, ("W1, b1, W2, b2 = np.split(theta, np.cumsum([m * d, m, K * m]))",
    "W1, W2, b1, b2 = np.split(theta, np.cumsum([m * d, K * m, m]))"),
    ("gW1.ravel(), gb1, gW2.ravel(), gb2", "gW1.ravel(), gW2.ravel(), gb1, gb2"))  # fmt: skip
FLAT_CLASS = changed(CLASS, ("self.W1, self.b1 = np.random.randn(m, d), np.zeros((m, 1))",
    "self.theta, self.sizes = np.zeros(m * d + m + K * m + K), (d, m, K)"),
    ("        self.W2, self.b2 = np.random.randn(K, m), np.zeros((K, 1))\n", "")) + """
def parameter(i):
    return property(lambda self: unpack(self.theta, *self.sizes)[i])
Network.W1, Network.b1, Network.W2, Network.b2 = map(parameter, range(4))
""" + FLAT[FLAT.index("def unpack"):FLAT.index("def forward")]  # fmt: skip
TORCH = "import a_torch as torch\n\nclass Model(torch.nn.Module):\n    pass\n\n@torch.no_grad()\ndef check(): pass\n"
RIGHT = {
    "lists": LISTS, "one layer, image by image": ONE_LAYER, "a network and its forward pass": NETWORK, "rows": ROWS,
    "a class": CLASS, "a class of layers": LAYERS, "any number of layers": DEEP, "separate arguments": SEPARATE,
    "a global variable": GLOBALS, "rows and columns mixed": MIXED,
    "arguments before a slash": changed(LISTS, ("gradients(X, Y, W, b, lam)", "gradients(X, Y, W, b, /, lam)")),
    "a function in a lambda": changed(LISTS, ("    P = P / P.sum(axis=0)", "    P = norm(P)")) + (
        "\ndef over(P): return P / P.sum(axis=0)\nnorm = lambda P: over(P)\n"),
    "a cost of two layers": changed(DEEP, ("sum((W**2).sum() for W in Ws)", "((Ws[0]**2).sum() + (Ws[1]**2).sum())"),
        ("def compute_cost(X, Y, Ws, bs, lam):", "def compute_cost(X, Y, Ws, bs, lam):\n    assert len(Ws) == 2")),
    "one vector": FLAT, "one vector, the weights first": WEIGHTS_FIRST,
    "one vector from lists": changed(LISTS, ("return [gW1, gW2], [gb1, gb2]",
        "return np.concatenate([g.ravel() for g in (gW1, gb1, gW2, gb2)])")),
    "what needs a library that is not installed": TORCH + LISTS,
    "a constant": changed(LISTS, ("W, b, lam)", "W, b)")) + "\nlam = 0.01", "sizes in the code": changed(
        LISTS, ("return [gW1", "assert gW1.shape == (50, 7)\n    return [gW1")),
}  # fmt: skip
KEPT = "def compute_gradients(X, Y, W, b, lam)"
WRONG = [  # file, what is replaced by what, and the mistake
    (LISTS, [(" + 2 * lam * W[0]", ""), (" + 2 * lam * W[1]", "")], "The L2 term is missing"),
    (DEEP, [(" + 2 * lam * Ws[i]", " + lam * Ws[i]")], "The L2 term is lambda W instead of 2 lambda W"),
    (LISTS, [(" + 2 * lam * W[1]", "")], "The L2 term is missing (in layer 2 alone)"),
    (ROWS, [("+ 2 * reg * ", "+ 2 * reg / n * ")], "The L2 term is divided by the batch size"),
    (CLASS, [("+ 2 * self.lamda", "- 2 * self.lamda")], "The L2 term is subtracted"),
    (DEEP, [("G.sum(axis=1) / n", "G.sum(axis=1) / n + 2 * lam * bs[i].ravel()")], "The biases have an L2 term"),
    (LISTS, [("    n = X.shape[1]", "    n = 1")], "The data term is not divided by n"),
    (ROWS, [("dS /= n", "dS /= n**2")], "The data term is divided by n twice"),
    (LISTS, [("    n = X.shape[1]", "    n = X.shape[0]")], "The data term is divided by d, the number of rows of X"),
    (LISTS, [("@ X.T / n", "@ X.T"), ("@ H.T / n", "@ H.T")], "The data term of W is not divided by n"),
    (DEEP, [("G.sum(axis=1) / n", "G.sum(axis=1)")], "The bias gradient is summed over the images, not averaged"),
    (DEEP, [("G.sum(axis=1) / n", "np.mean(G)")], "The bias gradient is averaged over the nodes as well"),
    (DEEP, [("G.sum(axis=1) / n", "np.mean(G, 0)")], "The bias gradient is averaged over the nodes, not the images"),
    (ONE_LAYER, [("grad_b += g", "grad_b = g"), ("grad_b / X.shape[1]", "grad_b")],
     "The bias gradient is that of the last image alone"),
    (ONE_LAYER, [("grad_W += g", "grad_W = g"), ("grad_b += g", "grad_b = g")],
     "The gradient is that of the last image alone, divided by n"),
    (LISTS, [("G = G * (H > 0)", "pass")], "The ReLU mask is missing, or true everywhere, as H >= 0 is"),
    (DEEP, [("(H[i] > 0)", "(H[i] >= 0)")], "The ReLU mask is missing, or true everywhere, as H >= 0 is"),
    (LISTS, [("G = G * (H > 0)", "G = G * (G > 0)")], "The ReLU mask is where the gradient is positive, not the node"),
    (LISTS, [("G = G * (H > 0)", "G = G * H")], "The ReLU mask has the values of H, not 1"),
    (LISTS, [("G = W[1].T @ G\n", "G = W[1].T @ (G * (W[1] @ H + b[1] > 0))\n"), ("G = G * (H > 0)", "pass")],
     "The ReLU mask is from the wrong layer: the output's scores"),
    (DEEP, [("H[:-1]", "H"), ("(H[i] > 0)", "(H[i + 1] > 0)")], "The ReLU mask is from the wrong layer: the one above"),
    (LISTS, [("    G = W[1].T @ G", "    W2 = W[1] - 0.1 * gW2\n    G = W2.T @ G")],
     "W2 is used after its update (by 0.1 times its gradient)"),
    (NETWORK, [("G = -(Y - P)", "G = Y - P")], "The sign of P - Y is turned"),
    (DEEP, [("    return grad_W, grad_b", "    return [-g for g in grad_W], [-g for g in grad_b]")],
     "The sign of the gradient is turned"),
    (NETWORK, [("/ np.sum(np.exp(s), axis=0)", "/ np.sum(np.exp(s), axis=1, keepdims=True)")],
     "The softmax is over the images instead of the classes"),
    (NETWORK, [("/ np.sum(np.exp(s), axis=0)", "/ np.sum(np.exp(s))")],
     "The softmax is over all scores of the batch together"),
    (LISTS, [("np.exp(S)", "np.exp(S - S.max(axis=0))"), ("P / P.sum(axis=0)", "P / P.sum()")],
     "The softmax is over all scores of the batch, after the largest of each image is subtracted"),
    (LISTS, [("np.exp(S)", "np.exp(S - S.max(axis=0))"), ("P / P.sum(axis=0)", "P / P.sum(axis=1, keepdims=True)")],
     "The softmax is over the images, after the largest score of each is subtracted"),
    (LISTS, [("G = P - Y", "G = P - Y[::-1]")], "The one-hot labels are in another order: the classes are reversed"),
    (LISTS, [("G = P - Y", "G = P - Y.T.reshape(Y.shape)")], "The one-hot labels are reshaped instead of transposed"),
    (ROWS, [("(n), y] -= 1", "(n), y - 1] -= 1")], "The labels are shifted by one: y - 1"),
    (ROWS, [("(n), y] -= 1", "(n), (y + 1) % 10] -= 1")], "The labels are shifted by one: y + 1"),
    (LISTS, [("G = W[1].T @ G", "G = W[1] @ G")],
     "W2 is not transposed on the way back, which a square matrix allows"),
    (SEPARATE, [("gb1, gb2, gW1, gW2", "gb1, gb2, gW1.T, gW2.T")], "The gradient of W is transposed"),
    (LISTS, [(KEPT, KEPT.replace(")", ", kept=[])")), ("    G = P", "    kept.append(H)\n    H = kept[0]\n    G = P")],
     "H and the ReLU mask are those of an earlier batch"),
    (LISTS, [(KEPT, KEPT.replace(")", ", kept=[])")), ("    G = P - Y", "    kept.append(P)\n    G = kept[0] - Y")],
     "P is that of an earlier batch"),
    (LISTS, [("    G = P - Y", "    P = P.astype(np.float32)\n    G = P - Y")],
     "Something is float32 on the way, or has a small number added, such as 1e-8"),
    (ONE_LAYER, [("np.zeros(W.shape)", "np.zeros(W.shape, np.float32)"),
                 ("2 * lambda_ * W", "np.float32(2 * lambda_ * W)")], "Something is float32"),
    (DEEP, [("G.sum(axis=1) / n", "(G.sum(axis=1) / n).astype(int)"), ("@ H[i].T / n + 2 * lam * Ws[i]",
     "@ H[i].T / n + 2 * lam * Ws[i]\n        grad_W[i] = grad_W[i].astype(int)")], "The gradient is cut to integers"),
    (CLASS, [("        return dW2", "        self.W1 -= 0.1 * dW1\n        return dW2")],
     "Arguments are changed in place: self.W1"),
    (LISTS, [("    return [gW1", "    W[1] -= 0.1 * gW2\n    return [gW1")], "Arguments are changed in place: W[1]"),
    (LISTS, [("    n = X", "    X -= X.mean()\n    n = X")], "Arguments are changed in place: X"),
    (CLASS, [("return dW2, db2, dW1, db1", "self.dW2, self.db2, self.dW1, self.db1 = dW2, db2, dW1, db1"),
     ("self.W2.T @ g", "self.W2 @ g")], "W2 is not transposed on the way back, which a square matrix allows"),
    (ONE_LAYER, [(".sum(axis=0)", ".sum()")], "The softmax is over all scores of the batch together"),
    (LISTS, [(KEPT, "lam = 0.1\n" + KEPT.replace("lam", "reg"))],
     "Lambda is that of the script or the object, not the argument"),
    (LISTS, [("    n = X.shape[1]", "    n = 100")], "The data term is divided by 100, whatever n is"),
    (LISTS, [("[gW1, gW2], [gb1, gb2]", "[0 * gW1, 0 * gW2], [0 * gb1, 0 * gb2]")], "The gradient is 0"),
    (DEEP, [("G.sum(axis=1) / n", "3 * G.sum(axis=1) / n")], "The gradient of b is 3 times the right one"),
    (LISTS, [("    G = P - Y", "    G = (P - Y) / 10")], "The data term is divided by n K, the number of entries of Y"),
    (DEEP, [("H[-1] + b", "H[-1] - b"), ("G.sum(axis=1) / n", "-G.sum(axis=1) / n")],
     "The forward pass subtracts b, W X - b, and the gradient of b goes with that"),
    (LISTS, [("@ X + b[0]", "@ X"), ("@ H + b[1]", "@ H")], "The forward pass leaves b out"),
    (FLAT, [("@ X + b1", "@ X - b1"), ("@ H + b2", "@ H - b2")], "The forward pass subtracts b: W X - b"),
]  # fmt: skip
PAIRS = [
    (LISTS, [("    n = X.shape[1]", "    n = 1"), ("2 * lam", "lam")],
     {"The data term is not divided by n", "The L2 term is lambda W instead of 2 lambda W"}),
    (LISTS, [("G = G * (H > 0)", "pass"), ("G = P - Y", "G = Y - P")],
     {"The ReLU mask is missing, or true everywhere, as H >= 0 is", "The sign of P - Y is turned"}),
    (ROWS, [("dS.sum(axis=0)", "n * dS.sum(axis=0)"), ("dH.sum", "n * dH.sum"), ("+ 2 * reg", "+ 2 / n * reg")],
     {"The bias gradient is summed over the images, not averaged", "The L2 term is divided by the batch size"}),
]  # fmt: skip


@pytest.fixture(autouse=True)
def few(request, monkeypatch):
    """Few entries of each parameter have a numerical derivative, but where a test may take its time."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(check, "COORDINATES", 4)
        monkeypatch.setattr(check, "FEW", 2)


def write(folder, text):
    path = folder / "my_network.py"
    path.write_text(text)
    (folder / "layers.py").write_text(HELPER)
    return path


def results(folder, text, name=None):
    made = check.start(write(folder, text), name, runs_dir=folder / "runs")
    assert len([*made]) == len(made)
    return made.run.results


@pytest.mark.parametrize("name", [slow(name) if i % 2 else name for i, name in enumerate(RIGHT)])
def test_a_right_gradient_passes(tmp_path, name):
    found = results(tmp_path, RIGHT[name])
    assert found["passed"], found
    assert len(found["comparisons"]) == 3
    assert not found["mistakes"]


@pytest.mark.parametrize(
    ("text", "replaced", "mistake"),
    [pytest.param(*case, marks=[pytest.mark.torture] * (i % 3 > 0)) for i, case in enumerate(WRONG)],
)
def test_a_mistake_is_named(tmp_path, text, replaced, mistake):
    found = results(tmp_path, changed(text, *replaced))
    assert not found["passed"]
    assert [each["mistake"] for each in found["mistakes"]] == [mistake]


@pytest.mark.parametrize(
    ("text", "replaced", "note"),
    [
        (ONE_LAYER, ("X, W, b):\n    return softmax(W @ X + b)", "X, W, b):\n    return X"),
         r"Your forward pass, .*, cannot be used: EvaluateClassifier\(X, W, b\), line 20: its forward pass gives no P"),
        (LISTS, ("return loss + lam", "return str(loss) or lam"),
         r"Your cost cannot be used: compute_cost\(X, Y, W, b, lam\), line 12: it returns no number"),
    ],
)  # fmt: skip
def test_what_cannot_be_called_is_said(tmp_path, text, replaced, note):
    found = results(tmp_path, changed(text, replaced))
    assert found["passed"] and any(re.match(note, line) for line in found["taken"])


@pytest.mark.parametrize(
    ("text", "replaced", "mistake"),
    [
        (ONE_LAYER, ("X, W, b):\n    return softmax", "X, W, b):\n    return softer"),
         r"Your forward pass, .*, raises an error: EvaluateClassifier\(X, W, b\), line 20: .*NameError: name 'softer'"),
        (LISTS, ("-np.log((Y", "-np.log((Z"), r"Your cost raises an error: compute_cost.* line 14, .*NameError: "),
    ],
)  # fmt: skip
def test_what_raises_an_error_is_no_right_answer(tmp_path, text, replaced, mistake):
    found = results(tmp_path, changed(text, replaced))
    (named,) = found["mistakes"]
    assert not found["passed"] and re.match(mistake, named["mistake"])
    assert found["comparisons"][-1].startswith("Your gradient and ours agree")


def test_without_lambda_a_cost_is_what_its_gradient_is_of(tmp_path):
    found = results(tmp_path, changed(LISTS, (", lam)", ")"), (" + lam * (np.sum(W[0]**2) + np.sum(W[1]**2))", ""),
                                      (" + 2 * lam * W[1]", ""), (" + 2 * lam * W[0]", "")))  # fmt: skip
    assert found["comparisons"][0].startswith("Your gradient and the numerical gradient of your cost agree")
    assert found["mistakes"][0]["mistake"] == "The L2 term is missing"


@pytest.mark.slow
@pytest.mark.parametrize(("text", "replaced", "pair"), PAIRS)
def test_two_mistakes_are_named(tmp_path, text, replaced, pair):
    found = results(tmp_path, changed(text, *replaced))
    assert {each["mistake"] for each in found["mistakes"]} == pair


@pytest.mark.parametrize(
    ("replaced", "mistake"),
    [
        ([("loss + lam *", "loss + 0 * lam *")], "It has no L2 term: it is the loss"),
        ([("loss + lam *", "loss + lam / 2 *")], "Its L2 term is lambda / 2 times the sum of W^2"),
        ([("sum(axis=0)).mean()", "sum(axis=0)).sum()")], "Its loss is summed over the images"),
        ([("-np.log", "-np.log10")], "Its logarithm is log10"),
    ],
)
def test_the_mistake_of_a_cost_is_named(tmp_path, replaced, mistake):
    found = results(tmp_path, changed(LISTS, *replaced))
    assert not found["passed"]
    assert found["comparisons"][1].endswith(f" {mistake}.")
    assert "agree" in found["comparisons"][2]


def test_a_cost_and_a_gradient_with_the_same_mistake_differ_from_the_assignment_alone(tmp_path):
    found = results(tmp_path, changed(LISTS, ("loss + lam *", "loss + lam / 2 *"), ("+ 2 * lam", "+ lam")))
    assert ["agree" in sentence for sentence in found["comparisons"]] == [True, False, False]
    assert not found["passed"]


def test_an_update_in_place_before_the_way_back_is_both(tmp_path):
    found = results(tmp_path, changed(LISTS, ("    G = W[1].T @ G", "    W[1] -= 0.1 * gW2\n    G = W[1].T @ G")))
    names = [each["mistake"].split(" (")[0].split(":")[0] for each in found["mistakes"]]
    assert names == ["W2 is used after its update", "Arguments are changed in place"]


def test_what_forward_passes_give_may_be_changed(tmp_path):
    """Many subtract 1 from P at the labels, in place."""
    assert results(tmp_path, changed(NETWORK, ("    G = -(Y - P)", "    P -= Y\n    G = P")))["passed"]


def test_a_mask_that_is_1_at_0_is_a_note(tmp_path):
    found = results(tmp_path, changed(LISTS, ("return P, H", "return P, S1"), ("G * (H > 0)", "G * (H >= 0)"),
                                      ("    G = P - Y", "    S1, H = H, np.maximum(H, 0)\n    G = P - Y"),
                                      ("(H >= 0)", "(S1 >= 0)")))  # fmt: skip
    assert found["passed"]
    assert found["notes"][0].startswith("The ReLU mask is 1 at exactly 0")


def test_a_gradient_that_would_change_the_shape_of_a_bias_is_a_note(tmp_path):
    found = results(tmp_path, changed(LISTS, ("gb1 = np.sum(G, axis=1, keepdims=True)", "gb1 = np.sum(G, axis=1)")))
    assert found["passed"]
    assert found["notes"] == ["b1 has the shape (5, 1) and its gradient (5,): b1 - eta * gradient has another."]


@pytest.mark.slow
def test_an_unknown_mistake_is_shown_as_a_picture(tmp_path):
    found = results(tmp_path, changed(LISTS, ("lam * W[0]", "lam * W[0]**3")))
    assert not found["passed"]
    assert not found["mistakes"]
    assert found["differences"][0].startswith("W1: 35 of 35 entries differ, most of all [")
    (run,) = (tmp_path / "runs").glob("2*")
    assert (run / "figures/error_W1.png").is_file()
    assert "The gradient of W1 minus the right one" in (run / "run.html").read_text()


def test_values_that_are_not_finite_are_different():
    problem = points.point((7, 5, 10))
    right = problem.gradient()
    answer = Answer(right | {"b1": np.full(5, np.nan)}, [], {}, {})
    (line,) = verdict.differences([verdict.Case(problem, answer, right, {}, None)])
    assert line.startswith("b1: 5 of 5 entries differ, most of all [0]: nan instead of")


@pytest.mark.parametrize("sizes", [(7, 10), (7, 5, 10), (7, 5, 6, 10)])
def test_without_mistakes_the_gradient_is_the_one_that_trains(sizes):
    problem = points.point(sizes)
    found, right = mistakes.gradient(mistakes.passes(problem)), problem.gradient()
    assert max(points.distance(found[name], right[name]) for name in right) < 1e-12


def test_every_mistake_changes_something():
    """With a square matrix, d unlike K and entries that are not cut to 0 each has numbers of its own."""
    problem = points.point((7, 6, 6, 10), lam=3.0)
    passed, seen = mistakes.passes(problem), [problem.gradient()]
    for mistake in mistakes.MISTAKES:
        found = mistakes.gradient(passed, [mistake])
        for other in seen:
            assert max(points.distance(found[name], other[name]) for name in found) > 1e-3, mistake
        seen.append(found)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def f(x):\n  return (", "my_network.py, line 2: SyntaxError"),
        ("x = 1", "no function called like compute_gradients or backward; it has no functions"),
        (changed(CLASS, ("g = self.p - Y", "g = self.p - YY")), "line 22, in backward: NameError"),
        (changed(CLASS, ("s = self.W2", "s = self.W3")), "line 12, in forward: AttributeError"),
        slow(changed(NETWORK, ("P = np.exp(s)", "P = npp.exp(s)")), "line 17, in ApplyNetwork: NameError"),
        (TORCH + LISTS.replace("def compute_gr", "@torch.no_grad()\ndef compute_gr"), "no function .*\n.* was not run"),
        slow(changed(LISTS, ("H = np.max", "H = np.maxi")), "line 6, in evaluate_classifier: AttributeError"),
        (changed(CLASS, ("g = self.p", "exit('no'); g = self.p")), "line 22, in backward: SystemExit: no"),
        (changed(LISTS, ("    n = X.shape[1]", "    n = X.shape[1]\n    assert n > 1")), "n = 1: .*AssertionError"),
        slow(changed(NETWORK, ("G = -(Y - P)", "G = P - trainY")), "line 8 was not run: it is no definition"),
        (changed(LISTS, (KEPT, KEPT.replace(")", ", mystery)"))), "cannot tell what its mystery should be"),
        (changed(CLASS, ("lamda=0.0)", "lamda, data_loader)")), "cannot tell what data_loader of Network"),
        slow(changed(LISTS, ("return [gW1, gW2], [gb1, gb2]", "return gW1")), "returns no gradient of b1 .*, W2 "),
        (LISTS + "\ndef backward(X): return X\n", r"which of these .*: compute_gradients \(line 17\), backward \(line"),
        (LISTS + CLASS, "which of these computes the gradient: compute_gradients .*, Network.backward"),
    ],
)
def test_what_fails_is_said_with_file_and_line(tmp_path, text, error):
    with pytest.raises(CodeError, match=error):
        results(tmp_path, text)


def test_a_name_chooses_a_function_or_a_method(tmp_path):
    for name in ("compute_gradients", "Network.backward"):
        assert results(tmp_path, LISTS + CLASS, name)["function"] == name
    with pytest.raises(CodeError, match=r"no gradients; it has evaluate_classifier, .*, Network\.backward"):
        results(tmp_path, LISTS + CLASS, "gradients")


def test_what_was_taken_for_what_is_said(tmp_path):
    taken = understand(write(tmp_path, NETWORK)).taken
    assert taken[0] == "gradient: BackwardPass(X, Y, P, fp_data, network, lam), line 23"
    assert taken[1] == "layout: X d x n, one-hot labels K x n, W1 m x d, b1 m x 1"
    assert "network = {'W': [W1, ...], 'b': [b1, ...]}" in taken[2]
    assert "returned: W1 = [0][0], b1 = [1][0], W2 = [0][1], b2 = [1][1]" in understand(write(tmp_path, LISTS)).taken
    assert "The cost takes no lambda: the L2 term is added to it here." in taken
    assert "layout: X n x d, one-hot labels n x K, W1 d x m, b1 (m,)" in understand(write(tmp_path, ROWS)).taken


@pytest.mark.parametrize(
    ("text", "order"),
    [(FLAT, "W1, b1, W2, ..."), (WEIGHTS_FIRST, "W1, W2, ..., b1, ..."), (FLAT_CLASS, "W1, b1, W2, ...")],
)
def test_one_vector_is_taken_in_its_order(tmp_path, text, order):
    student = understand(write(tmp_path, text))
    assert f"one vector is: {order}" in student.taken
    problem = points.point(student.sizes[0])
    assert Session(student).gradient(problem).is_near(problem.gradient(), 1e-12)


def test_any_number_of_layers_and_square_ones_are_checked(tmp_path):
    assert understand(write(tmp_path, DEEP)).sizes == [(7, 5, 10), (10, 10, 10), (7, 5, 6, 10), (10, 10, 10, 10)]
    assert understand(write(tmp_path, ONE_LAYER)).sizes == [(7, 10), (10, 10)]


def test_nothing_stays_of_an_earlier_file(tmp_path):
    before = [list(sys.path)]
    for scale in (1, 2):
        path = write(tmp_path, LAYERS)
        (tmp_path / "layers.py").write_text(HELPER.replace("np.zeros((d_out, 1))", f"np.full((d_out, 1), {scale})"))
        made = Session(understand(path))
        made.prepare(points.point((7, 5, 10)))
        assert made.module.Layer(1, 1).b == scale
    assert (list(sys.path), set(sys.modules) & {"layers", "student_my_network"}) == (before[0], set())


def test_the_point_shows_wrong_things():
    passed = mistakes.passes(problem := points.point((7, 5, 6, 10)))
    assert all((S[:, -1] < 0).all() for S in passed.S[:-1])
    assert all(np.abs(S).min() > points.AWAY for S in passed.S[:-1])
    assert problem.theta[-21:].all()
    assert not np.array_equal(problem.images.X, problem.before.X)


def cifarnet(folder, *words):
    return CliRunner().invoke(cli, ["gradcheck", *words, "--runs-dir", str(folder / "runs")])


def test_the_template_passes(tmp_path):
    path = tmp_path / "my_network.py"
    path.write_text(cifarnet(tmp_path, "--template").stdout)
    assert path.read_text().startswith('"""A network with one hidden layer')
    answer = cifarnet(tmp_path, "--code", str(path))
    assert answer.exit_code == 0, answer.output
    assert "W2" in answer.stdout
    assert answer.stdout.count("agree") == 3
    assert "passed; " in answer.stdout


def test_json_and_the_run_folder_have_the_verdict_and_the_mistake(tmp_path):
    path = write(tmp_path, changed(LISTS, ("2 * lam", "lam"), ("    n = X", "    print('noise')\n    n = X")))
    answer = cifarnet(tmp_path, "--code", str(path), "--label", "mine", "--json")
    found = json.loads(answer.stdout)
    assert (found["passed"], found["function"]) == (False, "compute_gradients")
    assert found["mistakes"][0]["mistake"] == "The L2 term is lambda W instead of 2 lambda W"
    assert found["mistakes"][0]["right"].startswith("dJ/dW = G H^T / n + 2 lambda W")
    assert len(found["parameters"]) == 2 * 4 * 4
    assert answer.exception.exit_code == 3
    assert "noise" in answer.stderr
    (run,) = (tmp_path / "runs").glob("*-gradcheck-mine")
    record, page = json.loads((run / "run.json").read_text()), (run / "run.html").read_text()
    assert (record["status"], record["results"]["passed"]) == ("completed", False)
    assert (run / "my_network.py").read_text().strip() == path.read_text().strip()
    assert "The L2 term is lambda W instead of 2 lambda W" in page
    assert "gW2 = G @ H.T / n + lam * W[1]" in page
    assert "SYNTHETIC" not in page


def test_the_help_says_whose_rights_code_has():
    assert "with your rights" in " ".join(CliRunner().invoke(cli, ["gradcheck", "--help"]).output.split())


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_a_signal_stops_an_endless_loop(tmp_path, number, code):
    path = write(tmp_path, changed(LISTS, ("    G = P - Y", "    print('looping', flush=True)\n    while True: pass")))
    words = [sys.executable, "-m", "cifarnet", "gradcheck", "--code", str(path)]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what runs in the background ignores Ctrl-C
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heard) as process:
        while "looping" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(number)
        assert process.wait(60) == code
