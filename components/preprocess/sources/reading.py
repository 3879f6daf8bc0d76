"""Opens a raw artifact, whatever its format."""

import pathlib
from collections.abc import Sequence

from components.core.artifacts.raw import LABELS_FILE, RawFile, RawInfo
from components.core.errors import PipelineError
from components.core.files import sha256_of
from components.preprocess.sources.cifar import read_cifar
from components.preprocess.sources.digits import read_digits
from components.preprocess.sources.folders import find_packed
from components.preprocess.sources.found import Found
from components.preprocess.sources.idx import read_idx
from components.preprocess.sources.label_table import LabelTable
from components.preprocess.sources.listed import find_listed
from components.preprocess.sources.source import Source
from components.preprocess.sources.together import together


def read_source(
    raw: pathlib.Path, info: RawInfo, class_names: Sequence[str], scratch: pathlib.Path, group_column: str
) -> Source:
    """Indexes the pictures of a raw artifact, after comparing its files with their SHA-256 (0.7 s a GB).

    Args:
        class_names: the catalog's; none if folders or a table say them.
        scratch: a directory for pictures and names; it must stay as long as the source is used.
        group_column: the column of the table of labels that says which pictures belong together; empty: none does.

    Raises:
        PipelineError: the artifact is not what source.json says, or as the readers of the formats do.
    """
    for file in info.files:
        digits = sha256_of(raw / file.name)
        if digits != file.sha256:
            raise PipelineError(
                f"expected {raw / file.name} with sha256 {file.sha256}, received {digits}; run download again (CACHE=0)"
            )
    match info.format:
        case "digits":
            return read_digits(raw / info.files[0].name, scratch, class_names)
        case "cifar_binary":
            return read_cifar(raw / info.files[0].name, scratch)
        case "idx":
            return read_idx(raw, scratch, class_names)
    table = LabelTable(raw / LABELS_FILE, info.labels.rpartition("/")[2]) if info.labels else None
    files = [file for file in info.files if file.name != LABELS_FILE]
    found = [_find(raw, info, file, scratch / str(number)) for number, file in enumerate(files)]
    return together(found, table, group_column)


def _find(raw: pathlib.Path, info: RawInfo, file: RawFile, scratch: pathlib.Path) -> Found:
    """The pictures of one archive or listing."""
    scratch.mkdir()
    if file.listing:
        return find_listed(raw / file.name, file.listing, scratch, labelled=bool(info.labels))
    called = file.uri.rstrip("/").rpartition("/")[2] or file.name
    found = find_packed(raw / file.name, called, scratch)
    found.place = file.uri
    return found
