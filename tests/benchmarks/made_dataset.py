"""What dataset.json says of a dataset artifact that a benchmark made."""

import pathlib

import numpy as np

from components.core.artifacts.dataset import INFO_FILE, DatasetInfo, SplitInfo
from components.core.artifacts.picture_hashes import HASHES_FILE, write_hashes


def write_info(
    directory: pathlib.Path, shape: tuple[int, int, int], classes: int, splits: dict[str, SplitInfo]
) -> None:
    """Writes it beside the shards, which are there already."""
    info = DatasetInfo(
        dataset="bench",
        image_shape=shape,
        class_names=[str(number) for number in range(classes)],
        splits=splits,
        mean=[0.5] * 3,
        std=[0.25] * 3,
        seed=0,
        split_seed=0,
        hashes_sha256=write_hashes(directory / HASHES_FILE, np.arange(sum(split.count for split in splits.values()))),
        resized=0,
        quarantined=0,
        source_uri="",
        source_sha256="",
        fingerprint="",
    )
    (directory / INFO_FILE).write_text(info.model_dump_json())
