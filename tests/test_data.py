"""The data room: CIFAR-10 found, downloaded, checked, split and normalised; synthetic data; a user's own pictures."""

import hashlib
import io
import os
import pickle
import random
import shutil
import socket
import struct
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import platformdirs
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from cifarnet import data
from cifarnet.config import Data
from cifarnet.data import Dataset, Split, available, cifar10, download, find, load
from cifarnet.data.cifar10 import FORMATS, Batch, Binary, Cifar10, Matlab
from cifarnet.data.dataset import pick, rows
from cifarnet.data.images import formats, image_files, read_image
from cifarnet.data.synthetic import Synthetic
from cifarnet.errors import DataError

N = 40  # images in a batch of these tests
BATCHES = list(Cifar10.batches)
TEST = BATCHES[-1]


def images(batch):
    """Labels and pixels of a small batch; the first input is the same in all images."""
    rng = np.random.default_rng(BATCHES.index(batch))
    pixels = rng.integers(0, 256, (N, 3072), dtype=np.uint8)
    pixels[:, 0] = 7
    return rng.permutation(np.arange(N) % 10), pixels


def joined(*batches):
    return [np.concatenate(parts) for parts in zip(*map(images, batches), strict=True)]


def content(name, release):
    """A file of a release, a pickle as Python 3 writes it."""
    if name == release.meta:
        if release is Binary:
            return "\n".join(Cifar10.classes).encode()
        values = {"label_names": list(Cifar10.classes)}
    else:
        y, pixels = images(name.removesuffix(release.suffix))
        if release is Binary:
            return np.c_[y, pixels].astype(np.uint8).tobytes()
        values = {"labels": y.tolist(), "data": pixels}
    if release is Cifar10:
        return pickle.dumps(values)
    arrays = {key: np.array(value, object if key == "label_names" else None) for key, value in values.items()}
    savemat(out := io.BytesIO(), arrays, oned_as="column")
    return out.getvalue()


def write(place, release=Cifar10):
    folder = place / release.folder
    folder.mkdir(parents=True)
    for name in release.files():
        (folder / name).write_bytes(content(name, release))
    return folder


def write_archive(place, release=Cifar10):
    folder, archive = write(place, release), place / release.archive
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, release.folder)
    shutil.rmtree(folder)
    return archive


