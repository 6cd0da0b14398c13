"""Batch files that are cut, altered or written to harm: each is a DataError that names it, and none runs code."""

import io
import os
import pickle
import random
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifarnet.data import pickles, release
from cifarnet.data.formats import BINARY, PYTHON
from cifarnet.data.release import Release
from cifarnet.errors import DataError

N = 10
LABELS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
PIXELS = np.arange(N * 3072, dtype=np.uint32).astype(np.uint8).reshape(N, 3072)


def python2():
    """A batch as the official release has it, opcode for opcode (Python 2's cPickle, protocol 2)."""
    labels = b"]q\x05(" + b"".join(b"K" + bytes([label]) for label in LABELS) + b"e"
    pixels = PIXELS.tobytes()
    return b"".join(
        [
            b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04" + labels,
            b"U\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t",
            b"(K\x01K\x0aM\x00\x0c\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNN",
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
            b"\x89T" + struct.pack("<I", len(pixels)) + pixels + b"tb",
            b"U\tfilenamesq\x0c]q\r(U\x0aa_0001.pngU\x0aa_0002.pngeu.",
        ]
    )


GOOD = python2()
START = GOOD.index(PIXELS.tobytes())


class Payload:
    """Makes a folder when unpickled, if anything lets it."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def cut():
    """Every proper prefix at the structure, and a hundred through the pixels."""
    rng = random.Random(1)
    structure = [*range(START), *range(START + PIXELS.size, len(GOOD))]
    for length in [*structure, *rng.sample(range(START, START + PIXELS.size), 100)]:
        yield f"cut at {length}", GOOD[:length]


def code(canary):
    """Pickles with code in them, alone or inside a batch, by every protocol; other functions in place of numpy's."""
    functions = [(os.mkdir, canary), (os.system, f"mkdir {canary}"), (eval, f"__import__('os').mkdir({canary!r})")]
    for function, argument in functions:
        for protocol in range(6):
            for wrap in (
                lambda payload: payload,
                lambda payload: {"labels": LABELS, "data": payload},
                lambda payload: {"labels": payload, "data": PIXELS},
                lambda payload: {"labels": LABELS, "data": PIXELS, "more": payload},
                lambda payload: {"labels": [*LABELS[1:], payload], "data": PIXELS},
            ):
                yield f"{function.__name__} by {protocol}", pickle.dumps(wrap(Payload(function, argument)), protocol)
    names = ["os system", "posix system", "os popen", "builtins eval", "builtins exec", "builtins getattr"]
    names += ["__builtin__ eval", "subprocess Popen", "pickle loads", "_codecs decode", "copyreg _reconstructor"]
    names += ["numpy load", "numpy save", "numpy f2py", "numpy ndarray.tofile", "numpy dtype.__class__"]
    names += ["numpy.core.multiarray fromfile", "numpy.core.multiarray scalar", "numpy.testing runstring"]
    names += ["operator attrgetter", "types CodeType", "cifarnet.data load", " ", "ñ é"]
    for real in ("numpy.core.multiarray\n_reconstruct", "numpy\nndarray", "numpy\ndtype"):
        for name in names:
            yield f"{name} for {real}", GOOD.replace(real.encode(), name.encode().replace(b" ", b"\n"))


def opcodes():
    """Each byte as the first instruction, as one in the middle, and as the instruction before the pixels."""
    for byte in range(256):
        if byte not in b"(":
            yield f"first {byte}", b"\x80\x02" + bytes([byte])
        yield f"only {byte}", bytes([byte]) + b"."
        if byte not in b"TB":
            yield f"pixels by {byte}", GOOD[: START - 5] + bytes([byte]) + GOOD[START - 4 :]


