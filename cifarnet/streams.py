"""Random streams: one integer seed, a generator of its own for each purpose; changing one leaves the others."""

import numpy as np

STREAMS = ("init", "shuffle", "search", "samples", "dropout", "jitter")


def stream(seed: int, name: str, *index: int) -> np.random.Generator:
    """Return the generator of one purpose, a pure function of its arguments.

    The children of ``SeedSequence(seed)`` are addressed by their spawn key instead of being spawned in turn, so
    epoch 7's shuffle or trial 12's lambda can be drawn without drawing the ones before.

    Raises
    ------
    ValueError
        If there is no stream of that name.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name), *index)))
