"""What changes the images and nodes of a batch: augmentation and dropout."""

import numpy as np
import pytest

from cifarnet.nn import augmentation
from cifarnet.nn.augmentation import Augmentation
from cifarnet.nn.dropout import Dropout, mask
from cifarnet.nn.random import generator

MEAN, STD = np.linspace(0.3, 0.6, 3072), np.linspace(0.2, 0.4, 3072)


def augmented(X, step=5, **settings):
    changed = X.copy()
    Augmentation(**settings).prepare(MEAN, STD, len(X), seed=1).apply(changed, step)
    return changed


def images(n):
    return np.random.default_rng(0).standard_normal((n, 3072)).astype(np.float32)


def test_about_half_of_the_images_are_mirrored():
    X, count = images(100), 0
    _, mirrored = augmentation.variants(X, flips=True, shifts=0)
    assert np.array_equal(mirrored.reshape(-1, 3, 32, 32), X.reshape(-1, 3, 32, 32)[..., ::-1])
    for step in range(10):
        changed = augmented(X, step, flip=True)
        flipped = (changed == mirrored).all(axis=1)
        assert np.array_equal(changed[~flipped], X[~flipped])
        count += flipped.sum()
    assert 460 < count < 540


def test_shifts_reflect_at_the_border():
    """Each image is one of the 25 moved by -2 to 2 along both axes, padded by reflection; all 25 occur."""
    X, seen = images(300), set()
    padded = np.pad(X.reshape(-1, 3, 32, 32), ((0, 0), (0, 0), (2, 2), (2, 2)), "reflect")
    for old, new in zip(padded, augmented(X, shift=2).reshape(-1, 3, 32, 32), strict=True):
        [place] = [(r, c) for r in range(5) for c in range(5) if np.array_equal(old[:, r : r + 32, c : c + 32], new)]
        seen.add(place)
    assert len(seen) == 25
    variants = list(augmentation.variants(X[:1], flips=True, shifts=2))
    assert len(variants) == 50
    np.testing.assert_array_equal(variants[5].reshape(3, 32, 32), padded[0, :, 1:33, :32])


def test_brightness_and_contrast_change_pixels_as_they_say():
    """In pixels, p becomes g + (1 + c)(p - g) + b with one b and c an image: a line whose slope is 1 + c."""
    X = images(20)
    before, after = X * STD + MEAN, augmented(X, brightness=0.2, contrast=0.3) * STD + MEAN
    slopes, starts = set(), set()
    for p, q in zip(before.astype(float), after.astype(float), strict=True):
        slope, start = np.polyfit(p, q, 1)
        assert np.abs(slope * p + start - q).max() < 1e-4
        slopes.add(slope)
        starts.add(start + p.mean() * slope - p.mean())
    assert 0.7 <= min(slopes) < 0.9 and 1.1 < max(slopes) <= 1.3
    assert -0.2 <= min(starts) < -0.1 and 0.1 < max(starts) <= 0.2


def test_noise_has_its_standard_deviation():
    noise = augmented(np.zeros((50, 3072), np.float32), noise=0.1)
    assert noise.std() == pytest.approx(0.1, rel=0.01)
    assert abs(noise.mean()) < 0.002
    assert len({row.tobytes() for row in noise}) == 50


def test_a_step_has_its_own_augmentation_and_the_same_every_time():
    X = images(10)
    first = augmented(X, flip=True, shift=3)
    assert np.array_equal(first, augmented(X, flip=True, shift=3))
    assert not np.array_equal(first, augmented(X, step=6, flip=True, shift=3))


def test_dropped_values_are_made_up_for():
    """A quarter is 0, the rest 4/3, so that the mean stays 1; every step drops others."""
    values = mask((1000, 300), 0.25, generator(1, "dropout", 3))
    assert set(np.unique(values)) == {np.float32(0), np.float32(4 / 3)}
    assert values.mean() == pytest.approx(1, abs=0.01)
    first, second = (Dropout(hidden=0.5).hidden_masks((8, 6, 10), 20, 1, step)[0] for step in (0, 1))
    assert not np.array_equal(first, second)
    inputs = np.ones((2, 20, 6))
    for step in (0, 1):
        Dropout(input=0.5).drop_inputs(inputs[step], 1, step)
    assert not np.array_equal(*inputs) and not np.array_equal(inputs[0], first)
    assert Dropout(input=0.5).hidden_masks((8, 6, 10), 20, 1, 0) is None
