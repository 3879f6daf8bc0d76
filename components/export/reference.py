"""What new pictures will be compared with: facts of the data set, and the model's answers to test pictures."""

import pathlib

import numpy as np

from components.core.artifacts.dataset import DatasetInfo, Split
from components.core.artifacts.dataset_reading import batches, split_count
from components.core.artifacts.reference import Histogram, Reference, tenths
from components.core.pictures.looks import LOOKS, SIZE_EDGES, looks_of

# Of so many training pictures, which lie in a random order: a tenth of them is known to 0.6 points.
PICTURES = 20_000
BATCH = 1000


def reference_of(dataset_path: str, info: DatasetInfo, evaluation_path: str) -> Reference:
    """The reference of the model that was evaluated on this data set.

    A data set without training pictures is described by its test pictures.
    """
    split: Split = "train" if split_count(info, "train") else "test"
    parts: list[dict[str, np.ndarray]] = []
    for pictures, _ in batches(dataset_path, info, split, BATCH):
        parts.append(looks_of(pictures))
        if len(parts) * BATCH >= PICTURES:
            break
    with np.load(pathlib.Path(evaluation_path) / "predictions.npz", allow_pickle=False) as predictions:
        probabilities = predictions["probabilities"]
    measures = {name: tenths(np.concatenate([part[name] for part in parts])) for name in LOOKS}
    if info.sizes:
        measures["size"] = Histogram(edges=SIZE_EDGES, counts=info.sizes)
    measures["certainty"] = tenths(probabilities.max(axis=1))
    classes = np.bincount(probabilities.argmax(axis=1), minlength=len(info.class_names))
    return Reference(measures=measures, classes=classes.tolist())
