"""What the folders of a picture archive mean: which are classes, which are splits."""

import dataclasses
from collections.abc import Mapping

from components.core.errors import PipelineError
from components.preprocess.report.wording import listed
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION

SPLIT_FOLDERS = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "test": TEST}
SPLIT_NAMES = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
Folder = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """Class names in alphabetical order, and for each folder of pictures its (label, split).

    Pictures in folders that are not in `places` belong to no class.
    """

    class_names: list[str]
    places: dict[Folder, tuple[int, int]]


def read_layout(pictures: Mapping[Folder, int]) -> Layout:
    """Understands `class/...` and `train|test|validation/class/...`, with or without folders above all of it.

    Folders inside a class folder belong to the class.

    Args:
        pictures: for every folder of the archive, as its path's parts, the pictures directly in it.

    Raises:
        PipelineError: one class only, a class without pictures, classes that differ from split to split, splits beside
            classes, no training pictures.
    """
    above = {folder[:depth] for folder in pictures for depth in range(len(folder))}
    folders = {folder: count for folder, count in pictures.items() if count or folder not in above}
    depth = _common_depth(list(folders))
    folders = {folder[depth:]: count for folder, count in folders.items() if len(folder) > depth}
    level = _split_level(list(folders))
    found: dict[tuple[int, str], int] = {}
    for folder, count in folders.items():
        if len(folder) > level:
            split = SPLIT_FOLDERS[folder[0].lower()] if level else TRAIN
            found[split, folder[level]] = found.get((split, folder[level]), 0) + count
    class_names = _agreed_classes(found)
    labels = {name: label for label, name in enumerate(class_names)}
    places = {}
    for folder in pictures:
        inner = folder[depth:]
        if len(inner) > level and pictures[folder]:
            places[folder] = labels[inner[level]], SPLIT_FOLDERS[inner[0].lower()] if level else TRAIN
    return Layout(class_names, places)


def _common_depth(folders: list[Folder]) -> int:
    """How many folders lie above all pictures: `photos/` in photos/cat, photos/dog. A split's name is not one."""
    depth = 0
    while (
        len({folder[depth : depth + 1] for folder in folders}) == 1
        and any(len(folder) > depth + 1 for folder in folders)
        and folders[0][depth].lower() not in SPLIT_FOLDERS
    ):
        depth += 1
    return depth


def _split_level(folders: list[Folder]) -> int:
    """1 where the topmost folders are splits, 0 where they are classes."""
    tops = {folder[0] for folder in folders}
    splits = {top for top in tops if top.lower() in SPLIT_FOLDERS}
    with_classes = {folder[0] for folder in folders if len(folder) > 1} & splits
    if splits == tops and with_classes:
        return 1
    if splits == tops and splits:
        raise PipelineError(
            f"expected class folders inside {listed(sorted(splits))}, received pictures directly in there; "
            "sort them into one folder a class"
        )
    if with_classes:
        raise PipelineError(
            f"expected either class folders or train and test folders, received both: {listed(sorted(tops))}; "
            "move what is no split out of there"
        )
    return 0


def _agreed_classes(found: Mapping[tuple[int, str], int]) -> list[str]:
    empty = sorted(f"{SPLIT_NAMES[split]}/{name}" for (split, name), count in found.items() if not count)
    given = sorted({split for split, _ in found})
    if empty:
        shown = empty if len(given) > 1 else [name.partition("/")[2] for name in empty]
        raise PipelineError(
            f"expected pictures in every class folder, received none in {listed(shown)}; fill or remove the folder"
        )
    classes = {split: {name for at, name in found if at == split} for split in given}
    if not found:
        raise PipelineError(
            "expected one folder of pictures a class, received pictures outside of any folder; "
            "sort them into one folder a class"
        )
    if TRAIN not in classes:
        raise PipelineError(
            f"expected a train folder, received only {listed([SPLIT_NAMES[split] for split in given])}; "
            "rename the folder that holds the training pictures to train"
        )
    for split in given:
        missing, extra = sorted(classes[TRAIN] - classes[split]), sorted(classes[split] - classes[TRAIN])
        if missing or extra:
            differences = [f"only in train: {listed(missing)}"] if missing else []
            differences += [f"only in {SPLIT_NAMES[split]}: {listed(extra)}"] if extra else []
            raise PipelineError(
                f"expected the same classes in train and {SPLIT_NAMES[split]}, received {'; '.join(differences)}; "
                "add or remove those folders"
            )
    if len(classes[TRAIN]) < 2:
        raise PipelineError(
            f"expected at least two classes, received one: {listed(sorted(classes[TRAIN]))}; "
            "a classifier needs one folder of pictures a class"
        )
    return sorted(classes[TRAIN])
