"""The dataset artifact: what preprocess writes and train, evaluate and export read.

    dataset.json                      DatasetInfo, below
    train-00000-of-00008.tfrecord     tf.train.Example {"image": raw uint8 bytes, "label": int64}, all of one length
    validation-00000-of-00002.tfrecord
    test-00000-of-00002.tfrecord
    hashes.npy                        the hash of each picture, in the order of the shards (picture_hashes.py)
    quarantine.json                   {"total": n, "listed": [{"name", "reason"}, ...]}: unreadable pictures, and odd
                                      lines of a table of labels

The pictures of a split lie in a seeded random order, so that the first so many are a fair sample. At most MAX_FILES
in all, however big the data: object stores move files one at a time.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Literal

import pydantic

from components.core.errors import PipelineError
from components.core.files import read_json

MAX_FILES = 64
MAX_SHARDS = MAX_FILES - 3
INFO_FILE = "dataset.json"
UNEVEN = 1.5
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Shard(pydantic.BaseModel):
    """One TFRecord file of a split."""

    name: str
    count: int
    sha256: str


class SplitInfo(pydantic.BaseModel):
    """The pictures of one split: how many, how many of each class (in the order of class_names), and where."""

    count: int
    per_class: list[int]
    shards: list[Shard]


class DatasetInfo(pydantic.BaseModel):
    """What dataset.json says."""

    format_version: Literal[2] = 2
    dataset: str
    title: str = pydantic.Field("", description="what people call it; empty in earlier releases")
    image_shape: tuple[int, int, int] = pydantic.Field(description="height, width, channels")
    class_names: list[str]
    splits: dict[Split, SplitInfo]
    mean: list[float] = pydantic.Field(description="per channel, over the training split, of pixels scaled to [0, 1]")
    std: list[float] = pydantic.Field(description="per channel, over the training split, of pixels scaled to [0, 1]")
    seed: int = pydantic.Field(description="Seed of the pictures' order")
    split_seed: int = pydantic.Field(0, description="Seed of the splits, which it decides with the pictures' hashes")
    hashes_sha256: str = pydantic.Field(description="SHA-256 of hashes.npy")
    resized: int = pydantic.Field(0, description="pictures whose size was another than image_shape")
    quarantined: int = pydantic.Field(description="pictures that could not be read, and odd lines of labels")
    sizes: list[int] = pydantic.Field(
        [],
        description="pictures of the source by size (SIZE_EDGES of core/pictures/appearance.py); [] in old releases",
    )
    source_uri: str
    source_sha256: str
    resize: Literal["resize", "crop"] = pydantic.Field(
        "crop", description="how pictures of another size came to image_shape: stretched, or the middle cut out"
    )
    fingerprint: str = pydantic.Field(description="SHA-256 over shape, class names and every shard's SHA-256")

    @property
    def called(self) -> str:
        """Its name for people: a known data set's, or that of the user's own source."""
        return self.title or self.dataset


def uneven(pictures: Sequence[int]) -> bool:
    """Whether accuracy alone would hide how the rarer classes fare: the commonest has UNEVEN times the pictures."""
    return bool(pictures) and max(pictures) >= UNEVEN * min(pictures)


def fingerprint_of(image_shape: tuple[int, int, int], class_names: list[str], splits: Mapping[str, SplitInfo]) -> str:
    """SHA-256 of what a model can learn from: shape, class names, and every shard's split and SHA-256."""
    content = [
        list(image_shape),
        class_names,
        [[split, shard.sha256] for split in SPLITS if split in splits for shard in splits[split].shards],
    ]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode("ascii")).hexdigest()


def read_info(directory: str | pathlib.Path) -> DatasetInfo:
    """Reads and checks dataset.json, and that each shard it names is there.

    Raises:
        PipelineError: not a dataset artifact, another format version, or a shard is missing.
    """
    path = pathlib.Path(directory) / INFO_FILE
    info = read_json(DatasetInfo, path, "a dataset artifact", "run preprocess again (CACHE=0)")
    for split in info.splits.values():
        for shard in split.shards:
            if not path.with_name(shard.name).is_file():
                raise PipelineError(
                    f"expected the shard {shard.name} named in {path}, received none; run preprocess again (CACHE=0)"
                )
    return info
