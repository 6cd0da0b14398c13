"""Random numbers as a function of seed, purpose and step: nothing drawn for one purpose changes another."""

import numpy as np

PURPOSES = ("init", "shuffle", "search", "samples", "dropout", "augmentation")  # their order is part of the numerics


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Return the generator of one purpose, the same for the same arguments.

    The children of ``SeedSequence(seed)`` are addressed by spawn key: epoch 7's shuffle or trial 12's lambda can be
    drawn without drawing those before. ValueError if there is no such purpose.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(PURPOSES.index(purpose), *index)))
