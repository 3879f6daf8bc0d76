"""MODEL_CARD.md: the facts of the artifacts, for whoever is about to use the model. Its words are in card.md."""

import pathlib
from typing import Any

from components.core import card_words
from components.core.artifacts.evaluation import METRIC_WORDS
from components.core.errors import one_line
from components.core.pictures.decode import MAX_PIXELS
from components.core.wording import counted, sentence
from components.export.manifest import ExportManifest

TEMPLATES = pathlib.Path(__file__).parent / "templates"


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
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701, as it is Markdown
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(text=_text, sentence=sentence, interval=_interval, versions=_versions)
    classes = list(zip(manifest.class_names, metrics["per_class"], strict=True))
    text = environment.get_template("card.md").render(
        manifest=manifest,
        decision=manifest.decision,
        metric_words=METRIC_WORDS,
        metrics=metrics,
        training=training,
        registry=registry,
        purpose=card_words.purpose(manifest.image_shape, manifest.class_names, _text),
        pictures=counted(metrics["test_pictures"], "picture"),
        doubt=card_words.doubt(copies, training, _text),
        classes=classes,
        limits=card_words.limits(
            [card_words.ClassResult(name, score["recall"], score["support"]) for name, score in classes],
            metrics["calibration_error"],
            metrics["calibration_error_by_chance"],
            [(check["said"], check["passed"]) for check in metrics["behaviour"]["checks"]],
            _text,
        ),
        proofs=sorted({f"{proved.pictures:,}" for proved in manifest.formats.values()}),
        most_pixels=MAX_PIXELS,
        licence=card_words.licence(manifest.dataset, manifest.dataset_title),
    )
    path.write_text(text, encoding="utf-8")


def _interval(ends: list[float]) -> str:
    return "{:.4f} to {:.4f}".format(*ends)


def _versions(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def _text(value: str) -> str:
    """A name as text: nobody's class names make markup of a table."""
    for sign in "\\`*_[]<>|#&~$":
        value = value.replace(sign, f"\\{sign}")
    return one_line(value)
