"""Export: writes the files that serving loads, and verifies that they give the predictions that evaluate measured."""

import hashlib
import json
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.artifacts.dataset_reading import batches, split_count
from components.core.artifacts.evaluation import (
    METRICS_FILE,
    PREDICTIONS_FILE,
    read_decision,
    read_probabilities,
)
from components.core.artifacts.model import load_fitting_model, model_file, read_training
from components.core.artifacts.picture_hashes import LEARNED_FILE, copies_in_test, model_learned, write_hashes
from components.core.artifacts.reference import REFERENCE_FILE
from components.core.errors import PipelineError
from components.core.files import sha256_of, whole_directory, write_json
from components.core.revision import code_revision
from components.core.wording import told_apart
from components.export.card import write_card
from components.export.formats.converted import write_litert, write_onnx, write_plain
from components.export.formats.formats import FORMATS, parse_formats, require_packages
from components.export.formats.repository import write_repository
from components.export.formats.saved_model import write_saved_model
from components.export.manifest import ExportedFormat, ExportManifest, list_files, size_of, write_export_manifest
from components.export.reference import reference_of
from components.export.settings import ExportSettings
from components.export.verify import FormatProof, Verifier, package_version

# Float32 rounding of one runtime against another reaches 1e-5; a wrong weight or a forgotten scaling is far above this.
TOLERANCE = 1e-4
CALIBRATION_PICTURES = 200
CARD_FILE = "MODEL_CARD.md"
SCALARS = (
    *("accuracy_interval_95", "balanced_accuracy", "balanced_accuracy_interval_95"),
    *("test_pictures", "macro_f1", "calibration_error"),
)


def export(
    settings: ExportSettings, dataset_path: str, model_path: str, evaluation_path: str, exported_path: str
) -> ExportManifest:
    """Exports the model artifact in the formats that the settings name.

    The export artifact holds saved_model/<version>/ (signatures in saved_model.py), the other formats' files
    (formats.py), MODEL_CARD.md, learned.npy and reference.json (core/artifacts) and manifest.json. It appears only
    after a fresh process has answered test pictures with every one of them as evaluate's predictions say, and has put
    the SavedModel to the serving smoke test.

    Raises:
        PipelineError: an artifact is missing or does not fit, a format's package is missing, the model can't be
            converted, or a format answers otherwise than it was measured.
    """
    formats = parse_formats(settings.formats)
    require_packages(formats)
    info = read_info(dataset_path)
    training = read_training(model_path)
    metrics = _read_metrics(evaluation_path, info)
    decision = read_decision(evaluation_path)
    calibration = _calibration(dataset_path, info) if "litert_int8" in formats else None
    with (
        Verifier(dataset_path, evaluation_path, settings.proof_pictures) as verifier,
        whole_directory(exported_path) as directory,
    ):
        trained = model_file(model_path)
        model = load_fitting_model(trained, info)
        called = {"version": settings.model_version, "name": settings.model_name}
        paths = {name: directory / FORMATS[name].path.format(**called) for name in formats}
        for name in _written(paths, model, trained, info, calibration):
            verifier.check(name, paths[name])
        proofs = verifier.proofs()
        for name, proof in proofs.items():
            _judge(name, proof, settings.int8_tolerance)
            _say(name, proof)
        manifest = ExportManifest(
            model_name=settings.model_name,
            model_version=settings.model_version,
            class_names=info.class_names,
            image_shape=info.image_shape,
            resize=info.resize,
            accuracy=metrics["accuracy"],
            loss=metrics["loss"],
            metrics={name: metrics[name] for name in SCALARS},
            decision=decision,
            dataset=info.dataset,
            dataset_title=info.called,
            pictures={split: found.count for split, found in info.splits.items()},
            dataset_fingerprint=info.fingerprint,
            source_uri=info.source_uri,
            source_sha256=info.source_sha256,
            model_sha256=sha256_of(trained),
            weights_sha256=_weights_sha256(model),
            training=_shortened(training),
            code_revision=code_revision(),
            versions={name: package_version(name) for name in ("keras", "numpy", "tensorflow")},
            formats={
                name: ExportedFormat(
                    **proof.model_dump(),
                    path=paths[name].relative_to(directory).as_posix(),
                    bytes=size_of(paths[name]),
                )
                for name, proof in proofs.items()
            },
            files=[],
        )
        learned = model_learned(model_path, training, dataset_path, info)
        copies = copies_in_test(dataset_path, info, learned)
        write_card(directory / CARD_FILE, manifest, metrics, training, copies, settings.publish_uri)
        if learned is not None:
            write_hashes(directory / LEARNED_FILE, learned)
        reference = reference_of(dataset_path, info, evaluation_path, settings.example_pictures)
        write_json(directory / REFERENCE_FILE, reference.model_dump(mode="json"))
        manifest = manifest.model_copy(update={"files": list_files(directory)})
        write_export_manifest(directory, manifest)
    size = sum(file.bytes for file in manifest.files)
    # What is published gets its number from the registry.
    version = "" if settings.publish_uri else f" version {settings.model_version}"
    print(f"exported {settings.model_name}{version}: {len(manifest.files)} files, {size / 1e6:.1f} MB")
    return manifest


