"""The network as a scikit-learn classifier of any inputs and classes; comes with the extra cifarnet[sklearn]."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError("this needs scikit-learn 1.6 or newer: pip install 'cifarnet[sklearn]'") from error

from cifarnet import config, training
from cifarnet.data import Dataset, Split
from cifarnet.errors import ConfigError
from cifarnet.nn import network


class CifarnetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Layers of ReLU nodes and a softmax, trained with cyclical learning rates; inputs are standardised.

    Parameters
    ----------
    hidden : nodes of each hidden layer; a number for a single one.
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
    >>> from cifarnet.export.sklearn import CifarnetClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> CifarnetClassifier(n_s=100, random_state=0).fit(X, y).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        hidden: Sequence[int] | int = (50,),
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
        """Train on X (n, d) and labels y (n,); ValueError where a parameter is not as a config has it."""
        rows: NDArray[np.float64]
        rows, y = validate_data(self, X, y, dtype=np.float64, order="C")  # rows are fetched
        check_classification_targets(y)
        self.classes_, labels = np.unique(np.asarray(y), return_inverse=True)
        settings = self._settings(len(labels))
        scaler = StandardScaler().fit(rows)  # which finds constant columns within rounding
        self.mean_, self.std_ = scaler.mean_, scaler.scale_
        self.sizes_ = (rows.shape[1], *settings.network.hidden, len(self.classes_))
        split = Split(self._inputs(rows), labels.astype(np.int64))
        state = training.State.initial(settings, self.sizes_)
        for _ in training.train(state, Dataset.of(split, split, split), settings, train_scores=False):
            pass
        self.theta_ = state.theta
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of the classes, (n, K), in the order of ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        P: NDArray[np.float64] = network.predict(self.theta_, self.sizes_, self._inputs(X)).astype(np.float64)
        return P

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the likeliest class of each row."""
        P = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[P.argmax(axis=1)]
        return labels

    def _inputs(self, X: Any) -> NDArray[np.float32]:
        inputs: NDArray[np.float32] = ((X - self.mean_) / self.std_).astype(np.float32)
        return inputs

    def _settings(self, n: int) -> config.Settings:
        """Return the settings of a training on n rows."""
        init = self.init if isinstance(self.init, str) else {"std": self.init}
        schedule = {name: getattr(self, name) for name in ("n_s", "cycles", "eta_min", "eta_max")}
        values = {"network.hidden": self.hidden, "network.init": init, "training.lambda": self.lam}
        values |= {f"training.schedule.{name}": value for name, value in schedule.items()}
        size = self.batch_size  # is checked as a config's, whose images are others
        values["training.batch_size"] = min(size, n, 100) if isinstance(size, numbers.Real) else size
        values["evaluation.per_cycle"] = 1
        seed = int(check_random_state(self.random_state).randint(2**31))
        try:
            settings = config.override(config.Settings(), values, "CifarnetClassifier")
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return settings.changed(training={"batch_size": min(int(size), n)}).model_copy(update={"seed": seed})
