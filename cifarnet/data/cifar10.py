"""The releases of CIFAR-10: the facts about each, and how one of their files becomes a checked batch."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from cifarnet.config import BATCH_IMAGES, IMAGE_VALUES
from cifarnet.errors import DataError, shown

Bytes = npt.NDArray[np.uint8]

CURE = "`cifarnet data verify` looks at every file, `cifarnet data download --force` fetches them anew"
RECONSTRUCT: Any = np.empty(1).__reduce__()[0]
FROM_BUFFER: Any = np.empty(1).__reduce_ex__(5)[0]


class Batch(NamedTuple):
    """Labels y (n,), pixels (n, 3072), the SHA-256 of both, and whether the file is the official one."""

    y: Bytes
    pixels: Bytes
    digest: bytes
    official: bool


class Unpickler(pickle.Unpickler):
    """Unpickle plain values and arrays, and nothing that runs code."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a constructor of numpy 1 or 2; in a lambda, as a pickle may set the attributes of a function."""
        match module.replace("._core", ".core"), name:
            case "numpy", "ndarray" | "dtype":
                return getattr(np, name)
            case "numpy.core.multiarray", "_reconstruct":
                return RECONSTRUCT
            case "numpy.core.numeric", "_frombuffer":
                return lambda *arguments: FROM_BUFFER(*arguments)
            case "_codecs", "encode":  # how Python 3 writes bytes by protocols 0 to 2
                return lambda content, _: content.encode("latin1")
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")


@dataclass(frozen=True)
class Cifar10:
    """CIFAR-10 as pickles, in a folder, or in the archive where it cannot be unpacked.

    The class attributes are the facts of the data set; a subclass is another format or another data set.
    """

    path: Path

    name: ClassVar[str] = "CIFAR-10"
    format: ClassVar[str] = "python"
    folder: ClassVar[str] = "cifar-10-batches-py"
    archive: ClassVar[str] = "cifar-10-python.tar.gz"
    batches: ClassVar[Mapping[str, int]] = dict.fromkeys(  # images in each; the last one is the test set
        ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"), BATCH_IMAGES
    )
    suffix: ClassVar[str] = ""
    meta: ClassVar[str] = "batches.meta"
    label_key: ClassVar[str] = "labels"
    names_key: ClassVar[str] = "label_names"
    classes: ClassVar[tuple[str, ...]] = (
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    )  # fmt: skip
    md5: ClassVar[Mapping[str, str]] = {  # from https://www.cs.toronto.edu/~kriz/cifar.html, and torchvision
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    }

    @classmethod
    def files(cls) -> list[str]:
        return [*(batch + cls.suffix for batch in cls.batches), cls.meta]

    @classmethod
    def is_in(cls, folder: Path) -> bool:
        return any((folder / name).exists() for name in cls.files())

    def read(self, batch: str) -> Batch:
        """Read one of `batches`; DataError where its file is missing, damaged or something else."""
        name = batch + self.suffix
        with self.opened(name) as file:
            official = hashlib.file_digest(file, "md5").hexdigest() == self.md5.get(name)
            file.seek(0)
            y, pixels = checked(self.parse(file), self.label_key, self.batches[batch], len(self.classes))
        return Batch(y, pixels, digest(y, pixels), official)

    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes in the release, or the official ones where it has none."""
        if self.path.is_dir() and not (self.path / self.meta).exists():
            return self.classes
        with self.opened(self.meta) as file:
            names = tuple(text(name) for name in self.parse(file).get(self.names_key, ()))
            if len(names) != len(self.classes) or not all(name.isprintable() and 0 < len(name) <= 40 for name in names):
                raise ValueError(f"it does not name {len(self.classes)} classes")
            return names

    def parse(self, file: io.BufferedIOBase) -> dict[str, Any]:
        """Return what a file holds, by its keys."""
        values = Unpickler(file, encoding="bytes").load()
        if not isinstance(values, dict):
            raise ValueError("it holds no dictionary")
        return {text(key): value for key, value in values.items()}

    @contextmanager
    def opened(self, name: str) -> Iterator[io.BufferedIOBase]:
        """Open a file; whatever is wrong with it or its content is one DataError."""
        path = self.path / name
        try:
            with reading(path), self.open(name) as file:
                yield file
        except OSError as error:
            why = f"{error.strerror}; check its permissions and its disk"
            raise DataError(f"{shown(path)} cannot be read: {why}") from error

    def open(self, name: str) -> io.BufferedIOBase:
        if self.path.is_file():
            return io.BytesIO(next(content for file, content in self.contents(self.path) if file == name))
        if not (self.path / name).is_file():
            raise ValueError("it is missing, or not a file")
        return (self.path / name).open("rb")

    @classmethod
    def contents(cls, archive: Path) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of the release's files in an archive; ValueError if one is missing."""
        missing = set(cls.files())
        with tarfile.open(archive) as tar:
            for member in tar:
                folder, _, name = member.name.removeprefix("./").partition("/")
                if member.isreg() and folder == cls.folder and name in missing:
                    missing.remove(name)
                    yield name, tar.extractfile(member).read()  # type: ignore[union-attr]
        if missing:
            raise ValueError(f"{', '.join(sorted(missing))} is not in it")

    @classmethod
    def from_archive(cls, archive: Path) -> Self:
        """Unpack an archive beside itself, once, or read it where it is if nothing can be written there."""
        folder = archive.with_name(cls.folder)
        try:
            return cls(folder) if cls.is_in(folder) else cls.unpack(archive)
        except OSError:  # a read-only or full disk; another process that was first
            return cls(folder if cls.is_in(folder) else archive)

    @classmethod
    def unpack(cls, archive: Path) -> Self:
        """Unpack an archive into a temporary folder, then rename it; older files of the same names are replaced."""
        folder = archive.with_name(cls.folder)
        with tempfile.TemporaryDirectory(prefix=f".{cls.folder}-", dir=archive.parent) as temporary:
            unpacked = Path(temporary, cls.folder)
            unpacked.mkdir()
            with reading(archive):
                for name, content in cls.contents(archive):  # nothing else of a file; Python 3.11.2 has no filter
                    (unpacked / name).write_bytes(content)
            if folder.exists():
                for path in unpacked.iterdir():
                    path.replace(folder / path.name)
            else:
                unpacked.rename(folder)
        return cls(folder)


