"""How often test pictures have been asked in a comparison, counted in the registry over all challengers.

Each comparison on the same pictures is a chance more to pass for better by luck: of 200 challengers that are no better
than the champion, tested one a night at 5 %, ten pass. So the k-th comparison spends only 1 / (k (k + 1)) of the
significance: a half, a sixth, a twelfth, ... which is never more than all of it, however many come, and however much
their answers depend on each other. Tian and Ramdas (2021), "Online control of the familywise error rate", call this
alpha spending. What it costs: the 200th must lead by three times as many pictures as a single one.

    models/.looks/NAME.npz   times: uint64 [n], how often each of `pictures` was asked (by hash, ascending)
                             comparisons, looks: uint64 [m], the comparisons made and the look that each was

A comparison is known by its outcome, picture by picture: made again, since the step was killed or the same model was
trained once more, it is the same look. It is none if both are right on the same pictures, as no luck can come of it:
the champion itself, which a nightly run without new data brings each time, uses nothing up.

The count moves by compare-and-set; it lies outside models/NAME/, which servers download. If it can't be written the
decision stands, and says so: a model is worth more than a count.
"""

import hashlib
import io
import zipfile
from typing import NamedTuple

import numpy as np

from components.core.storage import NotFound, PreconditionFailed, StorageError, Store

TRIES = 20


class Looks(NamedTuple):
    """What the object says; the arrays are as the module describes them."""

    pictures: np.ndarray
    times: np.ndarray
    comparisons: np.ndarray
    looks: np.ndarray


NONE = Looks(*(np.empty(0, np.uint64) for _ in Looks._fields))


def share_of(look: int) -> float:
    """The share of the significance that the look may spend, 1 for the first."""
    return 1 / (look * (look + 1))


def count_look(store: Store, name: str, asked: np.ndarray, outcome: np.ndarray, champion: int) -> int:
    """Counts a comparison on these pictures; returns its number, 1 if none of them was asked before.

    Args:
        store: the registry's.
        asked: uint64 [k], the pictures' hashes, each once.
        outcome: int8 [k], 1 for a picture that the challenger alone gets right, -1 for the champion alone, else 0.
        champion: its version.

    Raises:
        StorageError: the count can't be read.
    """
    key = f"models/.looks/{name}.npz"
    comparison = _comparison(asked, outcome, champion)
    for _ in range(TRIES):
        found, generation = _read(store, key)
        known = np.flatnonzero(found.comparisons == comparison)
        if len(known):
            return int(found.looks[known[-1]])
        counted, look = _counted(found, asked, comparison)
        if not outcome.any():
            return look
        try:
            _write(store, key, counted, generation)
            return look
        except PreconditionFailed:
            continue  # another challenger was counted at this moment
        except StorageError as error:
            print(f"warning: comparison {look} on these test pictures could not be counted: {error}", flush=True)
            return look
    print(f"warning: comparison {look} on these test pictures could not be counted: others were, {TRIES} times")
    return look


def _counted(found: Looks, asked: np.ndarray, comparison: np.uint64) -> tuple[Looks, int]:
    pictures = np.union1d(found.pictures, asked)
    times = np.zeros(len(pictures), np.uint64)
    times[np.searchsorted(pictures, found.pictures)] = found.times
    places = np.searchsorted(pictures, asked)
    times[places] += np.uint64(1)
    look = int(times[places].max())
    comparisons, looks = np.append(found.comparisons, comparison), np.append(found.looks, np.uint64(look))
    return Looks(pictures, times, comparisons, looks), look


def _comparison(asked: np.ndarray, outcome: np.ndarray, champion: int) -> np.uint64:
    order = np.argsort(asked, kind="stable")
    digest = hashlib.sha256(f"{champion} ".encode() + asked[order].tobytes() + outcome[order].tobytes()).digest()
    return np.frombuffer(digest[:8], "<u8")[0]


def _read(store: Store, key: str) -> tuple[Looks, str | None]:
    try:
        data, stored = store.read(key)
    except NotFound:
        return NONE, None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return Looks(*(arrays[field].astype(np.uint64) for field in Looks._fields)), stored.generation
    except (EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        print(f"warning: {store.uri(key)} can't be read ({error}); counting from the start", flush=True)
        return NONE, stored.generation


def _write(store: Store, key: str, looks: Looks, generation: str | None) -> None:
    file = io.BytesIO()
    np.savez(file, **looks._asdict())
    condition = {"if_absent": True} if generation is None else {"if_generation": generation}
    store.write_bytes(key, file.getvalue(), **condition)
