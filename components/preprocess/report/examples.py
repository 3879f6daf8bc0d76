"""Picks the few pictures a person looks at in the data report: samples, and what lies in more than one split."""

import math

import numpy as np
from PIL import Image

from components.core.artifacts.dataset import SPLITS
from components.core.pictures.decode import Target, quiet_pillow
from components.preprocess.chunks import open_picture
from components.preprocess.report.facts import Duplicate
from components.preprocess.report.tally import Tally
from components.preprocess.sources.source import Source

SAMPLES_A_CLASS, SAMPLES = 10, 1000
DUPLICATES, PLACES = 12, 10
MAX_SIDE = 160


def samples(source: Source, order: np.ndarray, tally: Tally, target: Target) -> dict[str, list[np.ndarray]]:
    """For each class the first few training pictures in the order they were written, which is a random one.

    Ten a class, fewer where there are more than a hundred classes.
    """
    wanted = max(1, min(SAMPLES_A_CLASS, SAMPLES // len(source.class_names)))
    order = order[tally.readable[order]]
    by_class = order[np.argsort(source.labels[order], kind="stable")]
    ends = np.cumsum(np.bincount(source.labels[order], minlength=len(source.class_names)))
    return {
        name: [small_picture(source, int(picture), target) for picture in members[:wanted]]
        for name, members in zip(source.class_names, np.split(by_class, ends[:-1]), strict=True)
    }


def duplicates(source: Source, splits: np.ndarray, tally: Tally, target: Target) -> tuple[int, list[Duplicate]]:
    """How many different pictures lie in more than one split, equal in every pixel, and the first few of them."""
    pictures = np.flatnonzero(tally.readable)
    pictures = pictures[np.argsort(tally.hashes[pictures], kind="stable")]
    hashes, lies_in = tally.hashes[pictures], splits[pictures]
    starts = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1]]))
    mixed = np.minimum.reduceat(lies_in, starts) != np.maximum.reduceat(lies_in, starts)
    ends = np.append(starts[1:], len(pictures))
    groups = sorted(zip(pictures[starts[mixed]].tolist(), starts[mixed].tolist(), ends[mixed].tolist(), strict=True))
    shown = [
        Duplicate(
            places=[
                (SPLITS[splits[picture]], source.name(int(picture))) for picture in _spread(pictures[start:end], splits)
            ],
            picture=small_picture(source, first, target),
        )
        for first, start, end in groups[:DUPLICATES]
    ]
    return len(groups), shown


def _spread(group: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """The first PLACES of a group, those of every split among them."""
    leaders = [int(group[splits[group] == split][0]) for split in np.unique(splits[group])]
    others = [picture for picture in group.tolist() if picture not in leaders]
    return np.sort(leaders + others[: PLACES - len(leaders)])


def small_picture(source: Source, picture: int, target: Target) -> np.ndarray:
    """A picture as the model will see it, uint8 [height, width, channels], at most MAX_SIDE pixels a side."""
    with quiet_pillow(), source.path.open("rb", buffering=0) as file:
        decoded = open_picture(file, int(source.offsets[picture]), int(source.sizes[picture]), source.shape, target)
    image = Image.frombytes(target.mode, (target.width, target.height), decoded.pixels)
    scale = MAX_SIDE / max(image.size)
    if scale < 1:
        image = image.resize([max(1, math.floor(side * scale)) for side in image.size], Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(image.height, image.width, target.channels)
