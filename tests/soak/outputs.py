"""What steps have made, in a form that is equal if all is equal that has to be.

Compared without, as they are measured or made up anew each time:

    training.json, TensorBoard      seconds, pictures a second
    manifest.json, MODEL_CARD.md    latencies; the sums and sizes of MODEL_CARD.md and fingerprint.pb
    the data report                 seconds, pictures a second
    fingerprint.pb                  all: it holds a random number of TensorFlow's, in nine or ten bytes
    model.keras                     the date in its metadata and those of its zip and HDF5 files: each part and each
                                    array is compared

TensorBoard's pictures begin anew in a run that is resumed, and so are not compared; each number is.
"""

import functools
import hashlib
import io
import json
import pathlib
import re
import zipfile
from collections.abc import Callable
from typing import Any

import h5py

from components.core.artifacts.dataset import read_info
from components.core.artifacts.evaluation import read_decision
from components.core.artifacts.model import read_training
from components.core.artifacts.raw import read_raw
from components.core.artifacts.served_model import EXPORT_MANIFEST
from components.core.errors import PipelineError
from components.core.files import read_json
from components.export.manifest import ExportManifest
from tests.components.train.board_files import tensors

MEASURED = {"seconds", "images_per_second", "latency_ms", "batch_latency_ms", "date_saved"}
NOT_LISTED = {"MODEL_CARD.md", "saved_model/1/fingerprint.pb"}
IN_WORDS = re.compile(r"[\d.,]+ (s|ms|pictures/s)\b")
# A step's artifact, and how its consumers read it.
READERS: dict[str, tuple[str, Callable[[pathlib.Path], Any]]] = {
    "download": ("raw", read_raw),
    "preprocess": ("dataset", read_info),
    "train": ("model", read_training),
    "evaluate": ("evaluation", read_decision),
    "export": ("exported", lambda path: read_json(ExportManifest, path / EXPORT_MANIFEST, "an export")),
}
CACHE, BOARD = ".downloads", "tensorboard"


def made(folder: pathlib.Path) -> dict[str, Any]:
    """All files below an outputs folder by name, but for event files; hidden ones, too, so that what is left over is a
    difference."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in path.parts[len(folder.parts) :])
        if name.partition("/")[0] not in (CACHE, BOARD) or path.name.startswith("."):
            if path.is_file():
                found[name] = "left over" if hidden else _contents(path)
            elif hidden and not any(path.iterdir()):
                found[name] = "left over"
    return {name: value for name, value in found.items() if not name.startswith(CACHE)}


def require_whole(step: str, folder: pathlib.Path, whole: dict[str, Any]) -> None:
    """What is there after a kill: an artifact is whole, or is not there and refused by its reader.

    TensorBoard's files grow while the step runs, and nobody reads them as a result.
    """
    shown = {name: value for name, value in made(folder).items() if value != "left over"}
    different = differences(shown, {name: whole.get(name) for name in shown})
    assert not different, f"not what an undisturbed run makes: {different}"
    artifact, read = READERS[step]
    if (folder / artifact).exists():
        missing = {name for name in whole if name.startswith(f"{artifact}/")} - set(shown)
        assert not missing, f"{artifact} lacks {missing}"
        read(folder / artifact)
        return
    try:
        read(folder / artifact)
    except PipelineError:
        return
    raise AssertionError(f"{artifact} is not there, and was read nevertheless")


def board(folder: pathlib.Path) -> dict[str, str]:
    """A digest of all numbers by run and tag; no numbers, but that, if a step is there twice."""
    found = {}
    for run in sorted({path.parent for path in (folder / BOARD).rglob("*tfevents*")}):
        try:
            numbers_by_tag = tensors(run)
        except AssertionError as twice:
            found[f"{BOARD}/{run.name}"] = str(twice)
            continue
        for tag, values in numbers_by_tag.items():
            if tag.rpartition("/")[2] not in MEASURED and all(value.dtype.kind == "f" for value in values.values()):
                numbers = {step: value.tolist() for step, value in values.items()}
                found[f"{BOARD}/{run.name}/{tag}"] = hashlib.sha256(repr(numbers).encode()).hexdigest()
    return found


def differences(found: dict[str, Any], whole: dict[str, Any]) -> list[str]:
    """Names of what differs, is missing, or is too much; of two objects the names within them."""
    names = []
    for name in sorted({*found, *whole}):
        one, other = found.get(name), whole.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            names += [f"{name}: {inner}" for inner in differences(one, other)]
        elif one != other:
            names.append(name if isinstance(one, str) else f"{name} ({one!r:.200} instead of {other!r:.200})")
    return names


def _contents(path: pathlib.Path) -> Any:
    data = path.read_bytes()
    if path.suffix == ".keras":
        return _model(hashlib.sha256(data).hexdigest(), str(path))
    if path.name == "training.json":
        return _without_measures(json.loads(data))
    if path.name == "manifest.json":
        return _manifest(path.parent, json.loads(data))
    if path.name in ("MODEL_CARD.md", "data_report.html"):
        return IN_WORDS.sub("", data.decode())
    return "" if path.name == "fingerprint.pb" else hashlib.sha256(data).hexdigest()


@functools.cache
def _model(digest: str, path: str) -> dict[str, Any]:
    """Its parts; the weights by their place. By its digest, as the same file is looked at often."""
    with zipfile.ZipFile(path) as archive:
        parts: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    parts["metadata.json"] = repr(_without_measures(json.loads(parts["metadata.json"]))).encode()
    arrays: dict[str, bytes] = {}
    with h5py.File(io.BytesIO(parts.pop("model.weights.h5"))) as weights:
        weights.visititems(
            lambda name, item: arrays.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
        )
    return {name: hashlib.sha256(data).hexdigest() for name, data in (parts | arrays).items()}


def _manifest(folder: pathlib.Path, said: dict[str, Any]) -> Any:
    """A manifest, once every file is what it says."""
    for file in said["files"]:
        data = (folder / file["path"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == file["sha256"], f"{file['path']} is not what the manifest says"
        if file["path"] in NOT_LISTED:
            del file["sha256"], file["bytes"]
    del said["formats"]["saved_model"]["bytes"]
    return _without_measures(said)


def _without_measures(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_measures(each) for name, each in value.items() if name not in MEASURED}
    return [_without_measures(each) for each in value] if isinstance(value, list) else value
