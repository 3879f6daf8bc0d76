"""A published version's way back: from what is served, step by step, to the bytes of the source.

All of it is kept with the version when it is published (components/export/manifest.py); nothing is looked up elsewhere,
so that it can be told for as long as the version is there.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.core.artifacts.served_model import EXTRAS
from components.core.errors import ODD_JSON
from components.core.progress import amount
from components.core.wording import printable
from pipeline.console import table

if TYPE_CHECKING:
    from components.core.registry import Version

SHOWN_DIGITS = 12
UNKNOWN = "not recorded"
# What came of the settings, by training.json.
RESULTS = {
    "parameters": "weights",
    "epochs": "epochs trained",
    "best_epoch": "epoch kept",
    "best_val_accuracy": "validation accuracy",
    "precision": "computed in",
    "device": "device",
    "seconds": "seconds",
}


def lineage(version: "Version") -> str:
    """The whole story of a version, as text for a terminal; what its publisher did not say is `not recorded`."""
    facts = version.facts
    sections = [
        ("gate: why it was exported", _gate(facts)),
        ("evaluation: how it did on the test split", _evaluation(facts)),
        ("training: how its weights were made", _training(facts)),
        ("dataset: what it was trained and tested on", _dataset(facts)),
        (
            "source: what the data set was made from",
            ((name, facts.get(f"source_{name}") or UNKNOWN) for name in ("uri", "sha256")),
        ),
        ("code: what trained and exported it", _code(facts)),
    ]
    head = [
        f"{version.name} version {version.number}{', the champion' if version.champion else ''}",
        f"  at {version.uri}, {amount(version.bytes, 'B')} in {len(version.files)} files, published "
        f"{published(version) or UNKNOWN} UTC",
    ]
    told = [f"{title}\n{_indented(rows)}" for title, given in sections if (rows := _as_far_as_known(given))]
    return "\n\n".join(["\n".join(head), *told, *_formats(facts), _files(version)])


def published(version: "Version") -> str:
    """When it was published, in UTC: `2026-11-26 21:03:12`; empty: not recorded."""
    return printable(version.created[:19].replace("T", " "))


def _as_far_as_known(rows: Iterator[tuple[str, str]]) -> list[tuple[str, str]]:
    """The rows, up to one that the publisher, who may be anybody, wrote otherwise than an export does."""
    told: list[tuple[str, str]] = []
    try:
        told.extend(rows)
    except ODD_JSON:
        told.append(("", "the rest is not in the form of an export: see show --json"))
    return told


def _gate(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    decision = facts.get("decision") or {}
    if not decision:
        yield "decision", f"{UNKNOWN}: published by hand"
        return
    yield "decision", "passed" if decision["passed"] else "not passed"
    for reason in decision["reasons"]:
        yield "", reason["said"]
    limits = ("min_accuracy", "min_improvement", "significance")
    yield (
        "rule",
        f"{decision['gate']} by {decision.get('metric', 'accuracy')}, "
        + ", ".join(f"{name} {decision[name]:g}" for name in limits),
    )


def _evaluation(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    metrics = facts.get("metrics") or {}
    accuracy = f"{facts['accuracy']:.4f}" if "accuracy" in facts else UNKNOWN
    if "accuracy_interval_95" in metrics:
        low, high = metrics["accuracy_interval_95"]
        accuracy += f" (95 % interval {low:.4f} to {high:.4f}) on {metrics['test_pictures']:,} pictures"
    yield "test accuracy", accuracy
    balanced = (facts.get("decision") or {}).get("balanced_accuracy")
    if balanced is not None:
        yield "balanced accuracy", f"{balanced:.4f}"
    if "loss" in facts:
        yield "test loss", f"{facts['loss']:.4f}"
    for label, name in (("macro F1", "macro_f1"), ("calibration error", "calibration_error")):
        if name in metrics:
            yield label, f"{metrics[name]:.4f}"


def _training(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    training = facts.get("training") or {}
    yield "model.keras sha256", facts.get("model_sha256") or UNKNOWN
    if facts.get("weights_sha256"):
        yield "weights sha256", facts["weights_sha256"]
    if started := training.get("started_from"):
        yield "started from", f"{started['name']}, sha256 {started['sha256']}"
        yield "layers kept", ", ".join(started["kept"])
    settings = {name: _text(value) for name, value in training.get("settings", {}).items() if value != ""}
    yield "settings", ", ".join(f"{name}={value}" for name, value in settings.items()) or UNKNOWN
    found = ((label, training[name]) for name, label in RESULTS.items() if name in training)
    yield from ((label, f"{value:,}" if isinstance(value, int) else _text(value)) for label, value in found)
    if training.get("versions"):
        yield "packages", _packages(training["versions"])


def _dataset(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "name", facts.get("dataset_title") or facts.get("dataset") or UNKNOWN
    if facts.get("pictures"):
        yield "pictures", ", ".join(f"{count:,} {split}" for split, count in facts["pictures"].items())
    if "image_shape" in facts:
        yield "one picture", " x ".join(map(str, facts["image_shape"])) + " (height, width, channels)"
    if "class_names" in facts:
        names = [json.dumps(name, ensure_ascii=False) if "," in name else name for name in facts["class_names"]]
        yield "classes", f"{len(names):,}: {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
    yield "fingerprint", facts.get("dataset_fingerprint") or UNKNOWN


def _code(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "revision", facts.get("code_revision") or UNKNOWN
    if facts.get("versions"):
        yield "packages", _packages(facts["versions"])


def _formats(facts: Mapping[str, Any]) -> list[str]:
    """Each exported format, where it lies in the version, and how it proved itself; none if it doesn't say so."""
    try:
        rows = [
            (
                name,
                "." if name == "saved_model" else f"{EXTRAS}/{proved.get('path', '')}",
                amount(proved.get("bytes", 0), "B"),
                str(proved.get("runtime", "")),
                *(f"{proved[key]:.4f}" if key in proved else "" for key in ("accuracy", "agreement")),
                f"{proved['latency_ms']:.3g} ms" if "latency_ms" in proved else "",
            )
            for name, proved in (facts.get("formats") or {}).items()
        ]
    except ODD_JSON:
        return []
    return [table(rows, ("format", "file", "size", "run by", "accuracy", "same class", "one picture"))] if rows else []


def _files(version: "Version") -> str:
    rows = [(path, f"{file.bytes:,}", file.sha256[:SHOWN_DIGITS]) for path, file in version.files.items()]
    return table(rows, ("file", "bytes", "sha256"))


def _packages(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _indented(rows: list[tuple[str, str]]) -> str:
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"  {printable(label):<{width}}  {printable(str(value))}".rstrip() for label, value in rows)
