"""The facts behind the data report, which preprocess learns while it makes a data set.

Plain values and small arrays only, so that the report can be written, tested and restyled without the data.
"""

import dataclasses

import numpy as np

from components.core.artifacts.dataset import DatasetInfo, Split
from components.preprocess.sources.source import Quarantined


@dataclasses.dataclass(frozen=True)
class Duplicate:
    """One picture found, equal in every pixel, in more than one place: split or class.

    `places` is [(split, name in the source), ...], at most 10 of them; `picture` is uint8 [height, width, channels].
    """

    places: list[tuple[Split, str]]
    picture: np.ndarray


@dataclasses.dataclass(frozen=True)
class Repeated:
    """How many different pictures were found in more than one split, or class, and the first few of them."""

    count: int
    examples: list[Duplicate]


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """Everything the data report shows.

    Pictures are uint8 [height, width, channels], channels 1 or 3, as the model will see them, scaled down to at most
    160 pixels a side if they are larger.

    Attributes:
        info: what dataset.json says: shape, class names, counts of each class in each split, mean, std, source.
        samples: class name -> a few pictures of the training split, a seeded choice, of some classes if they are many.
        in_two_splits: pictures that occur in more than one.
        in_two_classes: the same.
        notices: what looks like a mistake, each a sentence without its end.
        quarantine: the first pictures that could not be read, and lines of labels that were odd (a capped list, as
            quarantine.json holds it).
        ignored: what else lay in the source and was left out, reason -> number of files, for instance
            {"not a picture by its extension: .txt": 3}.
        chosen: how the validation and the test split came about, for people: "the last 20 % of the training pictures".
        widths, heights: smallest, median and largest of the source's pictures, after EXIF rotation, before resizing.
        conversions: what had to be done to pictures, change -> number of pictures, for instance
            {"greyscale to RGB": 12, "resized": 9000}. Empty if every picture was taken as it is.
        seconds: wall time of the whole step up to the report.
        pictures_per_second: all pictures of the source over `seconds`.
    """

    info: DatasetInfo
    samples: dict[str, list[np.ndarray]]
    in_two_splits: Repeated
    in_two_classes: Repeated
    notices: list[str]
    quarantine: list[Quarantined]
    ignored: dict[str, int]
    chosen: dict[Split, str]
    widths: tuple[int, float, int]
    heights: tuple[int, float, int]
    conversions: dict[str, int]
    seconds: float
    pictures_per_second: float
