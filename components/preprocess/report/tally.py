"""Counts pictures as they go by: 17 bytes a picture, whatever its size."""

import collections

import numpy as np

from components.core.artifacts.reference import Histogram
from components.core.errors import PipelineError
from components.core.pictures.appearance import SIZE_EDGES, log_side
from components.core.wording import listed, percent
from components.preprocess.chunks import Outcome
from components.preprocess.sources.source import LISTED, Quarantined, Source


class Tally:
    """Adds up the outcomes of all chunks.

    Attributes:
        readable: bool [n], which pictures of the source could be read.
        hashes: uint64 [n], of those.
        quarantined: how many could not.
    """

    def __init__(self, source: Source, max_unreadable: float):
        self.source, self.max_unreadable = source, max_unreadable
        count = len(source)
        self.done = self.quarantined = 0
        self.readable = np.zeros(count, bool)
        self.hashes = np.zeros(count, np.uint64)
        self.heights, self.widths = np.zeros(count, np.int32), np.zeros(count, np.int32)
        self.changes: collections.Counter[str] = collections.Counter()
        self.failures: list[tuple[int, str]] = []
        odd = source.odd_lines
        if odd.count and odd.count / odd.of > max_unreadable:  # 29 of 100 are 0.29, but 0.29 * 100 is less than 29
            where, why = odd.first[0]
            raise PipelineError(
                f"expected at most {percent(max_unreadable)} of {odd.of:,} lines of labels to be odd (max_unreadable), "
                f"received {odd.count:,}, for instance {listed([where])} ({listed([why])}); repair or remove them, or "
                "raise max_unreadable"
            )

    def add(self, pictures: np.ndarray, outcome: Outcome) -> None:
        """Adds one chunk's outcome; `pictures` are its places in the source.

        Raises:
            PipelineError: more pictures are unreadable than allowed.
        """
        read = pictures[outcome.readable]
        self.readable[read] = True
        self.hashes[read], self.heights[read], self.widths[read] = outcome.hashes, outcome.heights, outcome.widths
        self.changes.update(outcome.changes)
        self.done += len(pictures)
        self.quarantined += len(outcome.failures)
        room = LISTED - len(self.failures)
        self.failures += [(int(pictures[place]), reason) for place, reason in outcome.failures[:room]]
        if self.quarantined / len(self.source) > self.max_unreadable:
            picture, reason = self.failures[0]
            raise PipelineError(
                f"expected at most {percent(self.max_unreadable)} of {len(self.source):,} pictures to be unreadable "
                f"(max_unreadable), received {self.quarantined:,} in the first {self.done:,}, for instance "
                f"{listed([self.source.name(picture)])} ({listed([reason])}); repair or remove them, or raise "
                "max_unreadable"
            )

    def quarantine(self) -> list[Quarantined]:
        """The first LISTED odd lines of labels, and as many unreadable pictures."""
        unreadable = [Quarantined(self.source.name(picture), reason) for picture, reason in self.failures]
        return self.source.odd_lines.first + unreadable

    @property
    def left_out(self) -> int:
        """Unreadable pictures and odd lines of labels."""
        return self.quarantined + self.source.odd_lines.count

    @property
    def resized(self) -> int:
        """Pictures whose size was another than the target's."""
        return self.changes["resized"] + self.changes["resized and cropped"]

    def sizes(self) -> list[int]:
        """How many readable pictures have which size (core/pictures/appearance.py)."""
        found = log_side(self.heights[self.readable], self.widths[self.readable])
        return Histogram(edges=SIZE_EDGES, counts=[]).count(found).tolist()

    def smallest_median_largest(self, sides: np.ndarray) -> tuple[int, float, int]:
        """Of `heights` or `widths`, without those that could not be read."""
        read = sides[self.readable]
        return int(read.min()), float(np.median(read)), int(read.max())
