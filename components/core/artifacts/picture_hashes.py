"""Hashes of pictures: in a dataset artifact those of all pictures, in a model and an export those it learned from.

    hashes.npy   of a dataset: uint64 [n], the pictures of train, validation and test in the order of their shards; or
                 [2, n], and below each the number of its group, as all pictures of a patient or a burst have
    learned.npy  of a model or an export: uint64 [n], ascending, each once: every picture of train and validation, the
                 numbers of their groups, of which others may come, and what the model that it was started from has
                 learned from; missing if that one does not say

A hash is the first 8 bytes of a SHA-256 of the decoded picture (preprocess/identity.py), little-endian, and depends on
nothing else: not on the data set, its settings or seeds. So two models can be compared on pictures that neither has
learned from. The hashes of a million pictures take 8 MB.
"""

import pathlib
from typing import Any

import numpy as np

from components.core.artifacts.dataset import SPLITS, DatasetInfo, Split
from components.core.artifacts.dataset_reading import split_count
from components.core.errors import PipelineError
from components.core.files import sha256_of, whole_file

HASHES_FILE = "hashes.npy"
LEARNED_FILE = "learned.npy"


def write_hashes(path: pathlib.Path, hashes: np.ndarray) -> str:
    """Writes uint64 [n] or [2, n], and returns the file's SHA-256."""
    with whole_file(path) as partial, partial.open("wb") as file:
        np.save(file, hashes.astype("<u8"), allow_pickle=False)
    return sha256_of(path)


def read_hashes(path: pathlib.Path, rows: int = 1) -> np.ndarray:
    """Reads uint64 [n], or up to that many rows of it; raises ValueError or OSError for a file that is none."""
    try:
        hashes = np.load(path, allow_pickle=False)
    except EOFError as error:
        raise ValueError(error) from None
    if not 0 < hashes.ndim <= rows or hashes.dtype != np.dtype("<u8"):
        raise ValueError(f"{hashes.dtype} {hashes.shape} instead of one row of uint64")
    return hashes


def split_hashes(directory: str | pathlib.Path, info: DatasetInfo, split: Split, of_groups: bool = False) -> np.ndarray:
    """The hashes of a split's pictures, or the numbers of their groups, uint64 [n], in the order of its shards.

    Raises:
        PipelineError: the dataset artifact's hashes are missing, damaged, or not as many as pictures.
    """
    return _by_split(info, _hashes_and_groups(directory, info)[int(of_groups)])[SPLITS.index(split)]


def learned_in_test(directory: str | pathlib.Path, info: DatasetInfo, learned: np.ndarray) -> np.ndarray:
    """Which test pictures a model has learned from, or from others of their groups: bool [n].

    Raises:
        PipelineError: as split_hashes does.
    """
    hashes, groups = _hashes_and_groups(directory, info)
    known = np.append(learned, groups[np.isin(hashes, learned)])
    return _by_split(info, np.isin(groups, known))[SPLITS.index("test")]


def _hashes_and_groups(directory: str | pathlib.Path, info: DatasetInfo) -> np.ndarray:
    """Of all pictures, uint64 [2, n]; without groups each picture is one of its own."""
    path = pathlib.Path(directory) / HASHES_FILE
    try:
        found = sha256_of(path)
        if found != info.hashes_sha256:
            raise ValueError(f"sha256 {found} instead of {info.hashes_sha256}")
        hashes = np.atleast_2d(read_hashes(path, rows=2))
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"expected the pictures' hashes in {path}, received none that fit ({error}); run preprocess again (CACHE=0)"
        ) from None
    pictures = sum(split_count(info, name) for name in SPLITS)
    if hashes.shape[1] != pictures:
        raise PipelineError(
            f"expected {pictures:,} hashes in {path}, one a picture, received {hashes.shape[1]:,}; "
            "run preprocess again (CACHE=0)"
        )
    return hashes[[0, -1]]


def _by_split(info: DatasetInfo, of_all: np.ndarray) -> list[np.ndarray]:
    return np.split(of_all, np.cumsum([split_count(info, name) for name in SPLITS])[:-1])


def learned_hashes(directory: str | pathlib.Path, info: DatasetInfo) -> np.ndarray:
    """What a model that was trained on this data set has learned from: pictures and their groups, ascending, each once.

    Validation pictures among it: they chose the epoch that was kept.
    """
    every = _hashes_and_groups(directory, info)
    return np.unique(every[:, : every.shape[1] - split_count(info, "test")])


def copies_in_test(directory: str | pathlib.Path, info: DatasetInfo, learned: np.ndarray | None) -> int | None:
    """How many test pictures a model has learned from; None if nobody knows what it has."""
    return None if learned is None else int(np.isin(split_hashes(directory, info, "test"), learned).sum())


def model_learned(
    model_path: str | pathlib.Path, training: dict[str, Any], dataset_path: str, info: DatasetInfo
) -> np.ndarray | None:
    """What the model of a model artifact has learned from, ascending, each hash once.

    Args:
        training: what its training.json says.
        dataset_path: the data set that it was trained on.

    Returns:
        None if it was started from a model that does not say what it has learned from.

    Raises:
        PipelineError: the hashes can't be read.
    """
    own, file = learned_hashes(dataset_path, info), pathlib.Path(model_path) / LEARNED_FILE
    try:
        return np.union1d(own, read_hashes(file))
    except FileNotFoundError:
        return None if training.get("started_from") else own
    except (OSError, ValueError) as error:
        raise PipelineError(
            f"expected hashes of pictures in {file}, received {error}; run train again (CACHE=0)"
        ) from None