class Binary(Cifar10):
    """CIFAR-10 as records of a byte of label and 3072 of pixels."""

    format = "binary"
    folder = "cifar-10-batches-bin"
    archive = "cifar-10-binary.tar.gz"
    suffix = ".bin"
    meta = "batches.meta.txt"
    md5: ClassVar[Mapping[str, str]] = {  # of the files: as several C++ and Go libraries have them
        "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    }

    def parse(self, file: io.BufferedIOBase) -> dict[str, Any]:
        content = file.read()
        if len(content) < IMAGE_VALUES:
            return {self.names_key: content.decode().split()}
        records = np.frombuffer(content, np.uint8).reshape(-1, 1 + IMAGE_VALUES)
        return {self.label_key: records[:, 0], "data": records[:, 1:]}


class Matlab(Cifar10):
    """CIFAR-10 as MATLAB files, which scipy reads."""

    format = "matlab"
    folder = "cifar-10-batches-mat"
    archive = "cifar-10-matlab.tar.gz"
    suffix = ".mat"
    meta = "batches.meta.mat"
    md5: ClassVar[Mapping[str, str]] = {"cifar-10-matlab.tar.gz": "70270af85842c9e89bb428ec9976c926"}

    def parse(self, file: io.BufferedIOBase) -> dict[str, Any]:
        from scipy.io import loadmat

        return dict(loadmat(file, squeeze_me=True))


FORMATS: tuple[type[Cifar10], ...] = (Cifar10, Binary, Matlab)


def checked(values: Mapping[str, Any], label_key: str, n: int, K: int) -> tuple[Bytes, Bytes]:
    """Return labels (n,) of a list or an array, and pixels (n, 3072) of data (n, 3072) or (n, 3, 32, 32)."""
    if not {label_key, "data"} <= values.keys():
        raise ValueError(f"it holds no {label_key} and data")
    y, pixels = np.asarray(values[label_key]), np.asarray(values["data"])
    if y.dtype.kind not in "iu" or y.size != n or y.min() < 0 or y.max() >= K:
        raise ValueError(f"its {label_key} are not {n:,} numbers from 0 to {K - 1}")
    if pixels.dtype != np.uint8 or pixels.shape not in ((n, IMAGE_VALUES), (n, 3, 32, 32)):
        raise ValueError(f"its data are {pixels.dtype} {pixels.shape} instead of uint8 ({n}, {IMAGE_VALUES})")
    return y.ravel().astype(np.uint8), np.ascontiguousarray(pixels.reshape(n, IMAGE_VALUES))


def digest(y: Bytes, pixels: Bytes) -> bytes:
    """Return the SHA-256 of labels and pixels."""
    state = hashlib.sha256(y.data)
    state.update(pixels.data)
    return state.digest()


def fingerprint(digests: Iterable[bytes]) -> str:
    """Return what tells images from others: the SHA-256 of the digests of their batches, whatever the format."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def text(value: Any) -> str:
    """Return a name or a key, which Python 2 wrote as bytes."""
    return value.decode("latin1") if isinstance(value, bytes) else str(value)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Make one DataError of whatever the content of a file causes; errors of the disk pass."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # pickle, tarfile, gzip and scipy have two dozen kinds
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            raise
        why = shown(error) or type(error).__name__
        raise DataError(f"{shown(path)} is damaged or not CIFAR-10: {why}; {CURE}") from error
