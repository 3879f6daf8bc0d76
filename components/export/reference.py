"""What new pictures will be compared with: facts of the data set, and the model's answers to test pictures."""

import collections
from typing import Literal

import numpy as np

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.dataset_reading import batches
from components.core.artifacts.evaluation import read_probabilities
from components.core.artifacts.reference import DIGITS, Histogram, Reference, ReferencePicture, tenths
from components.core.pictures.appearance import LOOKS, SIZE_EDGES, looks_of
from components.core.pictures.thumbnail import packed

# So many training pictures, which lie in a random order, are looked at: a tenth of them is known to 0.6 points.
PICTURES = 20_000
# Training pictures that are shown for what is gone, of each class and of each bin; a few hundred kilobytes in all.
MOST_EXAMPLES = 300
EXAMPLE_SIDE = 96
SMALL = 32  # up to this side a picture is kept exactly


def reference_of(dataset_path: str, info: DatasetInfo, evaluation_path: str, examples: int = 0) -> Reference:
    """The reference of the model that was evaluated on this data set.

    Args:
        examples: how many training pictures it has of each class, and of each bin of what they look like.
    """
    parts: list[dict[str, np.ndarray]] = []
    labels: list[np.ndarray] = []
    for pictures, some in batches(dataset_path, info, "train"):
        parts.append(looks_of(pictures))
        labels.append(some)
        if sum(map(len, labels)) >= PICTURES:
            break
    probabilities = read_probabilities(evaluation_path)
    looks = {name: np.concatenate([part[name] for part in parts]) for name in LOOKS}
    measures = {name: tenths(values) for name, values in looks.items()}
    chosen = _chosen(np.concatenate(labels), looks, measures, examples)
    if info.sizes:
        measures["size"] = Histogram(edges=SIZE_EDGES, counts=info.sizes)
    measures["certainty"] = tenths(probabilities.max(axis=1))
    classes = np.bincount(probabilities.argmax(axis=1), minlength=len(info.class_names))
    return Reference(measures=measures, classes=classes.tolist(), examples=_examples(dataset_path, info, looks, chosen))


def _chosen(labels: np.ndarray, looks: dict[str, np.ndarray], measures: dict[str, Histogram], each: int) -> list[int]:
    """The first pictures, which lie in a random order, that a class or a bin has not enough of before them."""
    kinds = np.stack([labels, *(measures[name].places(values) for name, values in looks.items())], axis=1)
    taken: collections.Counter[tuple[int, int]] = collections.Counter()
    chosen: list[int] = []
    for picture, places in enumerate(kinds.tolist()):
        if any(taken[kind] < each for kind in enumerate(places)):
            chosen.append(picture)
            taken.update(enumerate(places))
    return chosen[:MOST_EXAMPLES]


def _examples(
    dataset_path: str, info: DatasetInfo, looks: dict[str, np.ndarray], chosen: list[int]
) -> list[ReferencePicture]:
    """The chosen training pictures."""
    found: list[ReferencePicture] = []
    kind: Literal["PNG", "JPEG"] = "PNG" if max(info.image_shape[:2]) <= SMALL else "JPEG"
    start = 0
    for pictures, labels in batches(dataset_path, info, "train") if chosen else ():
        found += [
            ReferencePicture(
                label=int(labels[place - start]),
                looks={name: round(float(values[place]), DIGITS) for name, values in looks.items()},
                picture=packed(pictures[place - start], EXAMPLE_SIDE, kind),
            )
            for place in chosen
            if start <= place < start + len(labels)
        ]
        start += len(labels)
        if len(found) == len(chosen):
            break
    return found
