"""MODEL_CARD.md: the facts of the artifacts, for whoever is about to use the model."""

import pathlib
from typing import Any

from components.core import card_words
from components.core.artifacts.evaluation import METRIC_WORDS
from components.core.errors import one_line
from components.core.pictures.decode import MAX_PIXELS
from components.core.wording import counted, sentence
from components.export.manifest import ExportManifest

# How a picture of another size came to the model's.
BROUGHT = {
    "crop": "the middle of a picture that has these proportions is scaled to that size",
    "resize": "the whole of a picture is stretched to that size",
}


def write_card(
    path: pathlib.Path,
    manifest: ExportManifest,
    metrics: dict[str, Any],
    training: dict[str, Any],
    copies: int | None,
    registry: str,
) -> None:
    """Writes the card as Markdown.

    Args:
        metrics: the evaluation's metrics.json.
        training: the model's training.json.
        copies: test pictures that it has learned from; None: nobody knows.
        registry: where the export is published, and gets its number; empty: nowhere.
    """
    parts = [
        _purpose(manifest, registry),
        _scores(manifest, metrics, card_words.doubt(copies, training, _text)),
        _limits(metrics),
        _formats(manifest, registry),
        _use(manifest),
        _data(manifest),
        _training(manifest, training),
    ]
    path.write_text("\n".join(parts), encoding="utf-8")


def _purpose(manifest: ExportManifest, registry: str) -> str:
    purpose = card_words.purpose(manifest.image_shape, manifest.class_names, _text)
    version = f"made for {_text(registry)}" if registry else f"version {manifest.model_version}"
    return f"# {manifest.model_name}, {version}\n\n{purpose}\n"


def _scores(manifest: ExportManifest, metrics: dict[str, Any], doubt: str) -> str:
    low, high = metrics["accuracy_interval_95"]
    rows = [
        (
            _text(name),
            *(f"{score[key]:.3f}" if score["support"] else "-" for key in ("precision", "recall", "f1")),
            score["support"],
        )
        for name, score in zip(manifest.class_names, metrics["per_class"], strict=True)
    ]
    pictures = counted(metrics["test_pictures"], "picture")
    pictures += f". {sentence(doubt)}." if doubt else " that were not used for training."
    return f"""## How well

Test accuracy {manifest.accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}), test loss {manifest.loss:.4f}, on
{pictures}{_balanced(manifest, metrics)}

{_table(("class", "precision", "recall", "F1", "pictures"), rows)}
"""


def _balanced(manifest: ExportManifest, metrics: dict[str, Any]) -> str:
    """Balanced accuracy, if it tells more than accuracy does, and by which of the two the gate went."""
    decision, said = manifest.decision, ""
    if decision.balanced_accuracy is not None:
        low, high = metrics["balanced_accuracy_interval_95"]
        said = f" Balanced accuracy, to which each class counts the same: {decision.balanced_accuracy:.4f} "
        said += f"(95 % interval {low:.4f} to {high:.4f})."
    return f"{said} The gate went by {METRIC_WORDS[decision.metric]}."


def _limits(metrics: dict[str, Any]) -> str:
    scores = zip(metrics["class_names"], metrics["per_class"], strict=True)
    sentences = card_words.limits(
        [card_words.ClassResult(name, score["recall"], score["support"]) for name, score in scores],
        metrics["calibration_error"],
        metrics["calibration_error_by_chance"],
        [(check["said"], check["passed"]) for check in metrics["behaviour"]["checks"]],
        _text,
    )
    return "## Limits\n\n" + "\n".join(f"- {sentence}" for sentence in sentences) + "\n"


def _formats(manifest: ExportManifest, registry: str) -> str:
    rows = [
        (
            name,
            f"`{proved.path}`",
            f"{proved.bytes / 1e6:.2f} MB",
            proved.runtime,
            f"{proved.accuracy:.4f}",
            f"{proved.agreement:.2%}",
            f"{proved.latency_ms:.3g} ms",
            f"{proved.batch_latency_ms:.3g} ms",
        )
        for name, proved in manifest.formats.items()
    ]
    counts = sorted({f"{proved.pictures:,}" for proved in manifest.formats.values()})
    columns = ("format", "file", "size", "run by", "accuracy", "same class", "one picture", "a picture of a batch")
    moved = f"""
Paths are those of the export. In {_text(registry)} the SavedModel is the version's own directory, below the
number that it gets there, and all else lies in `assets.extra/` below that.
"""
    return f"""## Formats

Each answered {" or ".join(counts)} test pictures in a fresh process before it was exported. "Same class": as the
model that was evaluated. Times are of the machine that exported.
{moved if registry else ""}
{_table(columns, rows)}
"""


def _use(manifest: ExportManifest) -> str:
    height, width, channels = manifest.image_shape
    return f"""## How to use it

Input `images`: uint8, batch x {height} x {width} x {channels} (height, width, channels), values 0 to 255; scaling is
inside the model. Output `probabilities`: float32, batch x {len(manifest.class_names)}, in the order of the classes.
In training, {BROUGHT[manifest.resize]} by a bilinear filter with
antialiasing, once it was turned as its EXIF says: one that is brought to it otherwise may be answered otherwise.
The SavedModel also gives `class_name`, and its signature `encoded` takes `image_bytes`: JPEG or PNG files of any size,
up to {MAX_PIXELS:,} pixels, and does all that itself.

    import tensorflow as tf
    model = tf.saved_model.load("{manifest.formats["saved_model"].path}")
    model.signatures["serving_default"](images=pictures)["class_name"]
    model.signatures["encoded"](image_bytes=tf.constant([open("picture.jpg", "rb").read()]))["class_name"]
"""


def _data(manifest: ExportManifest) -> str:
    facts = {
        "data set": _text(manifest.dataset_title),
        "licence": card_words.licence(manifest.dataset, manifest.dataset_title),
        "fingerprint": manifest.dataset_fingerprint,
        "source": _text(manifest.source_uri),
        "source sha256": manifest.source_sha256,
    }
    return f"## Data\n\n{_facts(facts)}\n"


def _training(manifest: ExportManifest, training: dict[str, Any]) -> str:
    facts = {name: _text(str(value)) for name, value in training["settings"].items()}
    if started := training.get("started_from"):
        facts["started from"] = f"{_text(started['name'])}, sha256 {started['sha256']}"
    facts |= {
        "weights": f"{training['parameters']:,}",
        "epochs trained": training["epochs"],
        "epoch kept": training["best_epoch"],
        "device": training["device"],
        "layers computed in": training["precision"],
    }
    return f"""## Training

{_facts(facts)}

Trained with {_versions(training["versions"])}; exported with {_versions(manifest.versions)}; code revision \
{manifest.code_revision}.
"""


def _versions(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _facts(values: dict[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in values.items())


def _table(header: tuple[str, ...], rows: list[tuple]) -> str:
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in [header, ("---",) * len(header), *rows])


def _text(value: str) -> str:
    """A name as text: nobody's class names make markup of a table."""
    for sign in "\\`*_[]<>|#&~$":
        value = value.replace(sign, f"\\{sign}")
    return one_line(value)
