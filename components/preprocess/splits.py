"""Which pictures train, validate and test, and in which order they are written.

A picture's hash and the split seed decide where it goes: they give a number between 0 and 1, and a picture whose number
is below the share that tests is tested on. So it stays where it is if others come, go or are renamed, and copies of it,
which have the same hash, are always on its side. What that costs: a share is hit about, not exactly. A share s of a
class of n comes to n x s pictures, give or take twice the root of n x s x (1 - s): 20 % of 1,000 are 200 +- 25.

Only a class too small for that, of which no picture or every picture would be taken, is put right: the picture whose
number is nearest goes over. Such a picture may go back when the class grows.
"""

import hashlib
import math

import numpy as np

from components.core.artifacts.dataset import SPLITS, Split
from components.core.errors import PipelineError
from components.core.wording import counted, listed, percent
from components.preprocess.settings import PreprocessSettings
from components.preprocess.sources.source import TEST, TRAIN, VALIDATION, Source

UNREADABLE = -1
# How a split came about that was not made here, in words.
GIVEN = "as the source gives it"
# Beside the seed, so that the order has a random stream of its own.
ORDER = 2**32 - 1


def assign_splits(
    source: Source, hashes: np.ndarray, readable: np.ndarray, settings: PreprocessSettings, validation: str
) -> tuple[np.ndarray, dict[Split, str]]:
    """Decides for every picture.

    Splits that the source gives stay as they are. If it gives no test pictures, a share becomes them; if it gives no
    validation pictures, a share of the then remaining training pictures does, if it is not 0. A training picture with a
    copy in a split that the source gives stays a training picture.

    Args:
        hashes: uint64 [n], of the pictures or of their groups.
        readable: bool [n].
        validation: "stratified" or "last".

    Returns:
        int8 [n] of TRAIN, VALIDATION, TEST and UNREADABLE, and how validation and test came about, in words.

    Raises:
        PipelineError: a split would be empty, or a class would have no training pictures.
    """
    splits = np.where(readable, source.given, UNREADABLE).astype(np.int8)
    words: dict[Split, str] = {"validation": GIVEN, "test": GIVEN}
    by_hashes = f"by {'group' if settings.group_column else 'pixel'} hash and split_seed {settings.split_seed}"
    if TEST not in source.given:
        splits[_share(source.labels, hashes, splits, settings.test_split, settings.split_seed, TEST)] = TEST
        share = percent(settings.test_split)
        words["test"] = f"about {share} of each class, {by_hashes}"
    if VALIDATION not in source.given and not settings.validation_split:
        words["validation"] = "none, as requested: all training pictures are trained on"
    elif VALIDATION not in source.given:
        share = percent(settings.validation_split)
        if validation == "last":
            order = lasting_order(source, hashes)
            training = order[splits[order] == TRAIN]
            splits[training[last(len(training), settings.validation_split)]] = VALIDATION
            words["validation"] = f"the last {share} of the training pictures, as Keras does it"
        else:
            chosen = _share(source.labels, hashes, splits, settings.validation_split, settings.split_seed, VALIDATION)
            splits[chosen] = VALIDATION
            words["validation"] = f"about {share} of each class's training pictures, {by_hashes}"
    _check(source, hashes, splits, settings, validation == "last")
    return splits, words


def _check(source: Source, hashes: np.ndarray, splits: np.ndarray, settings: PreprocessSettings, by_last: bool) -> None:
    """Refuses an empty split, and a class that can't be learned."""
    unreadable = np.count_nonzero(splits == UNREADABLE)
    received = f"{len(source):,} pictures of {len(source.class_names)} classes"
    if source.groups is not None:
        joined, named = (np.unique(numbers[splits != UNREADABLE]) for numbers in (hashes, source.groups))
        received += f" in {counted(len(joined), 'group')}"
        if (count := np.count_nonzero(named)) > len(joined):  # a black frame in all videos makes one of them
            received += f", joined of {count:,} that share pictures"
    received += f", {unreadable:,} of them unreadable" if unreadable else ""
    for split in (TRAIN, VALIDATION, TEST):
        if split not in splits and (split != VALIDATION or settings.validation_split):
            raise PipelineError(
                f"expected some readable {SPLITS[split]} pictures, received too few to split: {received}; "
                "add pictures or change the splits"
            )
    missing = np.setdiff1d(np.arange(len(source.class_names)), source.labels[splits == TRAIN])
    if len(missing):
        names = listed([source.class_names[label] for label in missing])
        raise PipelineError(
            f"expected readable training pictures of every class, received none of {names} among {received}; add some"
            f"{', or use validation=stratified' if by_last else ''}"
        )


def _share(
    labels: np.ndarray, hashes: np.ndarray, splits: np.ndarray, share: float, seed: int, split: int
) -> np.ndarray:
    """The training pictures that go over to `split`, as indices."""
    elsewhere = hashes[(splits != TRAIN) & (splits != UNREADABLE)]
    training = np.flatnonzero((splits == TRAIN) & ~np.isin(hashes, elsewhere))
    return training[share_of_each_class(labels[training], uniform_numbers(hashes[training], seed, split), share)]


def uniform_numbers(hashes: np.ndarray, seed: int, split: int) -> np.ndarray:
    """A number for each picture, evenly distributed from 0 to 1; depends on its hash, the seed and the split alone.

    The mixing is that of SplitMix64 (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators").
    """
    key = np.frombuffer(hashlib.sha256(f"{seed} {SPLITS[split]}".encode()).digest()[:8], "<u8")
    mixed = hashes + key
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)) * 2.0**-53


def share_of_each_class(labels: np.ndarray, numbers: np.ndarray, share: float) -> np.ndarray:
    """Whether each picture's number is below the share: bool [n].

    At least one of a class of two or more different pictures is taken, unless that is all that another class has, and
    never all; of a single one, none.
    """
    taken = numbers < share
    by_class = np.argsort(labels, kind="stable")
    classes = np.split(by_class, np.flatnonzero(np.diff(labels[by_class])) + 1)
    for members in classes:
        if not taken[members].any() and len(different := np.unique(numbers[members])) > 1:
            taken[numbers == different[0]] = True
    for members in classes:  # last, as every class must keep something to train on: a picture may be in two classes
        if taken[members].all():
            taken[numbers == numbers[members].max(initial=0)] = False
    return taken


def last(count: int, share: float) -> slice:
    """The last share of `count` pictures, to the picture what Keras's `validation_split` takes.

    Source: keras.src.trainers.data_adapters.array_slicing.train_validation_split.
    """
    return slice(math.floor(count * (1.0 - share)), count)


def lasting_order(source: Source, hashes: np.ndarray) -> np.ndarray:
    """All pictures in an order that stays the same however they are packed: int64 [n].

    Pixels keep that of the published files. What order picture files have in an archive, a folder or a store is chance:
    they are sorted by their hashes; by their names those that have one, as large JPEGs turned otherwise do.
    """
    if source.shape:
        return np.arange(len(source))
    return np.lexsort((source.name_sums, source.sizes, source.labels, hashes))


def shuffled(order: np.ndarray, splits: np.ndarray, split: int, seed: int) -> np.ndarray:
    """The pictures of a split in the order they are written: one random permutation, int64."""
    return np.random.default_rng([seed, split, ORDER]).permutation(order[splits[order] == split])
