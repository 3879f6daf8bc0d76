"""One source out of what was found in one place, or in several: which pictures, of which classes, in which splits."""

import collections
import os
import re
from collections.abc import Sequence

import numpy as np

from components.core.artifacts.dataset import SPLITS
from components.core.errors import PipelineError
from components.core.pictures.names import endings
from components.core.wording import listed, printable
from components.preprocess.sources.found import Found, Table
from components.preprocess.sources.labelled import Labels
from components.preprocess.sources.layout import Folder, depth_of_all, read_layout
from components.preprocess.sources.names import TABLE_ENDINGS, splits_named
from components.preprocess.sources.payloads import Several
from components.preprocess.sources.source import TRAIN, Source

ARCHIVE = re.compile(r"(\.(zip|tar|tgz|gz))+$", re.IGNORECASE)
UNSORTED = "not inside a class folder"
ENDINGS_TOLD = 12


def together(parts: Sequence[Found], table: Table | None = None, group_column: str = "") -> Source:
    """All pictures of all parts that have a class: by the table, else by tables in the parts, else by their folders.

    Folders above all pictures of a part count for nothing: `mine/cat` in one and `more/cat` in another are one class.

    Raises:
        PipelineError: as read_layout and Labels do, or only some of the parts hold a table.
    """
    labels = _labels(parts, table, group_column)
    for part, place in zip(parts, labels.places, strict=True):
        if (labels.labels[place] < 0).all():
            said = "".join(f" ({listed([where])}: {listed([why])})" for where, why in labels.odd_lines.first[:1])
            raise PipelineError(
                f"expected pictures of a class in each source, received none in {listed([part.called])}{said}; sort or "
                "label them, or leave it out"
            )
    class_names = labels.settle()
    left_out = np.concatenate([part.left_out for part in parts])
    kept = np.flatnonzero((labels.labels >= 0) & ~left_out)
    several = Several(tuple(part.payloads for part in parts))
    offsets = [several.offsets(number, np.frombuffer(part.offsets, np.int64)) for number, part in enumerate(parts)]
    starts = np.cumsum([0, *map(len, parts)])

    def name(picture: int) -> str:
        number = int(np.searchsorted(starts, kept[picture], side="right")) - 1
        place = int(kept[picture] - starts[number])
        inside = printable(next(parts[number].names(place, place + 1)))
        return inside if len(parts) == 1 else f"{parts[number].called}: {inside}"

    return Source(
        class_names=[printable(name) for name in class_names],
        labels=labels.labels[kept],
        given=labels.splits[kept],
        payloads=several,
        offsets=np.concatenate(offsets)[kept],
        sizes=np.concatenate([np.frombuffer(part.sizes, np.int64) for part in parts])[kept],
        shape=None,
        name=name,
        name_sums=np.concatenate([np.frombuffer(part.name_sums, np.uint32) for part in parts])[kept],
        groups=labels.groups[kept] if labels.groups.any() else None,
        ignored=_ignored(parts, labels, left_out),
        odd_lines=labels.odd_lines,
        notices=labels.told(),
    )


def _labels(parts: Sequence[Found], table: Table | None, group_column: str) -> Labels:
    """The pictures' labels: by the table, else by tables in the parts, else by their folders."""
    own = [(found, [part]) for part in parts if (found := part.table())]
    labels = Labels(parts, group_column=group_column)
    if table:
        labels.take(table, parts)
    elif own:
        if len(own) < len(parts):
            without = [part.called for part in parts if [part] not in [having for _, having in own]]
            raise PipelineError(
                f"expected a table of labels in each source or in none, received none in {listed(without)}; add one "
                "there, or give one for all by labels="
            )
        for found, having in own:
            labels.take(found, having)
    else:
        return _by_folders(parts)
    silent = [number for number, place in enumerate(labels.places) if not labels.splits[place].any()]
    if table and len(silent) < len(parts) or not silent:  # one that names splits names those of all its pictures
        return labels
    if called := _called_as_splits(parts):
        for number in silent:
            labels.splits[labels.places[number]] = called[number]
        labels.notices.append(_by_names(parts))
    else:
        for number in silent:
            _take_split_folders(labels, parts[number], labels.places[number])
    return labels


def _take_split_folders(labels: Labels, part: Found, pictures: slice) -> None:
    """Pictures that a table labels may lie in train/ and test/, at any depth, and are of those splits."""
    folders, paths = np.frombuffer(part.folders, np.int32), list(part.folder_numbers)
    labelled = [paths[number] for number in np.unique(folders[labels.labels[pictures] >= 0])]
    above = len(os.path.commonprefix(labelled))
    named = splits_named(sorted({name for path in labelled for name in path[above:]}))
    split_folders = {path: next((name for name in path[above:] if name in named), "") for path in paths}
    found = {split_folders[path] for path in labelled}
    if not {TRAIN} < {named[name] for name in found if name}:
        return
    if others := sorted("/".join(path) or "no folder" for path in labelled if not split_folders[path]):
        raise PipelineError(
            f"expected labelled pictures of {part.called} in folders of splits or in none, received some in "
            f"{listed(sorted(found - {''}))} and also in {listed(others)}; add a split column to the labels"
        )
    labels.splits[pictures] = np.array([named.get(split_folders[path], TRAIN) for path in paths], np.int8)[folders]
    labels.notices.append(f"splits are by the folders of {part.called}: {listed(sorted(found))}")


