"""Dataset artifacts of pictures in memory: written as preprocess writes them, and read a whole split at once."""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from components.core.artifacts.dataset import INFO_FILE, DatasetInfo, Shard, Split, SplitInfo
from components.core.artifacts.dataset_reading import MappedSplit
from components.core.artifacts.picture_hashes import HASHES_FILE, write_hashes
from components.core.artifacts.tfrecord import RecordWriter, record

# uint8 pictures [n, height, width, channels] and labels [n] by split.
Pictures = Mapping[str, tuple[np.ndarray, np.ndarray]]


def write_dataset(
    directory: pathlib.Path, splits: Pictures, class_count: int = 10, shard_count: int = 1, **said: Any
) -> pathlib.Path:
    """Writes a dataset artifact; `said` as in write_info."""
    directory.mkdir(parents=True)
    written = {name: write_split(directory, name, *split, class_count, shard_count) for name, split in splits.items()}
    write_info(directory, splits["train"][0].shape[1:], class_count, written, **said)
    return directory


def write_split(
    directory: pathlib.Path, name: str, images: np.ndarray, labels: np.ndarray, class_count: int, shard_count: int = 1
) -> SplitInfo:
    """Writes the shards of one split."""
    shards = []
    for number, chosen in enumerate(np.array_split(np.arange(len(labels)), shard_count)):
        with (directory / f"{name}-{number:05d}-of-{shard_count:05d}.tfrecord").open("wb") as file:
            writer = RecordWriter(file)
            for index in chosen:
                writer.append(record(images[index].tobytes(), int(labels[index])))
        shards.append(Shard(name=pathlib.Path(file.name).name, count=writer.count, sha256=writer.digest.hexdigest()))
    return SplitInfo(count=len(labels), per_class=np.bincount(labels, minlength=class_count).tolist(), shards=shards)


def write_info(
    directory: pathlib.Path,
    shape: tuple[int, ...],
    class_count: int,
    splits: Mapping[str, SplitInfo],
    hashes: np.ndarray | None = None,
    **said: Any,
) -> None:
    """Writes dataset.json, beside the shards.

    Args:
        hashes: of all pictures; else they are counted.
        said: what it says otherwise than here.
    """
    usual = {
        "dataset": "tiny",
        "title": "tiny pictures",
        "class_names": [f"class {number}" for number in range(class_count)],
        "mean": [0.5] * shape[2],
        "std": [0.25] * shape[2],
        "seed": 0,
        "quarantined": 0,
        "source_uri": "file:///tiny",
        "source_sha256": "0" * 64,
        "fingerprint": "1" * 64,
    }
    if hashes is None:
        hashes = np.arange(sum(split.count for split in splits.values()))
    usual["hashes_sha256"] = write_hashes(directory / HASHES_FILE, hashes)
    info = DatasetInfo(image_shape=shape, splits=splits, **usual | said)
    (directory / INFO_FILE).write_text(info.model_dump_json(), encoding="utf-8")


def altered(artifact: str | pathlib.Path, copy: pathlib.Path, file: str = INFO_FILE, **changes: Any) -> str:
    """The path of a copy of an artifact, with other entries in one of its JSON files."""
    shutil.copytree(artifact, copy)
    (copy / file).write_text(json.dumps(json.loads((copy / file).read_text()) | changes))
    return str(copy)


def load_split(directory: str | pathlib.Path, info: DatasetInfo, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """uint8 pictures [n, height, width, channels] and int64 labels [n], in the artifact's order."""
    found = MappedSplit(directory, info, split)
    return found.pictures(np.arange(len(found))), found.labels