def _written(
    paths: dict[str, pathlib.Path],
    model: Any,
    trained: pathlib.Path,
    info: DatasetInfo,
    calibration: np.ndarray | None,
) -> Iterator[str]:
    """Writes each format, the quick ones first, and gives its name when it is there."""
    with tempfile.TemporaryDirectory() as scratch:
        plain = pathlib.Path(scratch) / "plain"
        for name, path in paths.items():
            if name == "saved_model":
                write_saved_model(model, info, path)
            elif name == "keras":
                shutil.copyfile(trained, path)
            elif name == "onnx":
                path.parent.mkdir(parents=True)
                write_onnx(model, path)
                write_repository(path, info)
            else:
                if not plain.exists():
                    write_plain(model, plain)
                write_litert(plain, path, calibration if name == "litert_int8" else None)
            yield name


def _calibration(dataset_path: str, info: DatasetInfo) -> np.ndarray:
    """The first training pictures, which lie in a random order."""
    if not split_count(info, "train"):
        raise PipelineError(
            f"expected training pictures in {dataset_path} to calibrate litert_int8 with, received none; run "
            "preprocess again, or leave litert_int8 out of formats"
        )
    return next(batches(dataset_path, info, "train", CALIBRATION_PICTURES))[0]


def _judge(name: str, proof: FormatProof, int8_tolerance: float) -> None:
    """Refuses a format that does not answer as evaluate measured."""
    if FORMATS[name].exact:
        if not proof.largest_difference <= TOLERANCE:
            difference = told_apart(proof.largest_difference, TOLERANCE, ".2g")
            raise PipelineError(
                f"expected the {name} export to answer test pictures as evaluate measured, within {TOLERANCE}; "
                f"received probabilities that differ by {difference}; nothing was exported"
            )
    elif not (lost := round(proof.evaluated_accuracy - proof.accuracy, 12)) <= int8_tolerance:
        raise PipelineError(
            f"expected the {name} export to lose at most {int8_tolerance} of the accuracy (int8_tolerance), received a "
            f"loss of {told_apart(lost, int8_tolerance)} from the {proof.evaluated_accuracy:.4f} that evaluate "
            f"measured on {proof.pictures:,} test pictures; nothing was exported; leave {name} out of formats, or "
            "allow more"
        )


def _say(name: str, proof: FormatProof) -> None:
    print(
        f"{name}: accuracy {proof.accuracy:.4f} on {proof.pictures:,} test pictures in a fresh process, largest "
        f"difference {proof.largest_difference:.1g}, {proof.latency_ms:.3g} ms per single picture, "
        f"{proof.batch_latency_ms:.3g} ms per picture in a batch"
    )


def _read_metrics(evaluation_path: str, info: DatasetInfo) -> dict:
    """metrics.json, once model, data and evaluation are known to be about the same.

    Raises:
        PipelineError: it is missing, or is about other data.
    """
    try:
        metrics = json.loads((pathlib.Path(evaluation_path) / METRICS_FILE).read_text(encoding="utf-8"))
        read_probabilities(evaluation_path)
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(
            f"expected an evaluation artifact with {METRICS_FILE} and {PREDICTIONS_FILE}, received: {error}; "
            "run evaluate first"
        ) from None
    if not split_count(info, "test"):
        raise PipelineError("expected test pictures to prove the export on, received none; set test_split above 0")
    if metrics.get("dataset_fingerprint") != info.fingerprint:
        raise PipelineError("expected the evaluation of this data set, received that of another; run evaluate on it")
    return metrics


def _shortened(training: dict[str, Any]) -> dict[str, Any]:
    """How it was trained, without what is long or said elsewhere."""
    left_out = ("history", "class_names", "image_shape", "resize", "dataset", "dataset_fingerprint")
    return {name: value for name, value in training.items() if name not in left_out}


def _weights_sha256(model: Any) -> str:
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
