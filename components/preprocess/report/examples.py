"""Picks the few pictures a person looks at in the data report: samples, and what was found more than once."""

import numpy as np

from components.core.artifacts.dataset import SPLITS
from components.core.pictures.thumbnail import reduced
from components.preprocess.decoding import Pixels
from components.preprocess.report.facts import Duplicate, Repeated
from components.preprocess.sources.source import Source

SAMPLES_A_CLASS, SAMPLES = 10, 120  # 300 to 600 kB in all
DUPLICATES, MOST_PLACES = 12, 10
MAX_SIDE = 160


def samples(source: Source, order: np.ndarray, pixels: Pixels) -> dict[str, list[np.ndarray]]:
    """The first few training pictures of each class in the order they were written, which is a random one; of as many
    classes as fit, evenly spread."""
    names = source.class_names
    shown = range(0, len(names), -(-len(names) // SAMPLES))
    each = min(SAMPLES_A_CLASS, SAMPLES // len(shown))
    by_class = order[np.argsort(source.labels[order], kind="stable")]
    members = np.split(by_class, np.cumsum(np.bincount(source.labels[order], minlength=len(names)))[:-1])
    return {names[k]: [reduced(picture, MAX_SIDE) for picture in pixels[members[k][:each]]] for k in shown}


def duplicates(source: Source, hashes: np.ndarray, splits: np.ndarray, pixels: Pixels, apart: np.ndarray) -> Repeated:
    """The pictures of one hash that lie apart.

    Args:
        apart: int [n]: pictures lie apart if this differs, for instance their splits or their classes.
    """
    pictures = np.flatnonzero(splits >= 0)
    pictures = pictures[np.argsort(hashes[pictures], kind="stable")]
    sorted_hashes, lies = hashes[pictures], apart[pictures]
    starts = np.flatnonzero(np.concatenate([[True], sorted_hashes[1:] != sorted_hashes[:-1]]))
    mixed = np.minimum.reduceat(lies, starts) != np.maximum.reduceat(lies, starts)
    ends = np.append(starts[1:], len(pictures))
    groups = sorted(zip(pictures[starts[mixed]].tolist(), starts[mixed].tolist(), ends[mixed].tolist(), strict=True))
    shown = [
        Duplicate(
            places=[
                (SPLITS[splits[picture]], source.name(int(picture))) for picture in _spread(pictures[start:end], apart)
            ],
            picture=reduced(pixels[np.array([first])][0], MAX_SIDE),
        )
        for first, start, end in groups[:DUPLICATES]
    ]
    return Repeated(len(groups), shown)


def _spread(group: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """The first MOST_PLACES of a group, one of every kind among them."""
    _, leaders = np.unique(apart[group], return_index=True)
    others = np.delete(np.arange(len(group)), leaders)
    return group[np.sort(np.append(leaders, others)[:MOST_PLACES])]
