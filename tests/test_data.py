"""The data room: CIFAR-10 found, split and normalised; synthetic data."""

import hashlib
import socket
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cifarnet import data
from cifarnet.config import Data
from cifarnet.data import Dataset, Split, available, cifar10, download, find, load
from cifarnet.data.cifar10 import FORMATS, Batch, Cifar10
from cifarnet.data.dataset import pick, rows
from cifarnet.data.synthetic import Synthetic
from cifarnet.errors import DataError
from tests.batches import (
    BATCHES,
    TEST,
    images,
    joined,
    small,  # noqa: F401 - for every test here
    write,
    write_archive,
)

# ---- places


def test_the_named_place_comes_before_the_environment_and_that_before_the_cache(tmp_path, monkeypatch):
    for name in ("argument", "environment", "cache"):
        write(tmp_path / name)
    assert find().path.parent.name == "cache"
    monkeypatch.setenv("CIFARNET_DATA_DIR", str(tmp_path / "environment"))
    assert find().path.parent.name == "environment"
    assert find(tmp_path / "argument").path.parent.name == "argument"


@pytest.mark.parametrize("form", ["folder", "itself", "archive", "archive itself", "read-only archive"])
@pytest.mark.parametrize("release", FORMATS, ids=lambda release: release.format)
def test_every_form_of_every_release_gives_the_same_data(tmp_path, monkeypatch, form, release):
    path = (write_archive if "archive" in form else write)(tmp_path, release)
    if form == "read-only archive":
        monkeypatch.setattr(cifar10.tempfile, "TemporaryDirectory", lambda **_: Path("/proc/x").mkdir())
    dataset = load(Data(), path if "itself" in form else tmp_path)
    plain = load(Data(), write(tmp_path / "plain"))
    assert dataset.fingerprint == plain.fingerprint and dataset.classes == Cifar10.classes
    for split in ("train", "validation", "test"):
        for ours, theirs in zip(getattr(dataset, split), getattr(plain, split), strict=True):
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
    assert find(tmp_path).format == release.format
    expected = {"plain", path.name} | (set() if form == "read-only archive" else {release.folder})
    assert {p.name for p in tmp_path.iterdir()} == expected


def test_an_archive_is_unpacked_once(tmp_path):
    archive = write_archive(tmp_path)
    load(Data(), tmp_path)
    archive.write_bytes(b"no longer looked at")
    load(Data(), tmp_path)
    load(Data(), archive)


@pytest.mark.parametrize("name", ["cifar-10-python(1).tar.gz", "cifar-10-python (2).tar.gz", "cifar-10-python.tgz"])
def test_an_archive_is_known_by_the_beginning_of_its_name(tmp_path, name):
    renamed = write_archive(tmp_path).rename(tmp_path / name)
    (tmp_path / "cifar-10-python(10).tar.gz").touch()  # the shortest name is that of the first download
    assert find(renamed) == find(tmp_path) == Cifar10(tmp_path / Cifar10.folder)


def test_an_archive_of_another_name_is_another_file(tmp_path):
    renamed = write_archive(tmp_path).rename(tmp_path / "images.tar.gz")
    for named, what in ((tmp_path, r"which holds images\.tar\.gz\."), (renamed, "which is another file")):
        with pytest.raises(DataError, match=what):
            find(named)


CONTENTS = {
    "does not exist": None,
    "is empty": [],
    r"holds a, b, c and 2 more\.": ["a", "b", "c", "d", "e", ".hidden", "cifar-10-python.tar.gz.part"],
    r"holds fog\.npy, labels\.npy \(CIFAR-10-C\?\)": ["fog.npy", "labels.npy"],
}


@pytest.mark.parametrize(("what", "names"), CONTENTS.items())
def test_a_place_without_cifar10_is_an_error_that_says_what_is_there(tmp_path, monkeypatch, what, names):
    write(tmp_path / "cache")  # which does not replace what is named
    named = tmp_path / "named"
    if names is not None:
        named.mkdir()
        for name in names:
            (named / name).touch()
    with pytest.raises(DataError, match=rf"not found in .*/named \(--data-dir\), which {what}.*data download"):
        find(named)
    if names == []:
        assert not available(named)  # a download may go there
    else:
        with pytest.raises(DataError, match=what):
            available(named)
    monkeypatch.setenv("CIFARNET_DATA_DIR", str(named))
    with pytest.raises(DataError, match=r"named \(CIFARNET_DATA_DIR\).*data\.source=synthetic"):
        load(Data())


