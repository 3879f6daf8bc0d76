"""MODEL_CARD.md: the facts of the artifacts, for whoever is about to use the model."""
import json
import pathlib

from components.export.manifest import Manifest


def write_card(path: pathlib.Path, manifest: Manifest, metrics: dict, model_path: str) -> None:
    """Writes the card as Markdown."""
    training = json.loads((pathlib.Path(model_path) / "training.json").read_text(encoding="utf-8"))
    height, width, channels = manifest.image_shape
    low, high = metrics["accuracy_interval_95"]
    classes = "\n".join(
        f"| {name} | {score['precision']:.3f} | {score['recall']:.3f} | {score['f1']:.3f} | {score['support']} |"
        for name, score in zip(manifest.class_names, metrics["per_class"], strict=True)
    )
    settings = "\n".join(f"- {name}: {value}" for name, value in training["settings"].items())
    path.write_text(
        f"""# {manifest.model_name}, version {manifest.model_version}

Sorts pictures into {len(manifest.class_names)} classes: {", ".join(manifest.class_names)}.

## How well

Test accuracy {manifest.accuracy:.4f} (95 % interval {low:.4f} to {high:.4f}), test loss {manifest.loss:.4f}, on
{metrics["test_pictures"]:,} pictures that were not used for training.

| class | precision | recall | F1 | pictures |
| --- | --- | --- | --- | --- |
{classes}

## How to use it

Input: uint8 pictures, {height} x {width} x {channels} (height, width, channels), values 0 to 255; scaling is inside the
model. Output: the class name, and a probability for each class in the order above.

    import tensorflow as tf
    serve = tf.saved_model.load("saved_model/{manifest.model_version}").signatures["serving_default"]
    serve(images=pictures)["class_name"]

## Data

- data set: {manifest.dataset}
- fingerprint: {manifest.dataset_fingerprint}
- source: {manifest.source_uri}
- source sha256: {manifest.source_sha256}

## Training

{settings}

Versions: {", ".join(f"{name} {version}" for name, version in manifest.versions.items())}
""",
        encoding="utf-8",
    )
