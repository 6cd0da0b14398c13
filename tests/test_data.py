"""The data room: finding, reading, splitting and normalising CIFAR-10, and its twin."""

import gzip
import io
import json
import os
import pickle
import shutil
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from cifarnet.cli.data import data as data_command
from cifarnet.config.settings import Data
from cifarnet.data import Split, load, release, twin
from cifarnet.data.dataset import gather, rows
from cifarnet.data.formats import BINARY, CLASSES, FORMATS, PYTHON, TEST, TRAINING
from cifarnet.data.release import Batch, find
from cifarnet.errors import DataError

N = 40  # images in a batch of these tests
STEMS = (*TRAINING, TEST)


def images(stem):
    """Labels and pixels of a small batch; the first input is the same in all images."""
    rng = np.random.default_rng(STEMS.index(stem))
    pixels = rng.integers(0, 256, (N, 3072), dtype=np.uint8)
    pixels[:, 0] = 7
    return rng.permutation(np.arange(N) % 10), pixels


def pickled(stem, protocol=4):
    y, pixels = images(stem)
    return pickle.dumps({b"batch_label": stem, b"labels": y.tolist(), b"data": pixels, b"filenames": []}, protocol)


def write_python(place, protocol=4):
    folder = place / PYTHON.folder
    folder.mkdir(parents=True)
    for stem in STEMS:
        (folder / stem).write_bytes(pickled(stem, protocol))
    (folder / PYTHON.meta).write_bytes(pickle.dumps({"label_names": list(CLASSES)}, protocol))
    return folder


def write_binary(place):
    folder = place / BINARY.folder
    folder.mkdir(parents=True)
    for stem in STEMS:
        y, pixels = images(stem)
        (folder / f"{stem}.bin").write_bytes(np.column_stack([y.astype(np.uint8), pixels]).tobytes())
    (folder / BINARY.meta).write_text("\n".join(CLASSES) + "\n\n")
    return folder


def write_archive(folder, format):
    path = folder.parent / format.archive
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, format.folder)
    shutil.rmtree(folder)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Batches of N images, and no data but those of the test."""
    monkeypatch.setattr(release, "BATCH_IMAGES", N)
    monkeypatch.setattr(release, "cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("CIFARNET_DATA_DIR", raising=False)


@pytest.fixture
def place(tmp_path):
    write_python(tmp_path / "given")
    return tmp_path / "given"


# ---- finding


def test_order_of_places(tmp_path, monkeypatch):
    """--data-dir comes before CIFARNET_DATA_DIR and that before the user's cache."""
    for name in ("argument", "environment", "cache"):
        write_python(tmp_path / name)
    assert find().path.parent.name == "cache"
    monkeypatch.setenv("CIFARNET_DATA_DIR", str(tmp_path / "environment"))
    assert find().path.parent.name == "environment"
    assert find(tmp_path / "argument").path.parent.name == "argument"


@pytest.mark.parametrize("form", ["folder", "itself", "archive", "archive itself"])
@pytest.mark.parametrize("format", FORMATS, ids=lambda format: format.name)
def test_forms_give_the_same_data(tmp_path, form, format):
    """Folder or archive, Python or binary, given itself or by its parent: the same images, classes and fingerprint."""
    folder = write_python(tmp_path) if format is PYTHON else write_binary(tmp_path)
    path = write_archive(folder, format) if "archive" in form else folder
    dataset = load(Data(), path if "itself" in form else tmp_path)
    write_python(tmp_path / "plain")
    plain = load(Data(), tmp_path / "plain")
    assert dataset.fingerprint == plain.fingerprint
    assert dataset.classes == CLASSES
    for split in ("train", "validation", "test"):
        assert (getattr(dataset, split).X == getattr(plain, split).X).all()
        assert (getattr(dataset, split).y == getattr(plain, split).y).all()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pickle_protocols(tmp_path, protocol):
    """Batches that Python 3 saved anew are read, too."""
    write_python(tmp_path, protocol)
    assert (load(Data(), tmp_path).train.y == images("data_batch_1")[0]).all()


