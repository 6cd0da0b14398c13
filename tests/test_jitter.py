"""Jitter against images moved by hand, and what it must leave alone."""

import numpy as np
import pytest

from cifarnet.config.extras import Jitter
from cifarnet.data import jitter
from cifarnet.data.jitter import Jitterer
from cifarnet.streams import stream

MEAN, STD = np.linspace(0.3, 0.6, 3072).astype(np.float32), np.linspace(0.2, 0.4, 3072).astype(np.float32)


def jitterer(n, **settings):
    bank = stream(1, "jitter").standard_normal(jitter.BANK, np.float32) * np.float32(settings.get("noise", 0))
    wide = np.empty((n, 3, 32, 32 + 2 * settings.get("shift", 0)), np.float32)
    return Jitterer(Jitter(**settings), MEAN, STD, bank, wide)


def images(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 3072)).astype(np.float32)


def jittered(X, **settings):
    changed = X.copy()
    jitterer(len(X), **settings)(changed, stream(1, "jitter", 5))
    return changed


def test_about_half_of_the_images_are_mirrored():
    """Each image is itself or its mirror image, columns reversed and planes and rows kept."""
    X = images(400)
    changed, mirrored = jittered(X, flip=True), X.reshape(-1, 3, 32, 32)[..., ::-1].reshape(X.shape)
    flipped = (changed == mirrored).all(axis=1)
    assert 150 < flipped.sum() < 250
    assert np.array_equal(changed[~flipped], X[~flipped])


def test_shifts_reflect_at_the_border():
    """Each image is one of the 25 moved by -2 to 2 along both axes, padded by reflection; all 25 occur."""
    X = images(300)
    changed, seen = jittered(X, shift=2).reshape(-1, 3, 32, 32), set()
    padded = np.pad(X.reshape(-1, 3, 32, 32), ((0, 0), (0, 0), (2, 2), (2, 2)), "reflect")
    for old, new in zip(padded, changed, strict=True):
        [place] = [(r, c) for r in range(5) for c in range(5) if np.array_equal(old[:, r : r + 32, c : c + 32], new)]
        seen.add(place)
    assert len(seen) == 25


def test_light_changes_pixels_as_it_says():
    """In pixels, p becomes g + (1 + c)(p - g) + b with one b and c an image: a line whose slope is 1 + c."""
    X = images(20)
    before, after = X * STD + MEAN, jittered(X, brightness=0.2, contrast=0.3) * STD + MEAN
    for p, q in zip(before.astype(float), after.astype(float), strict=True):
        slope, start = np.polyfit(p, q, 1)
        b = start + p.mean() * slope - p.mean()
        assert np.abs(slope * p + start - q).max() < 1e-4
        assert 0.7 <= slope <= 1.3
        assert abs(b) <= 0.2 + 1e-4


def test_noise_has_its_standard_deviation():
    """Mean 0 and the stated spread to 1 %, other values for each image."""
    X = np.zeros((50, 3072), np.float32)
    noise = jittered(X, noise=0.1)
    assert noise.std() == pytest.approx(0.1, rel=0.01)
    assert abs(noise.mean()) < 0.002
    assert len({row.tobytes() for row in noise}) == 50


def test_a_step_has_its_own_jitter_and_the_same_every_time():
    """A pure function of the seed and the step."""
    X = images(10)
    first = jittered(X, flip=True, shift=3)
    assert np.array_equal(first, jittered(X, flip=True, shift=3))
    other = X.copy()
    jitterer(len(other), flip=True, shift=3)(other, stream(1, "jitter", 6))
    assert not np.array_equal(first, other)
