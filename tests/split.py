"""A whole split of a data set at once; the product reads it in batches, or picture by picture."""

import pathlib

import numpy as np

from components.core.artifacts.dataset import DatasetInfo, Split
from components.core.artifacts.dataset_reading import MappedSplit


def load_split(directory: str | pathlib.Path, info: DatasetInfo, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """uint8 pictures [n, height, width, channels] and int64 labels [n], in the artifact's order."""
    found = MappedSplit(directory, info, split)
    return found.pictures(np.arange(len(found))), found.labels