def test_where_nothing_is_named_cifar10_is_optional(tmp_path):
    assert not available()
    write(tmp_path / "cache")
    assert available()


@pytest.mark.parametrize("value", ["missing/folder", "a file", "x" * 5000, "\n\t", "~nobody-at-all/x", "nul\0"])
def test_nonsense_as_a_place_is_one_clear_line(tmp_path, value):
    (tmp_path / "a file").write_text("text")
    with pytest.raises(DataError, match="--data-dir") as caught:
        find(Path(value))
    assert str(caught.value).isprintable()


def test_the_home_folder_is_needed_only_where_nothing_is_named(place, monkeypatch):
    def nowhere(*args, **kwargs):
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "user_cache_path", nowhere)
    assert not available()
    with pytest.raises(DataError, match="not found"):
        load(Data())
    with pytest.raises(DataError, match="no home folder to download to; name a folder with --data-dir"):
        download.download()
    monkeypatch.setenv("HOME", str(place))
    assert find(Path("~")).path == place / Cifar10.folder


def test_a_missing_batch_is_named_when_it_is_asked_for_and_not_before(place):
    for batch in ("data_batch_2", "data_batch_4", "data_batch_5", TEST):
        (place / Cifar10.folder / batch).unlink()
    dataset = load(Data(train=(3,), validation=(1,), limit=5), place)
    assert (dataset.train.y == images("data_batch_3")[0][:5]).all()
    assert (dataset.validation.y == images("data_batch_1")[0]).all()
    with pytest.raises(DataError, match=r"test_batch is damaged .* missing.*cifarnet data download --force"):
        _ = dataset.test


def test_loading_verifying_and_counting_open_no_socket(place, monkeypatch):
    for name in ("socket", "getaddrinfo"):
        monkeypatch.setattr(socket, name, lambda *_: pytest.fail("a socket was opened"))
    _ = load(Data(), place).test
    found = data.info(find(place))
    assert found.training == (20,) * 10 and found.test == (4,) * 10 and found.classes == Cifar10.classes
    (place / Cifar10.folder / "data_batch_3").write_bytes(b"")
    states = [finding.status for finding in data.verify(find(place))]
    assert states == ["readable", "readable", "damaged", "readable", "readable", "readable"]


