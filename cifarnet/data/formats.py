"""The two official releases: their files, and the sums of these."""

from __future__ import annotations

from dataclasses import dataclass

TRAINING = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
TEST = "test_batch"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Format:
    """One of the two official releases; `md5` by file name, the archive's included."""

    name: str
    folder: str
    archive: str
    suffix: str
    meta: str
    md5: dict[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        return (*(stem + self.suffix for stem in (*TRAINING, TEST)), self.meta)


# https://www.cs.toronto.edu/~kriz/cifar.html gives the archives' sums, torchvision those of the pickled batches, the
# dataset scripts of several C++ and Go libraries, which agree, those of the binary ones.
PYTHON = Format(
    "python",
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
    "",
    "batches.meta",
    {
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
        "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    },
)
BINARY = Format(
    "binary",
    "cifar-10-batches-bin",
    "cifar-10-binary.tar.gz",
    ".bin",
    "batches.meta.txt",
    {
        "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
)
FORMATS = (PYTHON, BINARY)