def test_archive_is_unpacked_once(tmp_path):
    """The folder beside the archive is made by the first load and nothing else is left there."""
    archive = write_archive(write_python(tmp_path), PYTHON)
    load(Data(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [PYTHON.folder, PYTHON.archive]
    archive.write_bytes(b"no longer looked at")
    load(Data(), tmp_path)


def test_archive_in_a_read_only_folder(tmp_path, monkeypatch):
    """Where nothing can be written the archive is read in memory."""
    write_archive(write_python(tmp_path), PYTHON)

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(release.tempfile, "TemporaryDirectory", refuse)
    assert (load(Data(), tmp_path).test.y == images(TEST)[0]).all()
    assert [path.name for path in tmp_path.iterdir()] == [PYTHON.archive]


def test_nothing_found(tmp_path, monkeypatch):
    """Without data the error lists every place and both cures."""
    monkeypatch.setenv("CIFARNET_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load(Data())
    for part in (f"{tmp_path} (CIFARNET_DATA_DIR)", f"{tmp_path / 'cache'} (the user's cache)", PYTHON.folder):
        assert part in str(caught.value)
    assert "cifarnet data download" in str(caught.value) and "data.source=synthetic" in str(caught.value)


@pytest.mark.parametrize("value", ["missing/folder", "a file", "x" * 5000, "\n\t", "~nobody-at-all/x"])
def test_nonsense_in_the_environment(tmp_path, monkeypatch, value):
    """CIFARNET_DATA_DIR with nonsense is named in the error."""
    (tmp_path / "a file").write_text("text")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CIFARNET_DATA_DIR", value)
    with pytest.raises(DataError, match="CIFARNET_DATA_DIR"):
        load(Data())


def test_missing_batch(place):
    """A batch that is missing is named, also when test is asked for later."""
    (place / PYTHON.folder / TEST).unlink()
    dataset = load(Data(), place)
    with pytest.raises(DataError, match=r"test_batch is damaged .* missing.*cifarnet data download --force"):
        _ = dataset.test


def test_no_network(place, monkeypatch):
    """Loading opens no socket, and neither do verify, info and a search that finds nothing."""

    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    _ = load(Data(), place).test
    for command in ("verify", "info"):
        assert CliRunner().invoke(data_command, [command, "--data-dir", str(place)]).exit_code == 0
    with pytest.raises(DataError):
        load(Data())


# ---- splits and normalisation


def raw(*stems):
    return [np.concatenate(parts) for parts in zip(*map(images, stems), strict=True)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("normalize", ["standardize", "centre", "scale"])
def test_normalisation(place, normalize, dtype):
    """X is (pixels / 255 - mean) / std by the statistics of the training images, in all splits; constants become 0."""
    dataset = load(Data(normalize=normalize), place, dtype)
    (y, train), (_, validation), (_, test) = raw("data_batch_1"), raw("data_batch_2"), raw(TEST)
    mean = train.mean(axis=0) / 255 if normalize != "scale" else np.zeros(3072)
    std = train.std(axis=0) / 255 if normalize == "standardize" else np.ones(3072)
    std[std == 0] = 1
    np.testing.assert_allclose(dataset.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(dataset.std, std, rtol=1e-13)
    tolerance = 2e-6 if dtype is np.float32 else 1e-13
    for split, pixels in ((dataset.train, train), (dataset.validation, validation), (dataset.test, test)):
        np.testing.assert_allclose(split.X, (pixels / 255 - mean) / std, atol=tolerance)
        assert split.X.dtype == dtype and split.X.flags.c_contiguous and split.y.dtype == np.int64
    assert (dataset.train.y == y).all()
    assert normalize == "scale" or (dataset.train.X[:, 0] == 0).all()


def test_pixels_are_given_back(place):
    """pixels() undoes every normalisation exactly, as rows of red, green and blue."""
    for normalize in ("standardize", "centre", "scale"):
        dataset = load(Data(normalize=normalize), place)
        expected = raw(TEST)[1][[3, 0]].reshape(2, 3, 32, 32).transpose(0, 2, 3, 1)
        assert (dataset.pixels(dataset.test, [3, 0]) == expected).all()
    dataset = load(Data(dims=20), place)
    assert dataset.train.X.shape == (N, 20)
    assert dataset.pixels(dataset.train, [0]).shape == (1, 32, 32, 3)


def test_hold_out_takes_the_last(place):
    """A number as validation: the last images in official order are held out, of all training batches."""
    dataset = load(Data(train="all", validation=7, normalize="scale"), place, np.float64)
    y, pixels = raw(*TRAINING)
    assert (dataset.train.y == y[:-7]).all() and (dataset.validation.y == y[-7:]).all()
    np.testing.assert_allclose(dataset.validation.X, pixels[-7:] / 255)


def test_only_wanted_batches_are_read(place):
    """Files that the settings do not ask for may be missing."""
    for stem in ("data_batch_2", "data_batch_4", "data_batch_5", TEST):
        (place / PYTHON.folder / stem).unlink()
    dataset = load(Data(train=(3,), validation=(1,), limit=5), place)
    assert (dataset.train.y == images("data_batch_3")[0][:5]).all()
    assert (dataset.validation.y == images("data_batch_1")[0]).all()


@given(st.data())
def test_splits_are_partitions(drawn):
    """Held out or by batches, drawn or last: train and validation share no image, are in order, and cover all."""
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


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@hypothesis_settings(max_examples=20)
def test_blocks_and_threads_do_not_matter(seed, batches):
    """Gathering chosen rows from several batches is plain indexing of all of them joined."""
    rng = np.random.default_rng(seed)
    parts = [
        Batch(rng.integers(0, 10, n).astype(np.uint8), rng.integers(0, 256, (n, 3072), dtype=np.uint8), b"", False)
        for n in rng.integers(1, 450, batches)
    ]
    y, pixels = np.concatenate([part.y for part in parts]), np.concatenate([part.pixels for part in parts])
    chosen = np.flatnonzero(rng.random(len(y)) < 0.7)
    split = gather(parts, chosen, np.zeros(5), np.ones(5), np.float32)
    assert (split.y == y[chosen]).all()
    assert np.array_equal(split.X, pixels[chosen, :5] / np.float32(255))


def test_fingerprint_sees_every_bit(place):
    """One flipped bit in one pixel changes the fingerprint; normalisation and dims do not."""
    before = load(Data(), place).fingerprint
    assert load(Data(normalize="scale", dims=3), place).fingerprint == before
    path = place / PYTHON.folder / "data_batch_2"
    content = bytearray(path.read_bytes())
    content[-2000] ^= 1
    path.write_bytes(content)
    assert load(Data(), place).fingerprint != before


def test_official_is_decided_by_md5(place, monkeypatch):
    """official says that all the files read so far have the official MD5s."""
    assert not load(Data(), place).official
    for stem in ("data_batch_1", "data_batch_2"):
        monkeypatch.setitem(PYTHON.md5, stem, release.hashlib.md5(pickled(stem)).hexdigest())
    dataset = load(Data(), place)
    assert dataset.official
    _ = dataset.test
    assert not dataset.official


# ---- damaged and hostile archives


def tar_with(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.GNU_FORMAT) as archive:
        for name, type_, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = type_, len(content), "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def bomb(type_):
    """A header that promises 8 GB, and as much of it as 300 MB of zeros take when packed."""
    member = tarfile.TarInfo(f"{PYTHON.folder}/data_batch_1")
    member.type, member.size = type_, 8 << 30
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="w", compresslevel=1) as stream:
        stream.write(member.tobuf(tarfile.GNU_FORMAT))
        for _ in range(30):
            stream.write(bytes(10_000_000))
    return out.getvalue()


FIRST = f"{PYTHON.folder}/data_batch_1"
HOSTILE_ARCHIVES = {
    "absolute path": tar_with(("/tmp/cifarnet-was-here", tarfile.REGTYPE, b"x")),
    "parent path": tar_with(("../../cifarnet-was-here", tarfile.REGTYPE, b"x")),
    "symbolic link": tar_with((FIRST, tarfile.SYMTYPE, b"")),
    "hard link": tar_with((FIRST, tarfile.LNKTYPE, b"")),
    "device": tar_with((FIRST, tarfile.CHRTYPE, b"")),
    "pipe": tar_with((FIRST, tarfile.FIFOTYPE, b"")),
    "folder": tar_with((FIRST, tarfile.DIRTYPE, b"")),
    "bomb": bomb(tarfile.REGTYPE),
    "bomb as a long name": bomb(tarfile.GNUTYPE_LONGNAME),
    "bomb as an extended header": bomb(tarfile.XHDTYPE),
    "many small ones": tar_with(*[(f"x{i}", tarfile.REGTYPE, bytes(9_000_000)) for i in range(30)]),
    "empty": b"",
    "not packed": b"a page that says 404" * 100,
    "cut short": tar_with((FIRST, tarfile.REGTYPE, os.urandom(9000)))[:4000],
    "no archive inside": gzip.compress(os.urandom(5000)),
    "empty archive": tar_with(),
}


@pytest.mark.parametrize("content", HOSTILE_ARCHIVES.values(), ids=HOSTILE_ARCHIVES)
def test_hostile_archives(tmp_path, content):
    """A damaged or hostile archive is an error that names it and the cure, and writes nothing anywhere."""
    place = tmp_path / "deep" / "er"
    place.mkdir(parents=True)
    (place / PYTHON.archive).write_bytes(content)
    with pytest.raises(DataError, match=rf"{PYTHON.archive} is damaged .*: .*cifarnet data download --force"):
        load(Data(), place)
    assert [path.name for path in tmp_path.rglob("*")] == ["deep", "er", PYTHON.archive]


# ---- the synthetic twin


@pytest.fixture
def whole(monkeypatch):
    monkeypatch.setattr(release, "BATCH_IMAGES", 10_000)


def test_twin_has_the_shapes_of_cifar10():
    """The twin: 10,000 images a batch, a thousand of each class, the same bytes every time, others in other batches."""
    dataset = load(Data(source="synthetic"))
    assert dataset.train.X.shape == (10_000, 3072) and dataset.source == "synthetic" and not dataset.official
    assert np.bincount(dataset.train.y).tolist() == [1000] * 10
    assert dataset.fingerprint == load(Data(source="synthetic")).fingerprint
    assert (dataset.train.X[0] != dataset.validation.X[0]).any()
    assert dataset.classes == CLASSES


def test_twin_is_the_same_everywhere():
    """The twin's bytes are pinned: another machine or library that draws others would make runs incomparable."""
    assert twin.batch(TEST).digest.hex()[:16] == "83a4496adc15a8fc"


def accuracy(train, test, hidden):
    """Test accuracy of a small network on every sixth input, after a few epochs of plain gradient descent."""
    train, test = (Split(np.ascontiguousarray(split.X[:, ::6]), split.y) for split in (train, test))
    rng = np.random.default_rng(1)
    W1 = rng.normal(0, 512**-0.5, (512, hidden)).astype(np.float32) if hidden else None
    W2 = rng.normal(0, (hidden or 512) ** -0.5, (hidden or 512, 10)).astype(np.float32)
    rate = 0.1 if hidden else 0.02
    for step in range(600):
        batch = rng.integers(0, len(train.y), 100)
        X = train.X[batch]
        H = np.maximum(X @ W1, 0) if hidden else X
        P = np.exp((S := H @ W2) - S.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        P[np.arange(100), train.y[batch]] -= 1
        if hidden:
            W1 -= rate * (1 - step / 600) * (X.T @ ((P @ W2.T) * (H > 0)) / 100 + 0.01 * W1)
        W2 -= rate * (1 - step / 600) * (H.T @ P / 100 + 0.01 * W2)
    H = np.maximum(test.X @ W1, 0) if hidden else test.X
    return ((H @ W2).argmax(axis=1) == test.y).mean()


def test_twin_needs_a_hidden_layer():
    """As on CIFAR-10, but more so: a linear classifier does better than chance, fifty hidden nodes do much better."""
    dataset = load(Data(source="synthetic"))
    with threadpool_limits(1):
        linear, deep = (accuracy(dataset.train, dataset.validation, hidden) for hidden in (0, 50))
    assert 0.25 < linear < 0.42
    assert linear + 0.1 < deep < 0.75


# ---- the commands


def test_info_and_verify(place):
    """info counts images of each class and verify judges each file, both also as one JSON object."""
    run = CliRunner().invoke
    text = run(data_command, ["info", "--data-dir", str(place)]).stdout
    assert "official     no" in text and "airplane" in text
    found = json.loads(run(data_command, ["info", "--json", "--data-dir", str(place)]).stdout)
    assert found["training"] == [20] * 10 and found["test"] == [4] * 10 and found["classes"] == list(CLASSES)
    (place / PYTHON.folder / "data_batch_3").write_bytes(b"")
    result = run(data_command, ["verify", "--data-dir", str(place)])
    assert result.exit_code == 1
    assert "data_batch_2: ok, not the official bytes\ndata_batch_3: damaged: " in result.stdout


# ---- the real images


REAL = os.environ.get("CIFARNET_DATA_DIR")


@pytest.mark.real
@pytest.mark.skipif(REAL is None, reason="CIFARNET_DATA_DIR names no CIFAR-10")
def test_real_images(whole):
    """The real images: 49,000 standardised ones have mean 0 and deviation 1, and pixels gives the file's bytes back."""
    dataset = load(Data(train="all", validation=1000), Path(REAL))
    assert dataset.train.X.shape == (49_000, 3072) and dataset.test.X.shape == (10_000, 3072)
    assert abs(dataset.train.X[:, ::100].mean(axis=0)).max() < 1e-5
    np.testing.assert_allclose(dataset.train.X[:, ::100].std(axis=0), 1, atol=1e-4)
    assert np.bincount(dataset.test.y).tolist() == [1000] * 10
    pixels = find(Path(REAL)).read(TEST).pixels[:50].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert (dataset.pixels(dataset.test, range(50)) == pixels).all()
