"""Reads scikit-learn's bundled digits without scikit-learn: a gzipped CSV, 64 values of 0 to 16 and a label a line."""

import pathlib
import zlib
from collections.abc import Sequence

import numpy as np

from components.core.errors import PipelineError, one_line
from components.preprocess.sources.source import Source, pixel_source

SIDE, WHITE = 8, 16


def read_digits(path: pathlib.Path, scratch: pathlib.Path, class_names: Sequence[str]) -> Source:
    """8x8 grey pictures; a value becomes round(value x 255 / 16), so that white is 255 as everywhere else.

    Raises:
        PipelineError: not gzip, cut off, or not such lines.
    """
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)  # which unpacks it
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise PipelineError(
            f"expected {path.name} as gzipped lines of numbers, received: {one_line(error, 200)}; fetch it again"
        ) from None
    if table.shape[1] != SIDE**2 + 1:
        raise PipelineError(f"expected 65 numbers a line in {path.name}, received {table.shape[1]}; fetch it again")
    values, labels = table[:, :-1], table[:, -1]
    if not (np.all((values >= 0) & (values <= WHITE)) and np.all(labels == np.rint(labels))):
        raise PipelineError(
            f"expected pixels of 0 to {WHITE} and whole labels in {path.name}, received others; fetch it again"
        )
    pixels = scratch / "pixels"
    np.rint(values * 255 / WHITE).astype(np.uint8).tofile(pixels)
    given = np.zeros(len(labels), np.int8)
    return pixel_source(
        class_names, labels.astype(np.int32), given, pixels, (SIDE, SIDE, 1), [(path.name, len(labels))]
    )
