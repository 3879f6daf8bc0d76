"""What looks like a mistake in a data set, in sentences, for the person who can tell."""

import collections
import unicodedata

from components.core.pictures.decode import NEARLY_BLACK
from components.core.wording import listed
from components.preprocess.report.tally import Tally
from components.preprocess.sources.source import Source


def notices(source: Source, tally: Tally) -> list[str]:
    """Each is a sentence without its end."""
    alike = collections.defaultdict(list)
    for name in source.class_names:
        alike[unicodedata.normalize("NFKC", name).casefold().strip()].append(name)
    found = [
        f"{listed(names)} differ in capital letters or spaces only, and are {len(names)} classes"
        for names in alike.values()
        if len(names) > 1
    ]
    if black := tally.changes[NEARLY_BLACK]:
        found.append(
            f"{black:,} pictures have 16 bits a value and no value above 4,095: the model sees them nearly black, and "
            "if they hold 12 bits, they should be multiplied by 16"
        )
    return found
