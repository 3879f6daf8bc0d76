"""Which pictures train, validate and test, and in which order they are written."""

import math

import numpy as np

from components.core.artifacts.dataset import SPLITS
from components.core.errors import PipelineError
from components.preprocess.report.wording import listed, percent
from components.preprocess.settings import PreprocessSettings
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION, Source

# Beside the labels, so that the order has a random stream of its own.
ORDER = 2**32 - 1


def assign_splits(source: Source, settings: PreprocessSettings, validation: str) -> tuple[np.ndarray, dict[int, str]]:
    """Decides for every picture.

    Splits that the source gives stay as they are. Where it gives no test pictures, a stratified share becomes them;
    where it gives no validation pictures, a share of the then remaining training pictures does, if it is not 0.

    Args:
        validation: "stratified" or "last".

    Returns:
        int8 [n] of TRAIN, VALIDATION and TEST, and for the latter two how they came about, in words.

    Raises:
        PipelineError: a split would be empty, or a class would have no training pictures.
    """
    splits = source.given.copy()
    words = {VALIDATION: "as the source gives it", TEST: "as the source gives it"}
    if TEST not in splits:
        training = np.flatnonzero(splits == TRAIN)
        splits[training[stratified(source.labels[training], settings.test_split, settings.seed, TEST)]] = TEST
        words[TEST] = f"a random {percent(settings.test_split)} of each class, seed {settings.seed}"
    if VALIDATION not in splits and not settings.validation_split:
        words[VALIDATION] = "none, as asked for: all training pictures are trained on"
    elif VALIDATION not in splits:
        training = np.flatnonzero(splits == TRAIN)
        if validation == "last":
            splits[training[last(len(training), settings.validation_split)]] = VALIDATION
            words[VALIDATION] = (
                f"the last {percent(settings.validation_split)} of the training pictures, as Keras does it"
            )
        else:
            chosen = stratified(source.labels[training], settings.validation_split, settings.seed, VALIDATION)
            splits[training[chosen]] = VALIDATION
            share = percent(settings.validation_split)
            words[VALIDATION] = f"a random {share} of each class's training pictures, seed {settings.seed}"
    for split in (TRAIN, VALIDATION, TEST):
        if split not in splits and (split != VALIDATION or settings.validation_split):
            raise PipelineError(
                f"expected some {SPLITS[split]} pictures, received too few to split: {len(source):,} pictures of "
                f"{len(source.class_names)} classes; add pictures or change the splits"
            )
    missing = np.setdiff1d(np.arange(len(source.class_names)), source.labels[splits == TRAIN])
    if len(missing):
        raise PipelineError(
            "expected training pictures of every class, received none of "
            f"{listed([source.class_names[label] for label in missing])}; add some, or use validation=stratified"
        )
    return splits, words


def stratified(labels: np.ndarray, share: float, seed: int, split: int) -> np.ndarray:
    """A random share of each class: sorted int64 indices into `labels`.

    Of a class of n it takes n x share, rounded half up, but at least one picture and never all; of one picture, none.
    """
    chosen = []
    by_class = np.argsort(labels, kind="stable")
    for label, members in enumerate(np.split(by_class, np.cumsum(np.bincount(labels)))[:-1]):
        count = min(max(math.floor(len(members) * share + 0.5), 1), len(members) - 1)
        if count > 0:
            chosen.append(np.random.default_rng([seed, split, label]).permutation(members)[:count])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def last(count: int, share: float) -> slice:
    """The last share of `count` pictures, to the picture what Keras's `validation_split` takes.

    Source: keras.src.trainers.data_adapters.array_slicing.train_validation_split.
    """
    return slice(math.floor(count * (1.0 - share)), count)


def shuffled(splits: np.ndarray, split: int, seed: int) -> np.ndarray:
    """The pictures of a split in the order they are written: one random permutation, int64."""
    return np.random.default_rng([seed, split, ORDER]).permutation(np.flatnonzero(splits == split))
