"""A student's gradient: found in their file as it is written, called and compared."""

import json
import re
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

from cifarnet.cli import cli
from cifarnet.errors import CodeError
from cifarnet.mistakes import kinds, verdict
from cifarnet.student import points
from cifarnet.student.calling import Answer, Session
from cifarnet.student.understanding import understand
from tests.written import (
    CLASS,
    DEEP,
    FLAT,
    HELPER,
    LAYERS,
    LISTS,
    NETWORK,
    ONE_LAYER,
    ROWS,
    SEPARATE,
    changed,
    few,  # noqa: F401 - for every test here
    results,
    slow,
    write,
)

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


@pytest.mark.parametrize("name", [slow(name) if i % 2 else name for i, name in enumerate(RIGHT)])
def test_a_right_gradient_passes(tmp_path, name):
    found = results(tmp_path, RIGHT[name])
    assert found["passed"], found
    assert len(found["comparisons"]) == 3
    assert not found["mistakes"]


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


def test_values_that_are_not_finite_are_different():
    problem = points.point((7, 5, 10))
    right = problem.gradient()
    answer = Answer(right | {"b1": np.full(5, np.nan)}, [], {}, {})
    (line,) = verdict.differences([verdict.Case(problem, answer, right, {}, None)])
    assert line.startswith("b1: 5 of 5 entries differ, most of all [0]: nan instead of")


@pytest.mark.parametrize("sizes", [(7, 10), (7, 5, 10), (7, 5, 6, 10)])
def test_without_mistakes_the_gradient_is_the_one_that_trains(sizes):
    problem = points.point(sizes)
    found, right = kinds.gradient(kinds.passes(problem)), problem.gradient()
    assert max(points.distance(found[name], right[name]) for name in right) < 1e-12


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
    passed = kinds.passes(problem := points.point((7, 5, 6, 10)))
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
