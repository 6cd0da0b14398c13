"""The analytic gradient as training computes it: by the update itself, so that a gradient check checks what trains."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from cifarnet.config import Settings
from cifarnet.data import Split
from cifarnet.nn.network import Array, Buffers
from cifarnet.nn.optimizers import SGD, Optimizer
from cifarnet.nn.schedules import Constant
from cifarnet.training.loop import Learner, update
from cifarnet.training.parallel import Batch, FirstLayer
from cifarnet.training.state import State


class Recorder(Optimizer):
    """Keep the gradient that an optimizer is given, and leave theta as it is."""

    kind: Literal["recorder"] = "recorder"
    moments: ClassVar[int] = 1

    def update(self, theta: Array, g: Array, moments: Array, eta: float, step: int) -> None:
        moments[0] = g


def gradient(settings: Settings, theta: Array, images: Split, before: Split) -> Array:
    """Return dJ/dtheta (P,) of a batch of images, laid out like theta, by one update of the training loop.

    Plain SGD with eta = 1 moves theta by the gradient; of the other optimizers it is what they are given. The first
    layer is split into shards, as on several threads. Dropout has the masks of the first update; augmentation is left
    out. The images ``before``, as many, are those of an update before it, which leaves theta as it is: what stays of it
    in the buffers must not matter.
    """
    plain = isinstance(settings.training.optimizer, SGD)
    constant = Constant(kind="constant", eta=1.0)  # type: ignore[call-arg]
    moving = settings.changed(training={"schedule": constant, "average": 0.0})
    recording = moving.changed(training={"optimizer": Recorder()})
    state = State.initial(recording, dtype=theta.dtype)
    state.theta[:] = theta
    network = Learner(state, recording, settings.data.n_train)
    d, n = state.sizes[0], len(images.y)
    parts = next((k for k in range(2, min(d, 64) + 1) if d % k == 0), 1)
    buffers = Buffers(state.sizes, n, theta.dtype)
    coming = (Batch(split.X, np.arange(n), split.y) for split in (before, images))
    shards = [range(i, i + 1) for i in range(parts)]
    with FirstLayer(coming, [state.theta], buffers.theta, state.sizes, n, shards) as layer:
        update(network, layer, buffers)  # theta must stay: workers multiply the next batch as soon as they can
        layer.wait()
        network.settings, state.step = moving if plain else recording, 0
        update(network, layer, buffers)
        layer.wait()
    if network.error:
        raise network.error
    return theta - state.theta if plain else state.moments[0].copy()
