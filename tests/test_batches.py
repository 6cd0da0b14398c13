"""Batches and archives of every release: right ones are read, damaged and hostile ones refused."""

import os
import pickle
import random
import struct
import tarfile
from typing import ClassVar

import numpy as np
import pytest

from cifarnet import data
from cifarnet.config import Data
from cifarnet.data import cifar10, find, load
from cifarnet.data.cifar10 import Binary, Cifar10, Matlab
from cifarnet.errors import DataError
from tests.batches import (
    N,
    batch_of,
    images,
    small,  # noqa: F401 - for every test here
    tar_with,
)


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
