"""The mistake in a student's gradient or cost is named."""

import pytest

from cifarnet.mistakes import kinds
from cifarnet.student import points
from tests.written import (
    CLASS,
    DEEP,
    FLAT,
    LISTS,
    NETWORK,
    ONE_LAYER,
    ROWS,
    SEPARATE,
    changed,
    few,  # noqa: F401 - for every test here
    results,
)

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


@pytest.mark.parametrize(
    ("text", "replaced", "mistake"),
    [pytest.param(*case, marks=[pytest.mark.torture] * (i % 3 > 0)) for i, case in enumerate(WRONG)],
)
def test_a_mistake_is_named(tmp_path, text, replaced, mistake):
    found = results(tmp_path, changed(text, *replaced))
    assert not found["passed"]
    assert [each["mistake"] for each in found["mistakes"]] == [mistake]


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


@pytest.mark.slow
def test_an_unknown_mistake_is_shown_as_a_picture(tmp_path):
    found = results(tmp_path, changed(LISTS, ("lam * W[0]", "lam * W[0]**3")))
    assert not found["passed"]
    assert not found["mistakes"]
    assert found["differences"][0].startswith("W1: 35 of 35 entries differ, most of all [")
    (run,) = (tmp_path / "runs").glob("2*")
    assert (run / "figures/error_W1.png").is_file()
    assert "The gradient of W1 minus the right one" in (run / "run.html").read_text()


def test_every_mistake_changes_something():
    """With a square matrix, d unlike K and entries that are not cut to 0 each has numbers of its own."""
    problem = points.point((7, 6, 6, 10), lam=3.0)
    passed, seen = kinds.passes(problem), [problem.gradient()]
    for mistake in kinds.MISTAKES:
        found = kinds.gradient(passed, [mistake])
        for other in seen:
            assert max(points.distance(found[name], other[name]) for name in found) > 1e-3, mistake
        seen.append(found)
