"""Writes the export artifact: what serving loads, with the proof that it answers as evaluate measured."""
import importlib.metadata
import json
import pathlib
import shutil
import tempfile

import numpy as np

from components.core.dataset import DatasetInfo, read_info
from components.core.errors import PipelineError
from components.core.files import whole_directory
from components.core.framework import load_model
from components.core.reading import batches
from components.export.card import write_card
from components.export.manifest import Manifest, list_files, write_manifest
from components.export.saved_model import write_saved_model
from components.export.settings import ExportSettings
from components.export.verify import answers, fresh_process

# As many pictures as evaluate's batches hold: the same batch sums in the same order.
PROOF_PICTURES = 256
# Float32 rounding of one batch against another: a wrong weight or a forgotten scaling differs by far more.
TOLERANCE = 1e-4


def export(settings: ExportSettings, dataset_path: str, model_path: str, evaluation_path: str, exported_path: str) -> Manifest:
    """Exports the model artifact as a SavedModel and a .keras file.

    The export artifact holds saved_model/<version>/ (signature in saved_model.py), model.keras, MODEL_CARD.md and
    manifest.json. It appears only after a fresh process has loaded both formats and answered test pictures as
    evaluate's predictions say.

    Raises:
        PipelineError: an artifact is missing or does not fit, or a format answers otherwise than it was measured.
    """
    info = read_info(dataset_path)
    metrics = _read_metrics(evaluation_path)
    with fresh_process() as process, whole_directory(exported_path) as directory:
        model_file = pathlib.Path(model_path) / "model.keras"
        model = load_model(model_file)
        saved_model = directory / "saved_model" / str(settings.model_version)
        write_saved_model(model, info.class_names, saved_model)
        shutil.copyfile(model_file, directory / "model.keras")
        agreement = _prove(process, saved_model, directory / "model.keras", dataset_path, evaluation_path, info)
        manifest = Manifest(
            model_name=settings.model_name,
            model_version=settings.model_version,
            class_names=info.class_names,
            image_shape=info.image_shape,
            accuracy=metrics["accuracy"],
            loss=metrics["loss"],
            dataset=info.dataset,
            dataset_fingerprint=info.fingerprint,
            source_uri=info.source_uri,
            source_sha256=info.source_sha256,
            versions={name: importlib.metadata.version(name) for name in ("keras", "numpy")} | {"tensorflow": _tensorflow_version()},
            agreement=agreement,
            files=[],
        )
        write_card(directory / "MODEL_CARD.md", manifest, metrics, model_path)
        manifest = manifest.model_copy(update={"files": list_files(directory)})
        write_manifest(directory, manifest)
    size = sum(file.bytes for file in manifest.files)
    print(f"exported {settings.model_name} version {settings.model_version}: {len(manifest.files)} files, {size / 1e6:.1f} MB")
    return manifest


def _prove(
    process, saved_model: pathlib.Path, keras_model: pathlib.Path, dataset_path: str, evaluation_path: str, info: DatasetInfo
) -> dict[str, float]:
    """The largest difference between each format's probabilities and evaluate's, by format; refuses too large ones."""
    pictures, _ = next(batches(dataset_path, info, "test", PROOF_PICTURES))
    with np.load(pathlib.Path(evaluation_path) / "predictions.npz", allow_pickle=False) as predictions:
        measured = predictions["probabilities"][: len(pictures)]
    with tempfile.TemporaryDirectory() as scratch:
        proof = pathlib.Path(scratch) / "pictures.npy"
        np.save(proof, pictures)
        answered = answers(process, str(saved_model), str(keras_model), str(proof))
    agreement = {}
    for name in ("saved_model", "keras"):
        difference = float(np.abs(np.asarray(answered[name], np.float32) - measured).max())
        if not difference <= TOLERANCE:
            raise PipelineError(
                f"expected the {name} export to answer test pictures as evaluate measured, within {TOLERANCE}; received "
                f"probabilities that differ by {difference:.2g}; nothing was exported"
            )
        agreement[name] = difference
    probable = [info.class_names[i] for i in np.asarray(answered["saved_model"]).argmax(axis=1)]
    if answered["class_names"] != probable:
        raise PipelineError("expected the saved_model export to name the most probable class, received other names; nothing was exported")
    print(f"proved on {len(pictures)} test pictures in a fresh process: largest difference {max(agreement.values()):.1g}")
    return agreement


def _read_metrics(evaluation_path: str) -> dict:
    path = pathlib.Path(evaluation_path) / "metrics.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PipelineError(f"expected an evaluation artifact with metrics.json, received: {error}; run evaluate first") from None


def _tensorflow_version() -> str:
    import tensorflow as tf

    return tf.__version__
