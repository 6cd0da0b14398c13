"""Releases of CIFAR-10 with small batches, for the tests of the data room."""

import io
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from scipy.io import savemat

from cifarnet.data.cifar10 import Binary, Cifar10

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


def tar_with(*members):
    with tarfile.open(fileobj=(out := io.BytesIO()), mode="w:gz") as archive:
        for name, type_, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = type_, len(content), "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Batches of N images, and no data but those of the test."""
    monkeypatch.setattr(Cifar10, "batches", dict.fromkeys(BATCHES, N))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "cache")
    monkeypatch.delenv("CIFARNET_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