def _by_names(parts: Sequence[Found]) -> str:
    return f"splits are by the sources' names: {listed(_names(parts))}"


def _names(parts: Sequence[Found]) -> list[str]:
    """What tells the parts apart: their names, or those of folders above them, as in train/images and test/images."""
    paths = [ARCHIVE.sub("", part.place.rstrip("/")).split("/") for part in parts]
    while len({path[-1] for path in paths}) < 2 and all(len(path) > 1 for path in paths):
        paths = [path[:-1] for path in paths]
    return [path[-1] for path in paths]


def _ignored(parts: Sequence[Found], labels: Labels, left_out: np.ndarray) -> dict[str, int]:
    """What is left out of the source: how many files, by the reason."""
    ignored = sum((part.ignored for part in parts), collections.Counter())
    for part in parts:
        ignored.update({reason: int(mask.sum()) for reason, mask in part.out.items()})
    ignored[labels.unlabelled] = int(((labels.labels == -1) & ~left_out).sum())
    others = sum((part.others for part in parts), collections.Counter())
    for ending, count in others.most_common(ENDINGS_TOLD):
        ignored[f"not a picture by its extension: {printable(ending) or 'it has none'}"] = count
    ignored["no pictures by other endings"] = sum(count for _, count in others.most_common()[ENDINGS_TOLD:])
    return {reason: count for reason, count in sorted(ignored.items()) if count}


def _by_folders(parts: Sequence[Found]) -> Labels:
    """Class folders, of all parts as if they lay in one."""
    depths = _depths(parts) if len(parts) > 1 else [0]
    inside = (folder[depth:] for part, depth in zip(parts, depths, strict=True) for folder in part.pictures_in)
    tops = {folder[0] for folder in inside if folder}
    hold_splits = set(splits_named(sorted(tops))) == tops
    called = [] if hold_splits else _called_as_splits(parts)
    splits: list[Folder] = [(SPLITS[split],) for split in called] or [()] * len(parts)
    pictures_in: collections.Counter[Folder] = collections.Counter()
    others_in: dict[Folder, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for part, split, depth in zip(parts, splits, depths, strict=True):
        for folder, count in part.pictures_in.items():
            pictures_in[split + folder[depth:]] += count
            others_in[split + folder[depth:]].update(part.others_in[folder])
    layout = read_layout(pictures_in, others_in)
    labels = Labels(parts, unlabelled=UNSORTED)
    labels.class_numbers = {name: number for number, name in enumerate(layout.class_names)}
    labels.notices += layout.notices
    if called:
        labels.notices.append(_by_names(parts))
    for part, split, depth, place in zip(parts, splits, depths, labels.places, strict=True):
        places = [layout.places.get(split + folder[depth:], (-1, 0)) for folder in part.folder_numbers]
        of_folder, folders = np.array(places, np.int32).reshape(-1, 2), np.frombuffer(part.folders, np.int32)
        labels.labels[place], labels.splits[place] = of_folder[folders].T
    others = sum((part.others for part in parts), collections.Counter())
    tables = endings({ending: others[ending] for ending in TABLE_ENDINGS & others.keys()})
    if tables and not labels.splits.any():  # the same folders in each split are the classes
        labels.notices.append(
            f"classes are by folders, without a look at {tables}: if that names the classes, give it as labels=FILE"
        )
    return labels


def _called_as_splits(parts: Sequence[Found]) -> list[int]:
    """The split that each part is by its name; empty if they are not called so, as train.zip and test.zip are."""
    names = _names(parts)
    found = splits_named(sorted(set(names)))
    if not {TRAIN} < set(found.values()):
        return []
    if others := sorted(set(names) - set(found)):
        raise PipelineError(
            f"expected sources that are called as splits, or none of them, received {listed(sorted(found))} and also "
            f"{listed(others)}; pack what is in there with one of the splits, or rename all"
        )
    return [found[name] for name in names]


def _depths(parts: Sequence[Found]) -> list[int]:
    """How many folders lie above the classes of each part. If all its pictures are of one class and sorted further, as
    in cat/day and cat/night, only the classes of the other parts tell that cat is one."""
    depths = [depth_of_all(part.pictures_in) for part in parts]
    classes = [
        {folder[depth] for folder in part.pictures_in if len(folder) > depth}
        for part, depth in zip(parts, depths, strict=True)
    ]
    found = list(depths)
    held_by = collections.Counter(name for names in classes for name in names)
    for number, part in enumerate(parts):
        above = max(part.pictures_in, key=len)[: depths[number]]
        known = [place for place, name in enumerate(above) if held_by[name] > (name in classes[number])]
        if known and all(held_by[name] == 1 for name in classes[number]):
            found[number] = known[-1]
    return found
