"""How accuracy changes with what the pictures look like: bands of brightness, contrast and detail.

Read from the pixels alone, so it is known for every data set; file sizes and folders are not in the dataset artifact.
Each property cuts the test pictures into bands of equal numbers, from the least to the most of it.
"""

from collections.abc import Iterable

import numpy as np

from components.core.artifacts.dataset_reading import MappedSplit
from components.core.pictures.appearance import LOOKS, looks_of
from components.evaluate.report.facts import Band, Slice

BANDS = 5
# A smaller band says nothing: at 30 pictures its 95 % interval is some 30 points wide.
LEAST_PICTURES = 30


def looks_of_all(batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """`looks_of` all pictures of (pictures, labels) batches."""
    found = [looks_of(pictures) for pictures, _ in batches]
    return {name: np.concatenate([part[name] for part in found]) for name in LOOKS}


def slices(looks: dict[str, np.ndarray], right: np.ndarray, split: MappedSplit) -> list[Slice]:
    """The bands of each property; one that all pictures have alike, or of too few pictures, is left out.

    Args:
        looks: what `looks_of` gives of the test pictures.
        right: bool [n], whether each was classified correctly.
        split: of these pictures.
    """

    def band(values: np.ndarray, inside: np.ndarray) -> Band:
        middle = np.argsort(values[inside], kind="stable")[len(inside) // 2]
        return Band(
            lower=float(values[inside].min()),
            upper=float(values[inside].max()),
            correct=int(right[inside].sum()),
            count=len(inside),
            example=split.pictures(inside[[middle]])[0],
        )

    cut = {name: bands(values) for name, values in looks.items()}
    return [
        Slice(name, LOOKS[name], [band(looks[name], inside) for inside in members])
        for name, members in cut.items()
        if len(members) > 1
    ]


def bands(values: np.ndarray) -> list[np.ndarray]:
    """Indices of the pictures of each band, the lowest values first; equal values are never in two bands."""
    number = min(BANDS, len(values) // LEAST_PICTURES)
    if number < 2:
        return []
    edges = np.unique(np.quantile(values, np.linspace(0, 1, number + 1)[1:-1], method="lower"))
    index = np.searchsorted(edges, values, side="left")
    return [np.flatnonzero(index == k) for k in range(len(edges) + 1) if (index == k).any()]