def labels_and_shapes():
    """Labels out of range or of another type, missing or additional ones; arrays of other shapes and types."""

    bad = [10, 255, -1, 1 << 70, -(1 << 70), 1.0, "3", None, True, [3], (3,), {}, b"3"]
    for i in range(N):
        for label in bad:
            labels = [*LABELS[:i], label, *LABELS[i + 1 :]]
            yield f"label {label!r}"[:40], pickle.dumps({"labels": labels, "data": PIXELS}, 4)
    for labels in ([], LABELS[1:], LABELS * 2, tuple(LABELS), "0123456789", b"0123456789", 10, 10**9, None, {}):
        yield f"labels {labels!r}"[:40], pickle.dumps({"labels": labels, "data": PIXELS}, 4)
    arrays = [PIXELS[1:], PIXELS[:, 1:], PIXELS.ravel(), PIXELS.T, PIXELS[None], PIXELS.reshape(N, 32, 96), PIXELS[:0]]
    arrays += [PIXELS.astype(kind) for kind in ("i1", "u2", ">i4", "f4", "f8", "c8", "?", "S1", "U1", "O", "M8[s]")]
    arrays += [np.zeros((N, 3072), [("a", "u1")]), np.uint8(3), PIXELS.tolist(), PIXELS.tobytes(), None, 7, "text"]
    for protocol in (3, 4, 5):
        for array in arrays:
            batch = {"labels": LABELS, "data": array}
            yield f"array {getattr(array, 'dtype', type(array))}", pickle.dumps(batch, protocol)
    for value in ({}, {"labels": LABELS}, {"data": PIXELS}, [], None, 3, {"Labels": LABELS, "Data": PIXELS}, {3: 4}):
        yield f"value {type(value)}", pickle.dumps(value, 4)


def tricks():
    """What a pickle can do to the one who reads it without calling anything."""
    empty = b"\x80\x02}"
    yield "a memo of gigabytes", empty + b"r\xff\xff\xff\x7f."
    yield "bytes that are not there", b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"."
    yield "a buffer that is not there", b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"."
    yield "text that is not there", b"X\xff\xff\xff\xffx."
    yield "a key that is hashed for ever", empty + b")" + b"q\x01h\x01\x86" * 200 + b"K\x01s."
    yield "nested for ever", b"]" * 290_000 + b"a" * 289_999 + b"."
    yield "nested tuples", b")" + b"\x85" * 290_000 + b"."
    yield "marks", b"(" * 290_000 + b"t" * 9_000 + b"."
    yield "a list in itself", b"]q\x01h\x01a."
    yield "instructions without end", b"N" * 39_000_000
    yield "text doubled", b"X\x01\x00\x00\x00xq\x01" + b"h\x01h\x01\x86q\x01" * 100_000 + b"."
    yield "state for a class", empty + b"cnumpy\nndarray\n}U\x01xK\x01sb."
    yield "state for a function", empty + b"cnumpy.core.multiarray\n_reconstruct\nN}U\x0c__defaults__)s\x86b."
    yield "state for a list", b"]}b."
    yield "a dtype of objects", GOOD.replace(b"U\x02u1", b"U\x02O8")
    yield "a dtype of itself", GOOD.replace(b"U\x02u1", b"h\x08h\x08"[:4])
    yield "a shape of itself", GOOD.replace(b"K\x0aM\x00\x0c\x86", b"h\x09h\x09\x86")
    yield "a negative shape", GOOD.replace(b"K\x0aM\x00\x0c\x86", b"J\xf6\xff\xff\xffJ\x00\xf4\xff\xff\x86")
    yield "a huge shape", GOOD.replace(b"K\x0aM\x00\x0c\x86", b"\x8a\x09" + b"\xff" * 8 + b"\x00M\x00\x0c\x86")
    yield "state twice", GOOD.replace(b"tbU\tfilenames", b"tbN\x85bU\tfilenames")
    yield "a persistent id", b"\x80\x02U\x01aQ."
    yield "a text persistent id", b"P/etc/passwd\n."
    yield "an extension", b"\x80\x02\x82\x01."
    yield "a number of many digits", b"I" + b"9" * 1_000_000 + b"\n."
    yield "a long number", b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\xff" * 1_000_000 + b"."
    yield "an old instance", b"(ios\nsystem\nU\x01xo."
    yield "a page", b"<html><body>404</body></html>" * 1000
    yield "zeros", bytes(100_000)
    yield "noise", random.Random(2).randbytes(100_000)
    yield "a line without end", b"c" + b"x" * 30_000_000
    yield "bad text", b"\x8c\x02\xff\xfe."
    yield "another compression", io.BytesIO(b"\x1f\x8b\x08\x00" + GOOD).getvalue()


