"""Answers for many pictures on this machine: what a cluster's predict step does, by any model that is found here."""

import functools
import pathlib

from components.core.artifacts.reference import IN_VERSION, REFERENCE_FILE, Reference, read_reference
from components.core.artifacts.served_model import EXPORT_MANIFEST
from components.core.errors import PipelineError
from components.core.files import files_below, json_object, sha256_of
from components.core.storage.bundle import MANIFEST, Manifest
from components.predict.settings import AnswerSettings
from pipeline.models.find import CACHE, find_model


def predict_all(model: str, registry: str, outputs: pathlib.Path, settings: AnswerSettings) -> None:
    """Answers what is new at the settings' source. A version of a registry is proven by its hashes.

    Raises:
        PipelineError: as components/predict/run.py; there is no such model.
    """
    for name in ("source", "out"):
        if not getattr(settings, name):
            raise PipelineError(
                f"{name}: expected one, received none; give {name.upper()}=folder, or gs://bucket/prefix"
            )
    place = find_model(model, outputs, registry)
    from components.predict.answers import AnsweringModel, model_digest
    from components.predict.champion import Served
    from components.predict.run import answer_all
    from pipeline.keras_side.classify import class_names, open_classifier

    load = functools.cache(lambda: open_classifier(place))
    if outputs / CACHE in place.parents:  # a version of a registry: told as the predict step tells it
        name, version = place.parent.name, place.name
        proven = Manifest.model_validate_json((place / MANIFEST).read_bytes()).files
        digest = model_digest({path: file.sha256 for path, file in proven.items()})
    else:
        files = files_below(place).values() if place.is_dir() else [place]
        digest = model_digest({str(file.relative_to(place.parent)): sha256_of(file) for file in files})
        exported_as = json_object(place / EXPORT_MANIFEST).get("model_name")
        name, version = exported_as or place.stem.lower() or "model", digest[:12]
    answer_all(
        Served(
            AnsweringModel(name=name, version=version, sha256=digest),
            class_names(place) or load().class_names,
            load,
            _reference(place),
        ),
        settings,
    )


def _reference(place: pathlib.Path) -> Reference | None:
    """What an export or a version carries of what it learned from; an export's SavedModel lies two folders below."""
    for path in (place / IN_VERSION, *(top / REFERENCE_FILE for top in (place, *place.parents[:2]))):
        if path.is_file():
            return read_reference(path)
    return None
