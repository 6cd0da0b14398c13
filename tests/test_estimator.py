"""The scikit-learn classifier keeps scikit-learn's own rules."""

import doctest
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from cifarnet import estimator
from cifarnet.estimator import CifarnetClassifier


@parametrize_with_checks([CifarnetClassifier(n_s=100)])
def test_it_passes_check_estimator(estimator, check):
    """All of scikit-learn's checks of a classifier."""
    check(estimator)


def test_its_example_runs():
    """As printed in its documentation."""
    assert doctest.testmod(estimator).failed == 0


def test_it_learns_digits_in_a_pipeline_and_a_search():
    """Better than 90 % on images that it has not seen, with lambda chosen by cross-validation."""
    X, y = load_digits(return_X_y=True)
    model = make_pipeline(StandardScaler(), CifarnetClassifier(n_s=200, random_state=1))
    X, unseen, y, labels = train_test_split(X, y, random_state=0)
    search = GridSearchCV(model, {"cifarnetclassifier__lam": [0, 0.001]}, cv=2).fit(X, y)
    assert search.score(unseen, labels) > 0.9


def test_the_same_random_state_gives_the_same_network():
    """To the last bit; another state gives another one."""
    X, y = load_digits(return_X_y=True)
    a, b, c = (CifarnetClassifier(n_s=20, random_state=state).fit(X, y).theta_ for state in (1, 1, 2))
    assert (a == b).all()
    assert (a != c).any()


def test_without_scikit_learn_the_error_says_what_to_install():
    """Where it is imported."""
    code = "import sys; sys.modules['sklearn'] = None; import cifarnet.estimator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'cifarnet[sklearn]'" in done.stderr