def read(folder, content, format=PYTHON):
    (folder / f"data_batch_1{format.suffix}").write_bytes(content)
    return Release(folder, format).read("data_batch_1")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(release, "BATCH_IMAGES", N)


def test_the_good_one_is_good(tmp_path):
    """The file that all the others are made from is read, as the official layout of Python 2."""
    batch = read(tmp_path, GOOD)
    assert batch.y.tolist() == LABELS and (batch.pixels == PIXELS).all()
    fortran = {"labels": LABELS, "data": np.asfortranarray(PIXELS)}
    assert (read(tmp_path, pickle.dumps(fortran, 4)).pixels == PIXELS).all()


def test_corpus(tmp_path):
    """Over 1,500 files cut, hostile or wrong: each a DataError on one line that names file and cure; no code ran."""
    canary = tmp_path / "code ran"
    cases = [*cut(), *code(str(canary)), *opcodes(), *labels_and_shapes(), *tricks()]
    assert len(cases) > 1500
    for name, content in cases:
        with pytest.raises(DataError) as caught:
            read(tmp_path, content)
            pytest.fail(name)
        message = str(caught.value)
        assert str(tmp_path / "data_batch_1") in message and "cifarnet data download --force" in message, name
        assert message.isprintable() and len(message) < 600, name
        assert not canary.exists(), name


@pytest.mark.parametrize("content", dict(tricks()).values(), ids=dict(tricks()))
def test_tricks_are_cheap(tmp_path, content):
    """Files written to take time or memory are refused within 2 seconds and 200 MB."""
    tracemalloc.start()
    try:
        start = time.process_time()
        with pytest.raises(DataError):
            read(tmp_path, content)
        assert time.process_time() - start < 2  # tracemalloc makes it slower
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


EDIT = st.tuples(st.integers(0, START + 300), st.integers(0, 3), st.binary(max_size=4))


@given(st.lists(EDIT, min_size=1, max_size=4))
def test_any_edit_is_read_or_refused(edits):
    """Bytes changed, left out or put in anywhere: labels and pixels of the right shapes, or BadPickle, nothing else."""
    content = GOOD
    for position, dropped, put in edits:
        place = position if position < START else position + PIXELS.size - 200
        content = content[:place] + put + content[place + dropped :]
    try:
        y, pixels = release.unpickled(content)
    except ValueError:
        return
    assert y.shape == (N,) and y.max() < 10 and pixels.shape == (N, 3072) and pixels.dtype == np.uint8


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    """Arbitrary bytes give plain values or BadPickle."""
    try:
        pickles.read(content)
    except pickles.BadPickle as error:
        assert str(error)


@pytest.mark.parametrize("content", [b"", b"x", bytes(N * 3073 - 1), bytes(N * 3073 + 1), b"\x0a" * (N * 3073), GOOD])
def test_binary_batches(tmp_path, content):
    """A binary batch of another length or with a label above 9 is refused."""
    with pytest.raises(DataError, match=r"data_batch_1\.bin is damaged"):
        read(tmp_path, content, BINARY)


def test_odd_files(tmp_path):
    """A folder, a pipe, a link into nothing or a huge file in a batch's place is refused at once."""
    path = tmp_path / "data_batch_1"
    for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to("/nowhere"), lambda: path.touch()):
        make()
        if path.is_file():
            os.truncate(path, 1 << 40)
        with pytest.raises(DataError, match="data_batch_1 is damaged"):
            Release(tmp_path, PYTHON).read("data_batch_1")
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("names", [None, [], ["a"] * 9, ["a\n"] * 10, [""] * 10, ["x" * 99] * 10, [1] * 10, "airplane"])
def test_class_names(tmp_path, names):
    """batches.meta that does not give ten printable names is refused."""
    (tmp_path / PYTHON.meta).write_bytes(pickle.dumps({"label_names": names}, 4))
    with pytest.raises(DataError, match=r"batches\.meta is damaged"):
        Release(tmp_path, PYTHON).classes()
