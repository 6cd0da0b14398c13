"""Trainings on the toy problem by the loop alone, without files, for the tests of the loop and of its threads."""

import numpy as np

from cifarnet.config import Settings
from cifarnet.training import State, train

SIZES = (8, 6, 10)


def settings(schedule=None, per_cycle=3, train_cost="all", hidden=(6,), seed=5, **changes):
    """24 updates of 20 images in 2 cycles of 12, eta between .05 and .1, unless changed."""
    schedule = {"kind": "cyclic", "n_s": 6, "cycles": 2, "eta_min": 0.05, "eta_max": 0.1} | (schedule or {})
    return Settings.model_validate(
        {
            "seed": seed,
            "data": {"dims": 8, "limit": 60},
            "network": {"hidden": hidden, "init": "he"},
            "training": {"batch_size": 20, "lambda": 0.01, "schedule": schedule} | changes,
            "evaluation": {"per_cycle": per_cycle, "train_cost": train_cost},
        }
    )


def constant(eta, updates=24):
    """A schedule of one cycle with the same eta throughout; 3 updates are an epoch."""
    return {"kind": "cyclic", "n_s": updates // 2, "cycles": 1, "eta_min": eta, "eta_max": eta}


EXTRAS = {  # what can be added to the loop
    "momentum": {"optimizer": {"kind": "momentum"}},
    "adam": {"optimizer": {"kind": "adam"}},
    "dropout": {"dropout": {"input": 0.2, "hidden": 0.3}},
    "hinge": {"loss": "hinge"},
    "smoothing": {"label_smoothing": 0.2},
    "noise": {"augmentation": {"noise": 0.5}},
    "average": {"average": 0.5},
    "growth": {"schedule": {"n_s": 4, "cycle_growth": 2}},
}


def extra(name, **changes):
    return settings(**EXTRAS.get(name, {}) | changes)


def trained(dataset, chosen=None, dtype=np.float32, threads=1, **options):
    chosen = chosen or settings()
    state = State.initial(chosen, (dataset.train.X.shape[1], *chosen.network.hidden, 10), dtype)
    return state, list(train(state, dataset, chosen, threads, **options))