# ---- splits and normalisation


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalize", ["standardize", "centre", "scale"])
def test_inputs_are_normalised_by_the_training_images_and_pixels_undoes_it(place, normalize, dtype):
    dataset = load(Data(normalize=normalize), place, dtype)
    (y, train), (_, validation), (_, test) = joined("data_batch_1"), joined("data_batch_2"), joined(TEST)
    mean = train.mean(axis=0) / 255 if normalize != "scale" else np.zeros(3072)
    std = train.std(axis=0) / 255 if normalize == "standardize" else np.ones(3072)
    std[std == 0] = 1  # a constant becomes 0
    np.testing.assert_allclose(dataset.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(dataset.std, std, rtol=1e-13)
    for split, pixels in ((dataset.train, train), (dataset.validation, validation), (dataset.test, test)):
        X = np.asarray(split.X)
        np.testing.assert_allclose(X, (pixels / 255 - mean) / std, atol=2e-6 if dtype is np.float32 else 1e-13)
        assert X.dtype == dtype and X.flags.c_contiguous and split.y.dtype == np.int64
    assert (dataset.train.y == y).all()
    assert (dataset.pixels(dataset.test, [3, 0]) == test[[3, 0]].reshape(2, 3, 32, 32).transpose(0, 2, 3, 1)).all()
    few = load(Data(normalize=normalize, dims=20, limit=9), place, dtype)
    assert few.train.X.shape == (9, 20) and few.pixels(few.train, [0]).shape == (1, 32, 32, 3)


def test_a_number_as_validation_holds_out_the_last_images(place):
    dataset = load(Data(train="all", validation=7, normalize="scale"), place, np.float64)
    y, pixels = joined(*BATCHES[:-1])
    assert (dataset.train.y == y[:-7]).all() and (dataset.validation.y == y[-7:]).all()
    np.testing.assert_allclose(dataset.validation.X, pixels[-7:] / 255)


@given(st.data())
def test_splits_are_partitions_in_official_order(drawn):
    n = drawn.draw(st.integers(2, 30))
    batches = drawn.draw(st.permutations([1, 2, 3, 4, 5]))
    k = drawn.draw(st.integers(1, 4))
    held_out = drawn.draw(st.integers(1, k * n - 1))
    seed = drawn.draw(st.none() | st.integers(0, 9))
    for validation in (held_out, tuple(batches[k:])):
        wanted = Data(train=tuple(batches[:k]), validation=validation, holdout_seed=seed)
        total = k * n if validation == held_out else 5 * n
        train, held = rows(wanted, [n] * (total // n))
        assert sorted([*train, *held]) == list(range(total))
        assert (np.diff(train) > 0).all() and (np.diff(held) > 0).all()
        limited, _ = rows(Data.model_validate(wanted.model_dump() | {"limit": 1}), [n] * (total // n))
        assert limited.tolist() == train[:1].tolist()


def test_other_seeds_hold_out_other_images():
    held = [rows(Data(train=(1,), validation=50, holdout_seed=seed), [100])[1] for seed in (0, 1)]
    assert not np.array_equal(*held)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@hypothesis_settings(max_examples=20)
def test_images_picked_from_batches_are_those_of_plain_indexing(seed, batches):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 450, batches)
    parts = [Batch(rng.integers(0, 10, n), rng.integers(0, 256, (n, 8)).astype("u1"), b"", False) for n in sizes]
    y, pixels = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    chosen = np.flatnonzero(rng.random(len(y)) < 0.7)
    split = pick(parts, chosen, np.zeros(5), np.ones(5), np.float32)
    assert (split.y == y[chosen]).all() and np.array_equal(split.X, pixels[chosen, :5] / np.float32(255))


def test_the_fingerprint_is_that_of_labels_and_pixels_alone(place):
    before = load(Data(), place).fingerprint
    assert load(Data(normalize="scale", dims=3), place).fingerprint == before == data.fingerprints(place)(Data())
    path = place / Cifar10.folder / "data_batch_2"
    changed = bytearray(path.read_bytes())
    changed[-2000] ^= 1
    path.write_bytes(changed)
    assert load(Data(), place).fingerprint != before


def test_official_says_that_all_files_read_so_far_have_the_official_md5(place, monkeypatch):
    assert not load(Data(), place).official
    for batch in ("data_batch_1", "data_batch_2"):
        monkeypatch.setitem(Cifar10.md5, batch, download.md5(place / Cifar10.folder / batch))
    dataset = load(Data(), place)
    assert dataset.provenance == {"source": "cifar10", "fingerprint": dataset.fingerprint, "official": True}
    _ = dataset.test
    assert not dataset.official


def test_a_dataset_is_made_of_arrays():
    split = Split(np.full((2, 3), 0.5, np.float32), np.arange(2))
    dataset = Dataset.of(split, split, split, classes=("a", "b"))
    assert dataset.test is split and dataset.classes == ("a", "b") and not dataset.official
    assert dataset.pixels(split, [1])[0, 0, :4, 0].tolist() == [128, 128, 128, 0]


def test_synthetic_data_are_the_same_bytes_everywhere():
    """Other bytes would make runs incomparable."""
    assert Synthetic().read(TEST).digest.hex()[:16] == "83a4496adc15a8fc"
    dataset = load(Data(source="synthetic"))
    assert dataset.fingerprint == "8dd01060abdcb674dd379c6c6945790269ea74922bc977c13bd56171d3efcb13"
    assert hashlib.sha256(np.asarray(dataset.train.X).tobytes()).hexdigest()[:12] == "80c152bf6d57"
    assert np.bincount(dataset.train.y).tolist() == [1000] * 10
    assert dataset.provenance["source"] == "synthetic" and not dataset.official and dataset.classes == Cifar10.classes


@pytest.mark.real
@pytest.mark.slow
def test_the_real_images_have_the_statistics_that_are_stated(real_data_dir, monkeypatch):
    monkeypatch.setattr(Cifar10, "batches", dict.fromkeys(BATCHES, 10_000))
    dataset = load(Data(train="all", validation=1000), real_data_dir)
    assert dataset.train.X.shape == (49_000, 3072) and dataset.test.X.shape == (10_000, 3072)
    some = np.asarray(dataset.train.X)[:, ::100]
    assert abs(some.mean(axis=0)).max() < 1e-5
    np.testing.assert_allclose(some.std(axis=0), 1, atol=1e-4)
    assert np.bincount(dataset.test.y).tolist() == [1000] * 10
    pixels = find(real_data_dir).read(TEST).pixels[:50].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert (dataset.pixels(dataset.test, range(50)) == pixels).all()
