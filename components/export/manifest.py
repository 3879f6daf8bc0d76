"""manifest.json: every file of an export with its SHA-256, and where it all came from."""
import pathlib

import pydantic

from components.core.files import sha256_of, write_json

MANIFEST_FILE = "manifest.json"


class ExportedFile(pydantic.BaseModel):
    """One file: its path inside the export, its size in bytes and its SHA-256."""

    path: str
    bytes: int
    sha256: str


class Manifest(pydantic.BaseModel):
    """What manifest.json says."""

    model_name: str
    model_version: int
    class_names: list[str]
    image_shape: tuple[int, int, int]
    accuracy: float
    loss: float
    dataset: str
    dataset_fingerprint: str
    source_uri: str
    source_sha256: str
    versions: dict[str, str]
    agreement: dict[str, float] = pydantic.Field(description="largest difference to evaluate's probabilities, by format")
    files: list[ExportedFile]


def list_files(directory: pathlib.Path) -> list[ExportedFile]:
    """All files below `directory`, sorted by path."""
    return [
        ExportedFile(path=path.relative_to(directory).as_posix(), bytes=path.stat().st_size, sha256=sha256_of(path))
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    ]


def write_manifest(directory: pathlib.Path, manifest: Manifest) -> None:
    """Writes manifest.json into `directory`."""
    write_json(directory / MANIFEST_FILE, manifest.model_dump(mode="json"))
