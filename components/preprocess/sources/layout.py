"""Reads the folders of a picture archive: which are classes, which are splits."""

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping

from components.core.artifacts.dataset import SPLITS
from components.core.errors import PipelineError
from components.core.pictures.names import endings
from components.core.wording import listed
from components.preprocess.sources.names import SPLIT_WORDS, splits_named
from components.preprocess.sources.source import TRAIN

Folder = tuple[str, ...]
# A folder's split, and its path from the class on.
Placed = tuple[int, Folder]

TO_LABEL = "sort them into one folder a class, or name their classes in a table: labels.csv beside them, or labels=FILE"


@dataclasses.dataclass(frozen=True)
class Layout:
    """Class names in alphabetical order, and for each folder of pictures its (label, split).

    Pictures in folders that are not in `places` belong to no class. `notices` are what looks like a mistake, each a
    sentence without its end.
    """

    class_names: list[str]
    places: dict[Folder, tuple[int, int]]
    notices: list[str] = dataclasses.field(default_factory=list)


def read_layout(pictures: Mapping[Folder, int], others: Mapping[Folder, dict[str, int]]) -> Layout:
    """Understands `class/...`, `split/class/...` and `class/split/...`, with or without folders above all of it.

    A split folder is one by its name (names.py). Other folders inside a class folder belong to the class.

    Args:
        pictures: for every folder of the archive, as its path's parts, the pictures directly in it.
        others: for every folder the files in it that are no pictures, by their endings.

    Raises:
        PipelineError: one class only, a class without pictures, classes that differ from split to split, splits beside
            classes, two folders for one split, classes that lie once more inside another, no training pictures.
    """
    folders = _with_pictures(pictures)
    depth = _common_depth(folders)
    place = _understood([folder[depth:] for folder in folders if len(folder) > depth])
    placed = {folder: at for folder in pictures if (at := place(folder[depth:]))}
    filled = {folder: at for folder, at in placed.items() if pictures[folder]}
    for given in range(len(SPLITS)):
        _refuse_once_more_inside(_inside(path for split, path in filled.values() if split == given))
    classes = {folder: (split, path[0]) for folder, (split, path) in placed.items()}
    _refuse_empty(classes, {classes[folder] for folder in filled}, others)
    class_names = _agreed_classes(set(classes.values()))
    labels = {name: label for label, name in enumerate(class_names)}
    loose = sorted("/".join(folder) for folder, count in pictures.items() if folder and count and folder not in filled)
    return Layout(
        class_names,
        {folder: (labels[path[0]], split) for folder, (split, path) in filled.items()},
        [
            *_alike_inside(_inside(path for _, path in filled.values())),
            *(
                f"{listed([name])} is a class here: if it is a split, or has no labels, take it out"
                for name, split in splits_named(class_names).items()
                if split != TRAIN  # which may be a vehicle
            ),
            *([f"pictures directly in {listed(loose)} are of no class, and left out"] if loose else []),
        ],
    )


def depth_of_all(pictures: Mapping[Folder, int]) -> int:
    """How many folders lie above all pictures, and are neither class nor split."""
    return _common_depth(_with_pictures(pictures))


def _with_pictures(pictures: Mapping[Folder, int]) -> list[Folder]:
    """The folders that hold pictures, and the empty ones that hold no others either."""
    above = {folder[:depth] for folder in pictures for depth in range(len(folder))}
    return [folder for folder, count in pictures.items() if count or folder not in above]


def _common_depth(folders: list[Folder]) -> int:
    """How many folders lie above all pictures: `photos/` in photos/cat, photos/dog.

    A split is not one, unless it holds splits: Training/Training/cat, Training/Testing/cat.
    """
    depth = 0
    while len({folder[depth : depth + 1] for folder in folders}) == 1 and any(len(f) > depth + 1 for f in folders):
        below = {folder[depth + 1] for folder in folders if len(folder) > depth + 1}
        holds_splits = len(below) > 1 and below == set(splits_named(sorted(below)))
        if folders[0][depth].lower() in SPLIT_WORDS and not holds_splits:
            break
        depth += 1
    return depth


def _understood(folders: list[Folder]) -> Callable[[Folder], Placed | None]:
    """What tells where a folder belongs; that gives None for one above the classes."""
    if splits := _splits_on_top(folders):
        above = {top: 2 if _lies_in_its_own_name(top, folders) else 1 for top in splits}
        return lambda folder: (splits[folder[0]], path) if folder and (path := folder[above[folder[0]] :]) else None
    if within := _splits_within(folders):
        return lambda folder: (within[folder[1]], folder[:1] + folder[2:]) if len(folder) > 1 else None
    return lambda folder: (TRAIN, folder) if folder else None


def _splits_on_top(folders: list[Folder]) -> dict[str, int]:
    """The topmost folders, if they are splits; empty if they are classes."""
    tops = sorted({folder[0] for folder in folders})
    splits = splits_named(tops)
    with_classes = {folder[0] for folder in folders if len(folder) > 1} & set(splits)
    if set(splits) == set(tops) and with_classes:
        for split, name in enumerate(SPLITS):
            same = [folder for folder, found in splits.items() if found == split]
            if len(same) > 1:
                raise PipelineError(
                    f"expected one folder for each split, received {listed(same)}, which all mean {name}; "
                    "rename or remove the others"
                )
        return splits
    if splits and set(splits) == set(tops):
        raise PipelineError(
            f"expected class folders inside {listed(tops)}, received pictures directly in there; {TO_LABEL}"
        )
    if with_classes:
        raise PipelineError(
            f"expected either class folders or train and test folders, received both: {listed(tops)}; "
            "move what is no split out of there"
        )
    return {}


