"""The names of tables of labels, and the words by which a folder is a split."""

import re
import unicodedata
from collections.abc import Sequence

from components.preprocess.sources.source import TEST, TRAIN, VALIDATION

# What a table of labels is called that lies beside its pictures.
TABLES = {"labels.csv", "labels.tsv", "labels.jsonl", "labels.manifest"}
# How what may be one ends that is called otherwise.
TABLE_ENDINGS = {".csv", ".tsv", ".jsonl", ".manifest", ".xlsx", ".parquet"}
SPLIT_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "validate": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "eval": TEST,
    "evaluation": TEST,
}
# What may stand beside such a word, or be written in one with it: train_images, Test Set, trainset.
BESIDE = {"set", "data", "dataset", "images", "image", "imgs", "img", "pictures", "photos", "split", "folder"}
IN_ONE = re.compile(f"(?<![a-z])({'|'.join(SPLIT_WORDS)})({'|'.join(sorted(BESIDE))})(?![a-z])")


def is_table(name: str) -> bool:
    """Whether a file may be a table of labels, by its name."""
    return name.rpartition("/")[2].lower() in TABLES


def same_name(name: str) -> str:
    """What is equal of two names that differ in capital letters, blanks around them or a .0 alone."""
    return unicodedata.normalize("NFKC", name).casefold().strip().removesuffix(".0")


def splits_named(folders: Sequence[str]) -> dict[str, int]:
    """The split that each folder is by its name, of those that are one: train, Testing, val_images, seg_train.

    Other words count if they stand beside the split in all of them, as in seg_train and seg_test. Beside invalid, and
    without train, valid is none.
    """
    found = {}
    for folder in folders:
        words = re.findall(r"[a-z]+", IN_ONE.sub(r"\1 \2", folder.lower()))
        others = [word for word in words if word not in SPLIT_WORDS and word not in BESIDE]
        if len(named := [word for word in words if word in SPLIT_WORDS]) == 1:
            found[folder] = SPLIT_WORDS[named[0]], others
    shared = [others for _, others in found.values()]
    alike = len(shared) > 1 and all(others == shared[0] for others in shared)
    splits = {folder: split for folder, (split, others) in found.items() if alike or not others}
    if TRAIN not in splits.values() and any("invalid" in folder.lower() for folder in folders):
        return {folder: split for folder, split in splits.items() if "valid" not in folder.lower()}
    return splits