def batch_of(content, release=Cifar10):
    """What the release makes of a file with this content."""
    folder = Path("a batch")
    folder.mkdir(exist_ok=True)
    (folder / f"data_batch_1{release.suffix}").write_bytes(content)
    return release(folder).read("data_batch_1")


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Batches of N images, and no data but those of the test."""
    monkeypatch.setattr(Cifar10, "batches", dict.fromkeys(BATCHES, N))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    monkeypatch.delenv("CIFARNET_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def place(tmp_path):
    write(tmp_path / "given")
    return tmp_path / "given"


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


# ---- files


def python2():
    """A batch as the official release has it, opcode for opcode (Python 2's cPickle, protocol 2)."""
    y, pixels = images("data_batch_1")
    labels = b"]q\x05(" + b"".join(b"K" + bytes([label]) for label in y) + b"e"
    return b"".join(
        [
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04" + labels,
            b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t",
            b"(K\x01K" + bytes([N]) + b"M\x00\x0c\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNN",
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89T" + struct.pack("<I", pixels.size) + pixels.tobytes() + b"tb",
            b"U\tfilenamesq\x0c]q\r(U\x0aa_0001.pngU\x0aa_0002.pngeu.",
        ]
    )


def test_batches_of_python_2_and_of_numpy_1_are_read():
    y, pixels = images("data_batch_1")
    saved = pickle.dumps({"labels": y.tolist(), "data": pixels}, 5)
    old = saved.replace(b"\x8c\x13numpy._core.numeric", b"\x8c\x12numpy.core.numeric")
    for content in (python2(), saved, old):
        batch = batch_of(content)
        assert (batch.y == y).all() and (batch.pixels == pixels).all()


@pytest.mark.parametrize("protocol", range(6))
def test_batches_that_python_3_saved_are_read(protocol):
    """Keys as text or bytes, labels as a list or an array, pixels as rows or images, in any order in memory."""
    y, pixels = images("data_batch_1")
    for labels in (y.tolist(), y, y.astype(np.uint8), y[:, None]):
        for values in (pixels, pixels.reshape(N, 3, 32, 32), np.asfortranarray(pixels)):
            for keys in (("labels", "data", "filenames"), (b"labels", b"data", b"filenames")):
                content = pickle.dumps(dict(zip(keys, (labels, values, ["a.png"]), strict=True)), protocol)
                batch = batch_of(content)
                assert (batch.y == y).all() and (batch.pixels == pixels).all() and batch.y.dtype == np.uint8


class Payload:
    """Makes a file when unpickled, if anything lets it."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def hostile(canary):
    """Pickles with code in them, alone or inside a batch, by every protocol; and such as change what they meet."""
    y, pixels = images("data_batch_1")
    for payload in (Payload(os.system, f"touch {canary}"), Payload(eval, f"open({canary!r}, 'w')")):
        for values in (payload, {"labels": y, "data": payload}, {"labels": [payload], "data": pixels, "x": payload}):
            yield from (pickle.dumps(values, protocol) for protocol in range(6))
    for real in (b"numpy.core.multiarray\n_reconstruct", b"numpy\nndarray", b"numpy\ndtype"):
        for name in (b"builtins\neval", b"numpy\nload", b"numpy.core.multiarray\nscalar", b"numpy\nndarray.tofile"):
            yield python2().replace(real, name)
    state = b"N}X\x0c\x00\x00\x00__defaults__K\x01\x85s\x86b."  # BUILD: an attribute of what is on the stack
    yield from (b"c" + name + state for name in (b"numpy.core.numeric\n_frombuffer\n", b"numpy\nndarray\n"))
    yield from (b"cos\nsystem\n(X\x04\x00\x00\x00echoo.", b"\x80\x02\x82\x01.", b"P/etc/passwd\n.")


def wrong():
    """Batches that are cut, of other shapes, types or labels; other things."""
    y, pixels = images("data_batch_1")
    good = python2()
    start = good.index(pixels.tobytes())
    yield from (good[:length] for length in (*range(0, start, 7), start + 9999, len(good) - 1))
    for label in (10, 255, -1, 1 << 70, 1.0, "3", None, [3], {}):
        yield pickle.dumps({"labels": [*y.tolist()[1:], label], "data": pixels})
    for labels in ([], y[1:], y.tolist() * 2, "0123", 10, None, {}, y.astype(float), y == 3):
        yield pickle.dumps({"labels": labels, "data": pixels})
    arrays = [pixels[1:], pixels[:, 1:], pixels.ravel(), pixels.T, pixels.reshape(N, 32, 32, 3), pixels[:0]]
    arrays += [pixels.astype(kind) for kind in ("i1", "u2", ">i4", "f4", "?", "S1", "O")]
    for array in (*arrays, pixels.tolist(), pixels.tobytes(), None, 7, "text"):
        yield pickle.dumps({"labels": y, "data": array})
    yield from (pickle.dumps(value) for value in ({}, {"labels": y}, {"data": pixels}, [], None, 3, {3: 4}))
    yield from (b"<html>404</html>" * 99, bytes(1000), random.Random(2).randbytes(1000), b"\x80\x05\x96" + b"\xff" * 8)


def test_a_batch_that_is_hostile_or_wrong_is_one_clear_error_and_runs_nothing(tmp_path):
    defaults = cifar10.FROM_BUFFER.__defaults__
    for content in (*hostile(str(tmp_path / "canary")), *wrong()):
        with pytest.raises(DataError, match=r"a batch/data_batch_1 is damaged .*cifarnet data download") as caught:
            batch_of(content)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 600
    assert not (tmp_path / "canary").exists() and cifar10.FROM_BUFFER.__defaults__ == defaults


@pytest.mark.parametrize("content", [b"", b"x", bytes(N * 3073 - 1), bytes(N * 3073 + 3073), b"\x0a" * (N * 3073)])
@pytest.mark.parametrize("release", [Binary, Matlab])
def test_a_binary_or_matlab_batch_that_is_wrong_is_refused(content, release):
    with pytest.raises(DataError, match=rf"data_batch_1\{release.suffix} is damaged"):
        batch_of(content, release)


def test_class_names_are_those_of_the_release(place):
    meta = place / Cifar10.folder / Cifar10.meta
    meta.write_bytes(pickle.dumps({b"label_names": [f"kind {i}".encode() for i in range(10)]}))
    assert load(Data(), place).classes == tuple(f"kind {i}" for i in range(10))
    for names in (None, [], ["a"] * 9, ["a\n"] * 10, [""] * 10, ["x" * 99] * 10, "airplane", 7):
        meta.write_bytes(pickle.dumps({"label_names": names}))
        with pytest.raises(DataError, match=r"batches\.meta is damaged"):
            load(Data(), place)
    meta.unlink()
    assert load(Data(), place).classes == Cifar10.classes


def tar_with(*members):
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w:gz") as archive:
        for name, type_, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = type_, len(content), "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


FIRST = f"{Cifar10.folder}/data_batch_1"
BAD_ARCHIVES = {
    "parent path": tar_with((f"{Cifar10.folder}/../../cifarnet-was-here", tarfile.REGTYPE, b"x")),
    "symbolic link": tar_with((FIRST, tarfile.SYMTYPE, b"")),
    "pipe": tar_with((FIRST, tarfile.FIFOTYPE, b"")),
    "folder is a link": tar_with((Cifar10.folder, tarfile.SYMTYPE, b""), (FIRST, tarfile.REGTYPE, b"x")),
    "another folder": tar_with(*((f"other/{name}", tarfile.REGTYPE, b"x") for name in Cifar10.files())),
    "not packed": b"a page that says 404" * 100,
    "cut short": tar_with((FIRST, tarfile.REGTYPE, os.urandom(9000)))[:4000],
    "nothing in it": tar_with(),
    "empty": b"",
}


@pytest.mark.parametrize("content", BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_an_archive_that_is_damaged_or_hostile_is_named_and_writes_nothing(tmp_path, content):
    place = tmp_path / "deep" / "er"
    place.mkdir(parents=True)
    (place / Cifar10.archive).write_bytes(content)
    with pytest.raises(DataError, match=rf"{Cifar10.archive} is damaged .*: .*cifarnet data download --force"):
        load(Data(), place)
    assert [path.name for path in tmp_path.rglob("*")] == ["deep", "er", Cifar10.archive]


class Cifar100(Cifar10):
    name, folder, archive = "CIFAR-100", "cifar-100-python", "cifar-100-python.tar.gz"
    batches: ClassVar = {"train": 200, "test": 100}
    meta, label_key, names_key = "meta", "fine_labels", "fine_label_names"
    classes = tuple(f"class {i}" for i in range(100))
    md5: ClassVar = {"cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85"}


def test_another_data_set_is_a_subclass_that_states_its_facts(tmp_path):
    folder = tmp_path / Cifar100.folder
    folder.mkdir()
    for name, n in Cifar100.batches.items():
        values = {
            "coarse_labels": [0] * n,
            "fine_labels": [i % 100 for i in range(n)],
            "data": np.zeros((n, 3072), "u1"),
        }
        (folder / name).write_bytes(pickle.dumps(values))
    with pytest.raises(DataError, match=r"CIFAR-10 was not found .* \(CIFAR-100\?\)"):
        find(tmp_path)
    release = Cifar100(folder)
    assert release.read("train").y.tolist() == [*range(100)] * 2
    assert data.info(release).test == (1,) * 100


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


# ---- downloads, from a local server that does what servers do wrong


FILES = {name: random.Random(name).randbytes(40_000) for name in Cifar10.files()}
PART = Cifar10.archive + ".part"


class Handler(BaseHTTPRequestHandler):
    """GET /<what to do>; ranges are honoured except by `all`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        content = self.server.content
        middle = len(content) // 2
        match self.path.strip("/"):
            case "good":
                self.part(content)
            case "all":
                self.send(content)
            case "drops":
                self.part(content, 50_000)
            case "stalls":
                self.part(content, 100)
                self.close_connection = False
                self.server.released.wait(5)
            case "flipped":
                self.part(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
            case "page":
                self.send(b"<html>please log in</html>")
            case "longer":
                self.send(content + b"x")
            case "missing":
                self.send(b"no", status=404)
            case "loop" | "moved" as name:
                self.send(b"", status=302, headers=[("Location", {"loop": "/loop", "moved": "/good"}[name])])

    def send(self, content, *, status=200, promised=None, headers=()):
        self.send_response(status)
        for name, value in [("Content-Length", str(promised or len(content))), *headers]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def part(self, content, cut=None):
        """The range that is asked for, or only `cut` bytes of it before the connection closes."""
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        rest = content[start:]
        headers = [("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")]
        self.send(rest[:cut], status=206 if rest else 416, promised=len(rest), headers=headers)
        self.close_connection = cut is not None


@pytest.fixture
def server(monkeypatch):
    """The server, with a small archive that counts as the official one, short time-outs and no proxy."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.handle_error = True, lambda *args: None
    server.content = tar_with(*((f"{Cifar10.folder}/{name}", tarfile.REGTYPE, b) for name, b in FILES.items()))
    server.requests, server.released = [], threading.Event()
    server.url = lambda *names: [f"http://127.0.0.1:{server.server_port}/{name}" for name in names]
    monkeypatch.setitem(Cifar10.md5, Cifar10.archive, hashlib.md5(server.content).hexdigest())
    for name, value in {"SIZE": len(server.content), "TIMEOUT": (5, 0.3), "PIECE": 10_000}.items():
        monkeypatch.setattr(download, name, value)
    monkeypatch.setenv("NO_PROXY", "*")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
    thread.join()


def arrived(place):
    """All the files are there, and nothing else."""
    contents = {path.name: path.read_bytes() for path in (place / Cifar10.folder).iterdir()}
    return [path.name for path in place.iterdir()] == [Cifar10.folder] and contents == FILES


@pytest.mark.parametrize("mirror", ["good", "all", "moved"])
def test_a_download_is_checked_unpacked_and_its_archive_removed(server, tmp_path, monkeypatch, mirror):
    seen = []
    place = tmp_path / "new" / "place"
    monkeypatch.setenv("CIFARNET_DATA_DIR", str(place))
    found = download.download(None, server.url(mirror), progress=lambda *state: seen.append(state))
    assert arrived(place) and found.path == place / Cifar10.folder
    assert seen[-1] == (len(server.content), len(server.content))


@pytest.mark.parametrize(
    "mirror", ["drops", pytest.param("stalls", marks=pytest.mark.slow), "flipped", "page", "longer", "missing", "loop"]
)
def test_after_a_bad_mirror_the_next_is_asked_and_its_bytes_are_right(server, tmp_path, mirror):
    said = []
    if mirror != "drops":  # which sends everything in the end
        with pytest.raises(DataError, match=r"no mirror sent the official .* \(2 tried\).*--mirror URL"):
            download.download(tmp_path / "bad", server.url(mirror, mirror))
        assert {path.name for path in (tmp_path / "bad").iterdir()} <= {PART}
    download.download(tmp_path / "good", server.url(mirror, "good"), say=said.append)
    assert arrived(tmp_path / "good")
    assert said and all(server.url(mirror)[0] in line and line.isprintable() and len(line) < 300 for line in said)


def test_a_download_goes_on_where_it_stopped(server, tmp_path):
    """By the next try, the next mirror, or the next call; a complete `.part` needs no network."""
    with pytest.raises(DataError):
        download.download(tmp_path, server.url("drops"))
    assert [start for _, start in server.requests] == ["bytes=0-", "bytes=50000-", "bytes=100000-"]
    download.download(tmp_path, server.url("good"))
    assert server.requests[-1] == ("/good", "bytes=150000-") and arrived(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / PART).write_bytes(server.content)
    download.download(tmp_path / "other", server.url("good"))
    assert arrived(tmp_path / "other") and len(server.requests) == 4


@pytest.mark.parametrize("size", [10, 100_000, 10_000_000])
def test_a_part_of_something_else_is_thrown_away(server, tmp_path, size):
    (tmp_path / PART).write_bytes(bytes(size))
    download.download(tmp_path, server.url("good"))
    assert arrived(tmp_path) and ("/good", "bytes=0-") in server.requests and len(server.requests) <= 2


def test_offline_a_download_fails_once_in_one_line(tmp_path, monkeypatch):
    """No name is resolved: no address is shown, and no mirror is tried twice."""
    said, asked = [], []

    def resolve(host, *args, **kwargs):
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(
        DataError, match=r"^no mirror of CIFAR-10 can be reached \(Name or service not known\)"
    ) as caught:
        download.download(tmp_path, say=said.append)
    assert not said and len(asked) == len(set(asked)) == len(download.MIRRORS)
    assert "http" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("proxy", "url"), [("", "http://127.0.0.1:1/x"), ("http://127.0.0.1:1", "https://no.invalid")])
def test_a_mirror_or_a_proxy_that_does_not_answer_is_as_offline(tmp_path, monkeypatch, proxy, url):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("NO_PROXY", "" if proxy else "*")
    with pytest.raises(DataError, match=r"can be reached \(Connection refused\)"):
        download.download(tmp_path, [url, url], say=pytest.fail)


def test_only_force_replaces_what_is_there_and_only_by_what_is_right(server, tmp_path):
    download.download(tmp_path, server.url("good"))
    damaged, other = tmp_path / Cifar10.folder / "data_batch_1", tmp_path / Cifar10.folder / "mine"
    damaged.write_bytes(b"damaged")
    other.write_text("mine")
    download.download(tmp_path, server.url("good"))
    with pytest.raises(DataError):
        download.download(tmp_path, server.url("flipped", "missing"), force=True)
    assert damaged.read_bytes() == b"damaged"
    download.download(tmp_path, server.url("good"), force=True)
    assert damaged.read_bytes() == FILES["data_batch_1"] and other.read_text() == "mine"


def test_a_download_that_cannot_be_written_names_the_folder_and_the_cure(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file cannot be written: .*--data-dir"):
        download.download(tmp_path / "file", server.url("good"))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)  # of what is unpacked; the archive itself is written by open
    with pytest.raises(DataError, match="No space left on device"):
        download.download(tmp_path / "new", server.url("good"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == [Cifar10.archive]


# ---- a user's own pictures


def test_a_picture_is_cropped_to_its_middle_and_scaled(tmp_path):
    """Of 60 x 40 pixels the 40 in the middle, all red; a picture of 32 x 32 stays as it is."""
    wide = np.full((40, 60, 3), [0, 0, 255], np.uint8)
    wide[:, 10:50] = [255, 0, 0]
    exact = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for pixels, expected in ((wide, np.full((32, 32, 3), [255, 0, 0])), (exact, exact)):
        Image.fromarray(pixels).save(tmp_path / "picture.png")
        assert (read_image(tmp_path / "picture.png") == expected).all()


def test_a_picture_is_turned_as_its_exif_says(tmp_path):
    exif, pixels = Image.Exif(), np.zeros((32, 32, 3), np.uint8)
    exif[0x0112], pixels[:16] = 3, 255  # upside down
    Image.fromarray(pixels).save(tmp_path / "phone.png", exif=exif)
    assert (read_image(tmp_path / "phone.png") == pixels[::-1]).all()


KINDS = ["L.png", "LA.png", "P.png", "RGBA.png", "I;16.png", "L.jpg", "CMYK.jpg", "RGBA.webp", "RGB.bmp", "P.gif"]


@pytest.mark.parametrize("name", [*KINDS, "RGB.tiff", "RGB.ppm", "RGB.tga", "RGB.jp2", "RGB.ico"])
def test_pictures_of_every_kind_are_read(tmp_path, name):
    """Grey, palettes, transparency, CMYK, 16 bits, other formats: the same grey comes out."""
    mode, path = name.partition(".")[0], tmp_path / name
    deep = Image.fromarray(np.full((50, 50), 153 * 257, np.uint16))
    (deep if mode == "I;16" else Image.new("RGB", (50, 50), (153, 153, 153)).convert(mode)).save(path)
    assert np.abs(read_image(path).astype(int) - 153).max() <= 2


def test_floating_point_pixels_have_no_scale(tmp_path):
    Image.new("F", (50, 50), 153).save(tmp_path / "f.tiff")
    with pytest.raises(DataError, match=r"f\.tiff: cannot be read as a picture: .*; save it with 8"):
        read_image(tmp_path / "f.tiff")


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_image(tmp_path / "clear.png") == 255).all()


def test_a_picture_that_cannot_be_read_is_one_clear_line(tmp_path):
    Image.new("RGB", (50, 50)).save(tmp_path / "cut.png")
    contents = {"cut.png": (tmp_path / "cut.png").read_bytes()[:60], "empty.jpg": b"", "a\nb.webp": b"no picture"}
    contents["run.png"] = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"  # Ghostscript would run it
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert "EPS" not in formats().values()
    for name in (*contents, "nowhere.png"):
        with pytest.raises(DataError, match=r"cannot be read as a picture: .") as caught:
            read_image(tmp_path / name)
        assert str(caught.value).isprintable() and ascii(name)[1:-1] in str(caught.value)


def test_folders_of_classes_are_walked_and_what_is_no_picture_is_reported(tmp_path):
    names = ["b.JPG", "cat/a.png", "cat/deep/c.tif", "dog/a.gif", "Makefile", "dog/notes.txt", "paper.pdf"]
    for name in [*names, ".hidden.png", "cat/._a.png", ".git/d.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found, left_out = image_files(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in (*found, *left_out)] == names and len(left_out) == 3
    assert image_files(tmp_path / "Makefile") == ([tmp_path / "Makefile"], [])
