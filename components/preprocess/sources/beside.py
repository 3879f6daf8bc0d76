"""Labels that lie beside the pictures, a file each, as in WebDataset's shards: 0001.jpg, and 0001.cls or 0001.json.

https://github.com/webdataset/webdataset: what two files have in common is their name up to its first dot. A .cls holds
a class, as its number or its name; of a .json the field `label` counts. A shard whose own name says train, val or test
is of that split.
"""

import re
from collections.abc import Callable, Container, Iterator

from components.preprocess.sources.columns import LabelLine
from components.preprocess.sources.label_table import Lines, texts
from components.preprocess.sources.names import SPLIT_WORDS
from components.preprocess.sources.source import TRAIN

CLASS, FACTS = "cls", "json"
READ = (64 << 10) + 1  # bytes of a label file; one that has as many says nothing
LONGEST_CLASS = 200


def label_ending(name: str) -> str:
    """The ending of a file that may say what its neighbour's class is, by its name; empty of any other."""
    ending = _parts(name)[1]
    return ending if ending in (CLASS, FACTS) else ""


def telling_ending(there: Container[str], folders: int) -> str:
    """The ending, of those that are there, whose files tell the classes; empty if none do, as pictures in several
    folders with facts beside them are sorted into class folders."""
    if CLASS in there:
        return CLASS
    return FACTS if folders == 1 and FACTS in there else ""


class LabelsBeside:
    """What the label files of one source say, read as a table (label_table.py): a line for each picture, and for each
    file without one. 200 bytes a picture.

    Attributes:
        name: the source's own name, for people.
        names: gives those of all pictures.
        classes: what each file says, by its ending and by what its picture's name begins with; empty if nothing.
        ending: that of the files that tell the classes.
        split: the one that the source is called by.
    """

    def __init__(self, name: str, names: Callable[[], Iterator[str]]) -> None:
        self.name, self.names, self.ending = name, names, ""
        self.classes: dict[str, dict[str, str]] = {CLASS: {}, FACTS: {}}
        own = re.sub(r"^\w+://[^/]*$|.*/", "", name.lower())  # of a prefix without its bucket
        words = {SPLIT_WORDS[word] for word in re.findall(r"[a-z]+", own) if word in SPLIT_WORDS}
        self.split = words.pop() if len(words) == 1 else TRAIN

    def add(self, name: str, data: bytes) -> None:
        """Takes note of a label file, of which READ bytes are enough; the last of a name counts."""
        key, ending = _parts(name)
        self.classes[ending][key] = _said(ending, data) if len(data) < READ else ""

    def used(self, folders: int) -> str:
        """The ending of the label files that tell the classes; empty if none do."""
        said = {CLASS: bool(self.classes[CLASS]), FACTS: any(self.classes[FACTS].values())}
        self.ending = telling_ending([ending for ending in said if said[ending]], folders)
        return self.ending

    def lines(self, group_column: str = "") -> tuple[str, Lines]:
        """What was found, in words, and each picture's class; never a group."""
        return f"of each picture from the .{self.ending} beside it", self._lines

    def where(self, line: LabelLine) -> str:
        """The place of a line, for people."""
        return f"{self.name}: {line.path}"

    def _lines(self) -> Iterator[LabelLine]:
        classes = self.classes[self.ending]
        alone = set(classes)
        for number, name in enumerate(self.names(), start=1):
            key, ending = _parts(name)
            said = classes.get(key)
            alone.discard(key)
            if "." in ending or said is None:
                yield LabelLine(number, name, odd=f"no .{self.ending} beside it")
            elif not said:
                yield LabelLine(number, name, odd=f"no class in the .{self.ending} beside it")
            else:
                yield LabelLine(number, name, said, self.split)
        for key in sorted(alone):
            yield LabelLine(0, f"{key}.{self.ending}", odd="no picture beside it")


def _parts(name: str) -> tuple[str, str]:
    """`some/0001` and `jpg` of `some/0001.JPG`."""
    folder, slash, base = name.rpartition("/")
    key, _, ending = base.partition(".")
    return f"{folder}{slash}{key}", ending.lower()


def _said(ending: str, data: bytes) -> str:
    """The class that a label file names; empty if it names none."""
    text = data.decode("utf-8-sig", "surrogateescape").strip()
    if ending == FACTS:
        text = (texts(text) or {}).get("label", "")
    return text if text and len(text) <= LONGEST_CLASS and len(text.splitlines()) == 1 else ""
