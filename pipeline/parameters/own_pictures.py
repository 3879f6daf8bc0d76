"""What follows from whose pictures they are: a data set, a model's name, and that a profile's gate is for its own."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from components.download.places import name_of, places_of

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
    if dataset != PICTURES or not source:
        return dataset
    plain = unicodedata.normalize("NFKD", name_of(places_of(source)[0])).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9._]+", "-", plain)[:64].strip("-._") or "pictures"
