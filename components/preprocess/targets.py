"""Decides the one shape all pictures get, by looking at a sample of them if the settings leave it open."""

import collections
import contextlib
import math

import numpy as np

from components.core.errors import PipelineError
from components.core.pictures.decode import MAX_BYTES, Header, Target, read_header, reason_of
from components.core.wording import counted
from components.preprocess.settings import PreprocessSettings, sides
from components.preprocess.sources.source import Source

SAMPLE = 1000
# What is read of each picture of the sample, at first: photographs in a store are not fetched twice for their sizes.
START_BYTES = 256 << 10
JPEG_START = b"\xff\xd8"
ENOUGH = 0.5
# A camera's size is common too: 36 MB a picture on the disk, and 9 GB of memory to train with one.
LARGEST = 512


def choose_target(settings: PreprocessSettings, source: Source) -> Target:
    """The settings' shape; for `auto` the size that at least half of a sample has, and grey if all of it is grey.

    Only what a file declares counts: a grey photograph stored as RGB is RGB.

    Raises:
        PipelineError: no size is that common, or it is a camera's, or no picture of the sample can be read.
    """
    headers = _headers(settings, source)
    size = sides(settings.image_size) or _commonest(headers)
    grey = all(header.grey for header in headers) if settings.color == "auto" else settings.color == "grayscale"
    return Target(*size, channels=1 if grey else 3, resize=settings.resize)


def _headers(settings: PreprocessSettings, source: Source) -> list[Header]:
    if source.shape:
        height, width, channels = source.shape
        return [Header(height, width, grey=channels == 1)]
    if settings.image_size != "auto" and settings.color != "auto":
        return []
    # By their names, so that the same ones are looked at wherever they lie and in whatever order.
    chosen = np.sort(np.lexsort((source.sizes, source.labels, source.name_sums))[:SAMPLE])
    headers, reason = [], ""
    starts = np.minimum(source.sizes[chosen], START_BYTES).tolist()
    with contextlib.closing(source.payloads.read(source.offsets[chosen].tolist(), starts)) as payloads:
        for picture, start in zip(chosen.tolist(), payloads, strict=True):
            try:
                headers.append(_header(source, picture, start))
            except PipelineError:
                raise
            except Exception as error:
                reason = reason or f"{source.name(picture)} ({reason_of(error)})"
    if not headers:
        raise PipelineError(
            f"expected pictures, received {len(chosen):,} files of which none can be read, for instance {reason}; "
            "check what was packed"
        )
    return headers


def _header(source: Source, picture: int, start: bytes) -> Header:
    """The header in a JPEG's first bytes, or in all of another picture: other formats keep facts at their end."""
    size = min(int(source.sizes[picture]), MAX_BYTES)
    if size > len(start) and start.startswith(JPEG_START):
        with contextlib.suppress(Exception):
            return read_header(start)
    if size > len(start):
        (start,) = source.payloads.read([int(source.offsets[picture])], [size])
    return read_header(start)


def _commonest(headers: list[Header]) -> tuple[int, int]:
    sizes = collections.Counter((header.height, header.width) for header in headers)
    size, count = max(sizes.items(), key=lambda item: (item[1], item[0]))
    if count >= ENOUGH * len(headers) and max(size) <= LARGEST:
        return size
    shorter = sorted(min(header.height, header.width) for header in headers)[len(headers) // 2]
    # The largest usual side of classifier inputs that the median picture fills and two cores can train on.
    usual = max((side for side in (32, 64, 96, 128) if side <= shorter), default=32)
    smallest, largest = min(sizes, key=math.prod), max(sizes, key=math.prod)
    raise PipelineError(
        f"expected most pictures to have one size of at most {LARGEST} pixels a side, as image_size=auto needs, "
        f"received {counted(len(sizes), 'size')} from {smallest[0]}x{smallest[1]} to {largest[0]}x{largest[1]} "
        f"(height x width); choose one, for instance image_size={usual}"
    )
