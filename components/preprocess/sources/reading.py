"""Opens a raw artifact, whatever its format."""

import pathlib

from components.core.artifacts.raw import LABELS_FILE, RawFile, RawInfo
from components.core.catalog import KnownDataset
from components.core.errors import PipelineError
from components.core.files import sha256_of
from components.preprocess.sources.cifar import read_cifar
from components.preprocess.sources.digits import read_digits
from components.preprocess.sources.folders import find_packed
from components.preprocess.sources.found import Found
from components.preprocess.sources.idx import FILES, read_idx
from components.preprocess.sources.label_table import LabelTable
from components.preprocess.sources.listed import find_listed
from components.preprocess.sources.source import Source
from components.preprocess.sources.together import together


def read_source(
    raw: pathlib.Path, info: RawInfo, known: KnownDataset | None, scratch: pathlib.Path, group_column: str = ""
) -> Source:
    """Indexes the pictures of a raw artifact, after comparing its files with their SHA-256 (0.7 s a GB).

    Args:
        known: what the catalog says of the data set; None if it is not in there.
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
    class_names = known.class_names if known else ()
    if info.format == "idx":
        missing = {name for pair in FILES.values() for name in pair} - {file.name for file in info.files}
        if missing:
            raise PipelineError(
                f"expected the file {min(missing)} in {raw}, received none; run download again (CACHE=0)"
            )
        return read_idx(raw, scratch, class_names)
    if info.format == "pictures":
        table = LabelTable(raw / LABELS_FILE, info.labels.rpartition("/")[2]) if info.labels else None
        files = [file for file in info.files if file.name != LABELS_FILE]
        found = [_find(raw, info, file, scratch / str(number)) for number, file in enumerate(files)]
        return together(found, table, group_column)
    if len(info.files) != 1:
        raise PipelineError(f"expected one file in {raw}, received {len(info.files)}; run download again (CACHE=0)")
    path = raw / info.files[0].name
    match info.format:
        case "digits":
            return read_digits(path, scratch, class_names)
        case "cifar_binary":
            return read_cifar(path, scratch)


def _find(raw: pathlib.Path, info: RawInfo, file: RawFile, scratch: pathlib.Path) -> Found:
    """The pictures of one archive or listing."""
    scratch.mkdir()
    if file.listing:
        return find_listed(raw / file.name, file.listing, scratch, labelled=bool(info.labels))
    called = file.uri.rstrip("/").rpartition("/")[2] or file.name
    found = find_packed(raw / file.name, called, scratch)
    found.place = file.uri
    return found