def _splits_within(folders: list[Folder]) -> dict[str, int]:
    """The splits inside the class folders, if those hold splits and nothing else, training pictures among them."""
    every = {"".join(folder[1:2]) for folder in folders}
    splits = splits_named(sorted({name for folder in folders for name in folder[1:]}))
    if every <= set(splits) and TRAIN in {splits[name] for name in every}:
        return splits
    below: dict[str, set[int]] = collections.defaultdict(set)
    for folder in folders:
        below[folder[0]].update(splits[name] for name in folder[1:] if name in splits)
    if some := [name for name, found in sorted(below.items()) if {TRAIN} < found]:
        others = sorted({"/".join(folder[:2]) for folder in folders if not splits.keys() & folder[1:]})
        raise PipelineError(
            "expected train and test folders above all class folders, or in each with nothing beside them, received "
            f"them {'' if others else 'deeper '}in {listed(some)}"
            f"{f' and something else in {listed(others)}' if others else ''}; sort all of them alike"
        )
    return {}


def _lies_in_its_own_name(top: str, folders: list[Folder]) -> bool:
    """Whether all that is in a split folder lies in one folder of the same name, as in seg_train/seg_train/cat."""
    inside = [folder[1:] for folder in folders if folder[0] == top]
    return {"".join(path[:1]).lower() for path in inside} == {top.lower()} and any(len(path) > 1 for path in inside)


def _inside(paths: Iterable[Folder]) -> dict[str, set[str]]:
    """The folders in each class folder; an empty name stands for pictures directly in there."""
    inside: dict[str, set[str]] = collections.defaultdict(set)
    for path in paths:
        inside[path[0]].add(path[1] if len(path) > 1 else "")
    return inside


def _refuse_once_more_inside(inside: Mapping[str, set[str]]) -> None:
    """Refuses classes that lie once more inside another, as in cat, dog, photos/cat and photos/dog: it is none."""
    classes = set(inside)
    again = {name: (within & classes) - {name} for name, within in sorted(inside.items())}
    holding = [name for name, others in again.items() if len(others) > 1]
    rest = classes.difference(holding)
    for name in holding:
        if inside[name] <= classes or rest <= inside[name]:
            raise PipelineError(
                f"expected class folders, received {listed(sorted(classes))}, of which {listed([name])} holds "
                f"{listed(sorted(again[name]))} once more; remove one of the two"
            )


def _alike_inside(inside: Mapping[str, set[str]]) -> list[str]:
    """The notice that each class holds folders that another holds too, as fold1/cat, fold1/dog, fold2/cat do."""
    held_by = collections.Counter(name for found in inside.values() for name in found)
    again = {name for name, count in held_by.items() if count > 1}
    if len(held_by) < 2 or "" in held_by or not all(found & again for found in inside.values()):
        return []
    return [
        f"the classes are {listed(sorted(inside))}, and each holds folders that others hold too, such as "
        f"{listed(sorted(again))}: if those are the classes, or not all of them are to be learned from, sort them "
        "otherwise"
    ]


def _refuse_empty(
    classes: Mapping[Folder, tuple[int, str]], filled: set[tuple[int, str]], others: Mapping[Folder, dict[str, int]]
) -> None:
    """Refuses classes without pictures, and says what the first of them holds."""
    empty = sorted(set(classes.values()) - filled)
    if not empty:
        return
    several = len({split for split, _ in classes.values()}) > 1
    shown = [f"{SPLITS[split]}/{name}" if several else name for split, name in empty]
    first = [others.get(folder, {}) for folder, at in classes.items() if at == empty[0]]
    held = endings(sum(map(collections.Counter, first), collections.Counter()))
    raise PipelineError(
        f"expected pictures in every class folder, received none in {listed(shown)}"
        f"{f' but {held}' if held else ''}; fill or remove the folder"
        f"{', or convert the files to .jpg or .png' if held else ''}"
    )


def _agreed_classes(found: set[tuple[int, str]]) -> list[str]:
    """The classes in alphabetical order, which are the same in every split."""
    if not found:
        raise PipelineError(
            f"expected one folder of pictures a class, received pictures outside of any folder; {TO_LABEL}"
        )
    classes = {given: {name for split, name in found if split == given} for given in sorted({at[0] for at in found})}
    if TRAIN not in classes:
        raise PipelineError(
            f"expected a train folder, received only {listed([SPLITS[split] for split in classes])}; "
            "rename the folder that holds the training pictures to train"
        )
    for split, names in classes.items():
        sides = {"train": classes[TRAIN] - names, SPLITS[split]: names - classes[TRAIN]}
        if differences := [f"only in {side}: {listed(sorted(only))}" for side, only in sides.items() if only]:
            raise PipelineError(
                f"expected the same classes in train and {SPLITS[split]}, received {'; '.join(differences)}; "
                "add or remove those folders"
            )
    if len(classes[TRAIN]) < 2:
        raise PipelineError(
            f"expected at least two classes, received one: {listed(sorted(classes[TRAIN]))}; {TO_LABEL}"
        )
    return sorted(classes[TRAIN])
