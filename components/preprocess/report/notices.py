"""Likely mistakes in a data set, in sentences, for the person who can tell."""

import collections
from collections.abc import Callable

import numpy as np

from components.core.artifacts.dataset import Split
from components.core.pictures.values import NEARLY_BLACK
from components.core.wording import counted, listed
from components.preprocess.report.facts import DataFacts
from components.preprocess.report.tally import Tally
from components.preprocess.sources.names import same_name
from components.preprocess.sources.source import Source
from components.preprocess.splits import GIVEN

# The interval of a recall on 4 pictures is at least 49 points wide.
FEW_TESTED = 5
NAMED = 3
# Copies in one class and split do harm only if they are many.
MANY_COPIES = 0.05


def notices(source: Source, tally: Tally) -> list[str]:
    """Each is a sentence without its end."""
    alike = collections.defaultdict(list)
    for name in source.class_names:
        alike[same_name(name)].append(name)
    found = [
        f"{listed(names)} differ only in capital letters, spaces or a .0, but are {len(names)} classes"
        for names in alike.values()
        if len(names) > 1
    ]
    hashes = tally.hashes[tally.readable]
    if (copies := len(hashes) - len(np.unique(hashes))) >= MANY_COPIES * len(hashes):
        found.append(f"{copies:,} of {len(hashes):,} pictures are exact duplicates: check that nothing is there twice")
    if black := tally.changes[NEARLY_BLACK]:
        found.append(
            f"in {counted(black, 'picture')} of 16 bits no value is above 4,095: the model sees them nearly black; "
            "if they hold 12 bits, multiply them by 16"
        )
    return found


def scarce(facts: DataFacts, shown: Callable[[str], str] = str) -> list[str]:
    """Which classes have too few pictures in a split that measures, as sentences without their ends; `shown` makes text
    of a class's name."""
    found = []
    leasts: dict[Split, int] = {"test": FEW_TESTED, "validation": 1}
    for split, least in leasts.items():
        counts = facts.info.splits[split].per_class if split in facts.info.splits else []
        few = sorted((count, place) for place, count in enumerate(counts) if count < least)
        if not few or not any(counts):
            continue
        names = [(shown(facts.info.class_names[place]), count) for count, place in few[:NAMED]]
        if split == "test":
            said = f"fewer than {least} pictures of " + ", ".join(f"{name} ({count})" for name, count in names)
        else:
            said = "no picture of " + ", ".join(name for name, _ in names)
        more = f" and {len(few) - NAMED:,} more" if len(few) > NAMED else ""
        helps = "more pictures" if facts.chosen[split] == GIVEN else f"more pictures or a larger {split}_split"
        found.append(f"the {split} split has {said}{more}: too few to test a model on them; {helps} would help")
    return found
