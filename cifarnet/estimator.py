"""The network as a scikit-learn classifier of any inputs and classes; comes with the extra cifarnet[sklearn]."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("this needs scikit-learn 1.6 or newer: pip install 'cifarnet[sklearn]'") from error

from cifarnet import network, schedule
from cifarnet.data import Split
from cifarnet.streams import stream
from cifarnet.training import Plan, State, train


class CifarnetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Layers of ReLU nodes and a softmax, trained with cyclical learning rates; inputs are standardised.

    Parameters
    ----------
    hidden : nodes of each hidden layer.
    lam : lambda, the factor of the sum of squared weights in the cost.
    batch_size : images an update; at most as many as there are.
    n_s, cycles, eta_min, eta_max : half a cycle in updates, how many cycles, and between which learning rates.
    init : ``xavier``, ``he``, or a standard deviation.
    random_state : int, RandomState or None, as in scikit-learn.

    Attributes
    ----------
    classes_ : the labels, sorted. theta_, sizes_ : the parameters and the layers. mean_, std_ : of the inputs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from cifarnet.estimator import CifarnetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> CifarnetClassifier(n_s=100, random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        hidden: Sequence[int] = (50,),
        *,
        lam: float = 0.0,
        batch_size: int = 100,
        n_s: int = 500,
        cycles: int = 1,
        eta_min: float = 1e-5,
        eta_max: float = 1e-1,
        init: str | float = "xavier",
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.lam = lam
        self.batch_size = batch_size
        self.n_s = n_s
        self.cycles = cycles
        self.eta_min = eta_min
        self.eta_max = eta_max
        self.init = init
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (n, d) and labels y (n,)."""
        rows: NDArray[np.float64]
        rows, y = validate_data(self, X, y, dtype=np.float64, order="C")  # rows are fetched
        check_classification_targets(y)
        self.classes_, labels = np.unique(np.asarray(y), return_inverse=True)
        self.mean_, std = rows.mean(axis=0), rows.std(axis=0)
        self.std_ = np.where(std > 0, std, 1)
        self.sizes_ = (rows.shape[1], *self.hidden, len(self.classes_))
        data = Split(self._inputs(rows), labels.astype(np.int64))
        seed = int(check_random_state(self.random_state).randint(2**31))
        state = State(network.initialise(self.sizes_, self.init, stream(seed, "init")))
        for _ in train(state, data, data, self._plan(len(labels), seed)):
            pass
        self.theta_ = state.theta
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """The probabilities of the classes, (n, K), in the order of ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        P: NDArray[np.float64] = network.predict(self.theta_, self.sizes_, self._inputs(X)).astype(np.float64)
        return P

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The likeliest class of each row."""
        P = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[P.argmax(axis=1)]
        return labels

    def _inputs(self, X: Any) -> NDArray[np.float32]:
        inputs: NDArray[np.float32] = ((X - self.mean_) / self.std_).astype(np.float32)
        return inputs

    def _plan(self, n: int, seed: int) -> Plan:
        eta = partial(schedule.triangular, n_s=self.n_s, eta_min=self.eta_min, eta_max=self.eta_max)
        return Plan(
            sizes=self.sizes_,
            eta=eta,
            updates=2 * self.n_s * self.cycles,
            cycle=2 * self.n_s,
            per_cycle=1,
            batch_size=min(self.batch_size, n),
            lam=self.lam,
            shuffle=True,
            seed=seed,
        )
