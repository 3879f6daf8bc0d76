"""Where the model that MODEL= names lies on this machine; versions of a registry are fetched first.

(nothing)                        what the newest local run that exported a model exported
local_outputs/training-...       what that run exported, or trained if it exported nothing
digits@3, digits@champion        of the registry that REGISTRY= names
gs://bucket/models/digits/3      the same; without the number, the champion; also of a registry in a directory
any other path                   an export, a SavedModel directory, a .keras, .onnx or .tflite file
"""

import datetime
import hashlib
import pathlib
import re

from components.core.artifacts.served_model import EXPORT_MANIFEST
from components.core.errors import PipelineError
from components.core.files import json_object, sha256_of
from components.core.registry import Registry
from components.core.start_place import CHAMPION, named_version
from components.core.storage import location
from pipeline.console import option

# Below the outputs directory: versions that were fetched, by registry, model and number.
CACHE = ".models"
SUMMARY = "summary.json"
IN_REGISTRY = re.compile(r"(?P<registry>.+)/models/(?P<name>[^/@]+)(/(?P<version>\d+|champion))?/?")


def find_model(model: str, outputs: pathlib.Path, registry: str = "") -> pathlib.Path:
    """The local path of what `model` names, as the list above has it.

    Raises:
        PipelineError: there is no such model. StorageError: the registry has none of that name, or a damaged one.
    """
    if not model:
        return _newest_export(outputs)
    if version := named_version(model):
        if not registry:
            given = option("registry", "gs://bucket")
            raise PipelineError(f"expected a registry for {model}, received none; give {given}")
        return _fetched(registry, *version, outputs)
    found = IN_REGISTRY.fullmatch(model)
    if "://" in model:
        if not found:
            raise PipelineError(
                "expected a version such as gs://bucket/models/digits/3, or the same without the 3 for the champion, "
                f"received {model!r}"
            )
        return _fetched(found["registry"], found["name"], _number(found["version"]), outputs)
    path = location.local_path(model) if model.startswith("~") else pathlib.Path(model)
    if found and _in_registry(root := path.parents[2 if found["version"] else 1], found["name"]):
        return _fetched(str(root), found["name"], _number(found["version"]), outputs)
    if registry and not path.exists() and "/" not in model:
        return _fetched(registry, model, None, outputs)
    return _of_run(path.resolve()) if (path / SUMMARY).is_file() else path


def _in_registry(root: pathlib.Path, name: str) -> bool:
    """Whether a directory is a registry that has a model of that name; one that was never champion lies elsewhere."""
    top = root / "models"
    return (top / name / "champion.json").is_file() or (top / ".claims" / name).is_dir()


def trained_in(run: pathlib.Path) -> pathlib.Path | None:
    """The model artifact of a local run; None if it is no run, or made none."""
    return _artifacts(run).get("model")


def _artifacts(run: pathlib.Path) -> dict[str, pathlib.Path]:
    """The folders of a run's model and its export: in its own directory, which may have been moved or copied since."""
    try:
        told = json_object(run / SUMMARY)["artifacts"]
        places = {name: pathlib.Path(told[name]) for name in ("model", "saved_model") if name in told}
    except (KeyError, TypeError):  # it is another program's
        return {}
    here = {name: run.joinpath(*place.parts[-3:]) for name, place in places.items()}  # STEP/OUTPUT/FILE
    return {name: (here[name] if here[name].exists() else place).parent for name, place in places.items()}


def _ended(run: pathlib.Path) -> str:
    """When a run ended, ISO 8601 in UTC. As it says, since a copy has other times; by those for an earlier release."""
    time = datetime.datetime.fromtimestamp((run / SUMMARY).stat().st_mtime, datetime.UTC)
    return str(json_object(run / SUMMARY).get("ended") or time.isoformat())


def _newest_export(outputs: pathlib.Path) -> pathlib.Path:
    """The export of the newest run that exported anything; a later one may have failed at the gate."""
    # `latest` leads to one of the others.
    runs = [file.parent for file in outputs.glob(f"*/{SUMMARY}") if not file.parent.is_symlink()]
    latest = (outputs / "latest").resolve()  # of which none is newer, whatever a clock that was put back says
    runs.sort(key=lambda run: (run.resolve() == latest, _ended(run)), reverse=True)
    if exported := next((run for run in runs if "saved_model" in _artifacts(run)), None):
        place = _of_run(exported)
        print(f"model: {json_object(place / EXPORT_MANIFEST).get('model_name')}, exported by {exported}")
        return place
    if trained := next((run for run in runs if "model" in _artifacts(run)), None):
        raise PipelineError(
            f"expected a run that exported a model, received {trained}, which exported none; MODEL={trained} takes "
            "what it trained all the same"
        )
    return _of_run(outputs)


def _of_run(run: pathlib.Path) -> pathlib.Path:
    """A local run's export; else the model that it trained."""
    artifacts = _artifacts(run)
    if "saved_model" in artifacts:
        return artifacts["saved_model"]
    if "model" not in artifacts:
        raise PipelineError(
            f"expected MODEL=path, or a run that made a model, received neither: none in {run}; make run-local trains "
            "one"
        )
    print(f"{run} exported nothing: using the model that it trained")
    return artifacts["model"]


def _number(version: str | None) -> int | None:
    return None if version in (None, CHAMPION) else int(version)


def _fetched(uri: str, name: str, version: int | None, outputs: pathlib.Path) -> pathlib.Path:
    """The local copy of a version, every file compared with the version's SHA-256; fetched if it is not that."""
    registry = Registry(uri)
    shown = registry.show(name, version)
    place = outputs / CACHE / hashlib.sha256(registry.uri(name).encode()).hexdigest()[:16] / name / str(shown.number)
    files = {path: place.joinpath(*path.split("/")) for path in shown.files}
    if not all(file.is_file() and sha256_of(file) == shown.files[path].sha256 for path, file in files.items()):
        place.parent.mkdir(parents=True, exist_ok=True)
        registry.fetch(name, shown.number, place)
    print(f"model: {name} version {shown.number}{', the champion' if shown.champion else ''}")
    return place
