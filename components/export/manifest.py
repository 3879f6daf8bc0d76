"""manifest.json: every file of an export with its SHA-256, how each format proved itself, and where all came from."""

import pathlib
from typing import Any, Literal

import pydantic

from components.core.artifacts.evaluation import Decision
from components.core.artifacts.served_model import EXPORT_MANIFEST
from components.core.files import files_below, sha256_of, write_json
from components.export.verify import FormatProof


class ExportedFile(pydantic.BaseModel):
    """One file: its path inside the export, its size in bytes and its SHA-256."""

    path: str
    bytes: int
    sha256: str


class ExportedFormat(FormatProof):
    """One format: where it lies inside the export, its size, and its proof."""

    path: str
    bytes: int


class ExportManifest(pydantic.BaseModel):
    """What manifest.json says: all it takes to go from a served model back to the bytes of its source.

    Attributes:
        metrics: of the evaluation: the scalars of metrics.json, and accuracy_interval_95.
        pictures: of the data set, by split.
        model_sha256: of the trained model.keras.
        weights_sha256: of its weights, which the same training gives again; the file's own hash it does not.
        training: training.json without history and class names: every setting, epochs, device, seconds, versions.
        code_revision: of the code that exported (core/revision.py).
        decision: the gate's.
        versions: of the packages that exported.
    """

    model_name: str
    model_version: int
    class_names: list[str]
    image_shape: tuple[int, int, int]
    resize: Literal["resize", "crop"]
    accuracy: float
    loss: float
    metrics: dict[str, Any]
    decision: Decision
    dataset: str
    dataset_title: str
    pictures: dict[str, int]
    dataset_fingerprint: str
    source_uri: str
    source_sha256: str
    model_sha256: str
    weights_sha256: str
    training: dict[str, Any]
    code_revision: str
    versions: dict[str, str]
    formats: dict[str, ExportedFormat]
    files: list[ExportedFile]


def list_files(directory: pathlib.Path) -> list[ExportedFile]:
    """All files below `directory`, sorted by path."""
    return [
        ExportedFile(path=name, bytes=path.stat().st_size, sha256=sha256_of(path))
        for name, path in files_below(directory).items()
    ]


def size_of(path: pathlib.Path) -> int:
    """Bytes of a file, or of all files below a directory."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else files_below(path).values()))


def write_export_manifest(directory: pathlib.Path, manifest: ExportManifest) -> None:
    """Writes manifest.json into `directory`."""
    write_json(directory / EXPORT_MANIFEST, manifest.model_dump(mode="json"))
