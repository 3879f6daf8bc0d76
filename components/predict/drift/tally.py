"""Counts pictures and answers in the reference's bins, and keeps the few that are least like it."""

import numpy as np
import pydantic

from components.core.artifacts.reference import Histogram, Reference
from components.core.page.pictures import SHOWN_PIXELS
from components.core.pictures.appearance import log_side, looks_of
from components.core.pictures.thumbnail import packed
from components.core.wording import printable
from components.predict.answering import Batch
from components.predict.drift.compare import CLASSES
from components.predict.source import Picture

ODD, LISTED = 3, 100


class Odd(pydantic.BaseModel):
    """A picture unlike the reference.

    Attributes:
        measure: in which it is the least like it.
        value: of that measure.
        distance: from the reference's middle, counted in the width of its middle eight tenths.
        png: the picture as the model sees it, reduced, in base64.
    """

    name: str
    measure: str
    value: float
    distance: float
    png: str


class Unreadable(pydantic.BaseModel):
    """A picture that could not be read, and why, in one line."""

    name: str
    reason: str


class Counts(pydantic.BaseModel):
    """What is known of some pictures. Counts of disjoint pictures add up.

    Attributes:
        measures: by measure, pictures in each of the reference's bins; under CLASSES answers by class. Empty if the
            model has no reference.
        odd: the few that are least like the reference, the least first.
        listed: the first of the unreadable ones.
    """

    pictures: int = 0
    unreadable: int = 0
    measures: dict[str, list[int]] = {}
    odd: list[Odd] = []
    listed: list[Unreadable] = []

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        names = {**self.measures, **other.measures}
        added = {name: np.add(self.measures.get(name, 0), other.measures.get(name, 0)).tolist() for name in names}
        return Counts(
            pictures=self.pictures + other.pictures,
            unreadable=self.unreadable + other.unreadable,
            measures=added,
            odd=sorted([*self.odd, *other.odd], key=lambda odd: -odd.distance)[:ODD],
            listed=[*self.listed, *other.listed][:LISTED],
        )


def counts_of(batch: Batch[Picture], reference: Reference | None) -> Counts:
    """What is known of a batch."""
    failed = [(item, reason) for item, reason in zip(batch.items, batch.reasons, strict=True) if reason]
    listed = [Unreadable(name=item.name, reason=printable(reason)) for item, reason in failed[:LISTED]]
    found = Counts(pictures=len(batch.items), unreadable=len(failed), listed=listed)
    if reference is None or not len(batch.pictures):
        return found
    values = {
        **looks_of(batch.pictures),
        "size": log_side(batch.heights, batch.widths),
        "certainty": batch.probabilities.max(axis=1),
    }
    known = {name: histogram for name, histogram in reference.measures.items() if name in values}
    measures = {name: histogram.count(values[name]).tolist() for name, histogram in known.items()}
    measures[CLASSES] = np.bincount(batch.probabilities.argmax(axis=1), minlength=len(reference.classes)).tolist()
    return found.model_copy(update={"measures": measures, "odd": _oddest(batch, values, known)})


def middle(histogram: Histogram) -> tuple[float, float]:
    """Where the reference's middle is, and the width of its middle eight tenths, as its bins tell them."""
    reached = np.cumsum(histogram.counts)[:-1] / max(histogram.total, 1)
    places = np.searchsorted(reached, [0.1, 0.5, 0.9]).clip(max=len(reached) - 1)
    ends = np.array(histogram.edges)
    low, half, high = ((ends[np.maximum(places - 1, 0)] + ends[places]) / 2).tolist()
    return half, max(high - low, float(np.diff(histogram.edges).min()), 1e-3)


def _oddest(batch: Batch[Picture], values: dict[str, np.ndarray], known: dict[str, Histogram]) -> list[Odd]:
    names = [name for name in known if name != "certainty"]  # a certain answer is not an odd picture
    middles = [middle(known[name]) for name in names]
    distances = np.stack(
        [np.abs(values[name] - half) / width for name, (half, width) in zip(names, middles, strict=True)]
    )
    worst, readable = distances.max(axis=0), batch.readable
    return [
        Odd(
            name=readable[place].name,
            measure=(measure := names[int(distances[:, place].argmax())]),
            value=float(values[measure][place]),
            distance=float(worst[place]),
            png=packed(batch.pictures[place], SHOWN_PIXELS),
        )
        for place in np.argsort(-worst, kind="stable")[:ODD].tolist()
    ]
