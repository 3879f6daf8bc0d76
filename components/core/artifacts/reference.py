"""reference.json in an export and in a registry's version: what the model learned from looks like, and how it answers.

Counts, a few kilobytes whatever the data set; and a few training pictures of each class, and of each bin of what they
look like, reduced to about 3 kilobytes and without their names. export writes it; what answers new pictures compares
them with it (components/predict/drift).

    brightness, contrast, detail   of training pictures as the model sees them (core/pictures/appearance.py)
    size                           of all pictures of the data set in their source: the root of their pixels, as log2
    certainty                      of its answers to the test pictures, which it has not learned from
    classes                        how often it answered each class to them
"""

import pathlib
from typing import Literal

import numpy as np
import pydantic

from components.core.artifacts.served_model import EXTRAS
from components.core.files import read_json

REFERENCE_FILE = "reference.json"
# Below a version's directory, as a registry has it.
IN_VERSION = f"{EXTRAS}/{REFERENCE_FILE}"
BINS = 10
# Values are counted to this many digits, and bins end between two such values: another machine rounds the last bits of
# a float otherwise, and many values may be alike (a certainty of 1).
DIGITS = 4


class Histogram(pydantic.BaseModel):
    """How often a measure had which values: bin i counts edges[i - 1] <= value < edges[i]; first and last are open."""

    edges: list[float]
    counts: list[int]

    @property
    def total(self) -> int:
        """All that was counted."""
        return sum(self.counts)

    def count(self, values: np.ndarray) -> np.ndarray:
        """How many of the values [n] fall into each bin, int64."""
        return np.bincount(self.places(values), minlength=len(self.edges) + 1)

    def places(self, values: np.ndarray) -> np.ndarray:
        """The bin that each of the values [n] falls into, int64."""
        return np.searchsorted(self.edges, np.round(values.astype(np.float64), DIGITS), side="right")


class ReferencePicture(pydantic.BaseModel):
    """A training picture.

    Attributes:
        label: its class.
        looks: its brightness, contrast and detail.
        picture: as the model sees it, reduced (core/pictures/thumbnail.py).
    """

    label: int
    looks: dict[str, float]
    picture: str


class Reference(pydantic.BaseModel):
    """What reference.json says."""

    format_version: Literal[1] = 1
    measures: dict[str, Histogram]
    classes: list[int] = pydantic.Field(description="answers by class, in the order of the model's classes")
    examples: list[ReferencePicture] = []


def tenths(values: np.ndarray) -> Histogram:
    """A histogram whose bins hold a tenth of the values [n] each, as far as they differ, and two that hold none: what
    lies below and above them all."""
    rounded = np.round(values.astype(np.float64), DIGITS)
    inner = np.quantile(rounded, np.arange(1, BINS) / BINS, method="higher")
    step = 10.0**-DIGITS
    starts = np.unique([rounded.min(), *inner, rounded.max() + step])
    histogram = Histogram(edges=np.round(starts - step / 2, DIGITS + 2).tolist(), counts=[])
    return histogram.model_copy(update={"counts": histogram.count(values).tolist()})


def read_reference(path: pathlib.Path) -> Reference | None:
    """Reads the file; None if there is none, as with models of earlier releases.

    Raises:
        PipelineError: it says something else.
    """
    return read_json(Reference, path, "a model", "export it again") if path.exists() else None
