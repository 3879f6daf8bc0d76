"""What follows from whose pictures they are: a data set, a model's name, and that a profile's gate is for its own."""

import os
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from components.download.places import name_of, path_behind, places_of, scheme_of

PICTURES = "image_folder"
# The data set that nobody has a copy of: it comes with a package.
DIGITS = "digits"
# What a profile says of the data set that it names, and of no other.
OF_ITS_DATASET = ("min_accuracy", "model_name")


def dataset_of(layers: Sequence[dict[str, Any]]) -> str | None:
    """The data set that a source means if nobody has named one: pictures of the user's own.

    Args:
        layers: what the profile, the environment and the command line set; a later layer counts more.

    Returns:
        None: what is named or the default stands, as a copy of a known data set may lie at the source.
    """
    sourced = max((rank for rank, layer in enumerate(layers) if layer.get("source")), default=-1)
    named = max((rank for rank, layer in enumerate(layers) if "dataset" in layer), default=-1)
    dataset = layers[named]["dataset"] if named >= 0 else DIGITS
    return PICTURES if sourced > named and dataset == DIGITS else None


def model_name_of(dataset: str, source: str) -> str:
    """A name for the model of a data set: its own, or that of the user's source."""
    if dataset != PICTURES or not source:
        return dataset
    plain = unicodedata.normalize("NFKD", name_of(places_of(source)[0])).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._]+", "-", plain)[:64].strip("-._") or "pictures"


def may_bring_validation(dataset: str, source: str, labels: str) -> bool:
    """Whether a source may bring validation pictures of its own: no known data set does, nor folders of this machine
    if none is called so and no table of labels is there. What archives, stores and tables hold is not known before they
    are read."""
    if dataset != PICTURES or labels:
        return dataset == PICTURES
    if not all(scheme_of(place) == "file" and path_behind(place).is_dir() for place in places_of(source)):
        return True
    from components.preprocess.sources.names import SPLIT_WORDS, TABLES
    from components.preprocess.sources.source import VALIDATION

    for place in places_of(source):
        for _, folders, files in os.walk(path_behind(place)):
            words = re.findall(r"[a-z]+", " ".join(folders).lower())
            labelled = any(file.lower() in TABLES for file in files)
            if labelled or any(SPLIT_WORDS.get(word) == VALIDATION for word in words):
                return True
    return False
