"""Measures the recipe of the profile cifar10-fast on a GPU, by Keras on JAX: images a second, the share of the card's
peak that they are, and seconds to 94 %, with and without compilation, beside a plain PyTorch training of the same
network.

    PYTHONPATH=. python tests/benchmarks/bench_gpu.py [--pictures ARCHIVE] [--width 2] [--tiny] [NAME=VALUE...]

It takes keras, jax and numpy, which a bare machine with a GPU has; PyTorch is measured if it is there. Without pictures
it trains on noise, and tells no accuracy. ARCHIVE is cifar-10-binary.tar.gz, or a .tar.gz of train/<class>/ and
test/<class>/ (which takes Pillow). --width multiplies the network's filters; at 2 it is as wide as airbench's. --tiny
shows on any machine that it runs. The second training takes what the first has compiled, from the same first weights.
"""

import argparse
import dataclasses
import io
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import time
import types
from typing import Any

import numpy as np

from components.core.framework import load_keras
from components.train.data import make_feed
from components.train.device import Device, choose_policy, find_device
from components.train.network.architecture import ARCHITECTURES
from components.train.network.augment import make_augmentation
from components.train.network.layer_list import LayerSpec
from components.train.network.model import build_model
from components.train.network.training_model import training_model_class
from components.train.optimizer import LearningRate
from components.train.phases import Phase
from pipeline.keras_side.costs import TRAINING_TIMES, layer_costs

# pipeline/profiles/cifar10-fast.yaml, as a machine without PyYAML reads it; a test compares.
RECIPE = {
    "optimizer": {
        "Muon": {
            "momentum": 0.9,
            "ns_steps": 3,
            "weight_decay": 0.0,
            "adam_lr_ratio": 0.1,
            "adam_beta_1": 0.85,
            "adam_beta_2": 0.95,
            "adam_weight_decay": 0.0,
        }
    },
    "learning_rate": 0.1,
    "schedule": "linear",
    "warmup": 0.2,
    "batch_size": 500,
    "epochs": 13,
    "label_smoothing": 0.1,
    "augment_flip": True,
    "augment_shift": 2,
    "average_mirrored": True,
    "precision": "auto",
}
TINY = {"batch_size": 50, "epochs": 2, "pictures": 200, "width": 0.25}
GOAL = 0.94
CLASSES = 10
# TFLOP/s of dense bfloat16 products (float16 before Ampere) with float32 sums, from NVIDIA's data sheets, by words of
# the names that JAX gives the cards: the first that fits. A slice of a card is not known.
PEAKS = {
    "MIG": None, "H100 PCIe": 756, "H100 NVL": 835, "H200 NVL": 835, "H100": 989, "H200": 989, "A100": 312, "A10": 125,
    "L40S": 362, "L4": 121, "T4": 65, "V100": 125,
}  # fmt: skip
TORCH_S = 180

Split = tuple[np.ndarray, np.ndarray]  # uint8 [n, 32, 32, 3], int64 [n]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", metavar="ARCHIVE")
    parser.add_argument("--width", type=float, default=1, help="times the profile's filters")
    parser.add_argument("--tiny", action="store_true", help="a little of everything, on a GPU or not")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help=f"of {', '.join(RECIPE)}; the value as JSON")
    arguments = parser.parse_args()
    given = {name: _value(text) for name, _, text in (setting.partition("=") for setting in arguments.settings)}
    if unknown := sorted(set(given) - set(RECIPE)):
        parser.error(f"expected settings of {', '.join(RECIPE)}; received {', '.join(unknown)}")
    settings = recipe(**{**(TINY if arguments.tiny else {"pictures": 50_000, "width": arguments.width}), **given})

    sys.stdout.reconfigure(line_buffering=True)  # whoever ends it half-way has the figures up to there
    load_keras("jax")
    device = find_device("auto")
    if not device.gpus and not arguments.tiny:
        print(f"not measured: no GPU here, but {device.name}")
        return
    splits = read_pictures(arguments.pictures) if arguments.pictures else noise(settings.pictures)
    with device.scope():
        measure(settings, device, splits, known=bool(arguments.pictures))


def recipe(**given: Any) -> types.SimpleNamespace:
    """The settings of a training: what is given, else the profile's, and of all others that nothing is asked."""
    unasked = {"freeze": "", "freeze_epochs": 0, "unfreeze_rate": 1.0, "augmentation": "", "gate_metric": "accuracy"}
    settings = types.SimpleNamespace(**{**RECIPE, **given}, **unasked, seed=0)
    settings.optimizer = json.dumps(settings.optimizer)
    return settings


def model_to_train(
    settings: types.SimpleNamespace, layers: list[LayerSpec], shape: tuple, policy: str, steps: int, a_call: int
) -> Any:
    """The model as the train step has it, about to take so many steps, `a_call` of them at once."""
    trained = training_model_class(make_augmentation(settings, shape), None)
    model = build_model(layers, shape, CLASSES, policy, trained, fused=True, logits=True)
    Phase(0, settings.epochs).prepare(model, settings, LearningRate.of(settings, steps), policy, a_call)
    return model


def measure(settings: types.SimpleNamespace, device: Device, splits: dict[str, Split], known: bool) -> None:
    """Prints each figure once it is there. `known`: whether the pictures are such that an accuracy says something."""
    import jax
    import keras

    training = Training(settings, device, splits)
    versions = f"Keras {keras.__version__} on JAX {jax.__version__}"
    print(f"{device.name}, {training.policy}, {versions}; {training.model.count_params():,} weights")
    for name in ("with", "without"):
        run = training.run(known)
        print(f"{name} compilation: {training.count * len(run) / sum(run):,.0f} images/s, {sum(run):.2f} s of training")
        if known:
            reached = next((epoch for epoch, right in enumerate(training.accuracies, 1) if right >= GOAL), None)
            took = f"{sum(run[:reached]):.2f} s, after epoch {reached}" if reached else "not reached"
            print(f"  seconds to {GOAL:.0%}: {took}; at the end {training.accuracies[-1]:.4f}")
    rate = training.count / float(np.median(run))
    told = share(rate * training.operations, device.name, device.count)
    print(f"an epoch of the second training: {rate:,.0f} images/s{told}")
    plain = plain_pytorch(settings, training.filters)
    if isinstance(plain, str):
        print(f"plain PyTorch: not measured, {plain}")
    else:
        theirs = share(plain["rate"] * training.operations, plain["device"])
        print(f"plain PyTorch {plain['version']} on {plain['device']}: {plain['rate']:,.0f} images/s{theirs}", end="; ")
        print(f"ours {rate / plain['rate']:.2f} times as many")


class Training:
    """The recipe's training, as often as asked, always from the same first weights."""

    def __init__(self, settings: types.SimpleNamespace, device: Device, splits: dict[str, Split]):
        import keras

        keras.utils.set_random_seed(settings.seed)
        self.settings, (self.test, self.truth) = settings, splits["test"]
        self.policy = choose_policy(settings.precision, device)
        layers = wider(ARCHITECTURES["fast"], settings.width)
        self.filters = [layer.arguments["filters"] for layer in layers if layer.type == "Conv2D"]
        pictures = Pictures(*splits["train"])
        self.count, shape = len(pictures), pictures.shape
        self.feed = make_feed(pictures, settings.batch_size, settings.seed, device.has_room_for(pictures.images.nbytes))
        steps = settings.epochs * self.feed.steps
        self.model = model_to_train(settings, layers, shape, self.policy, steps, device.steps_a_call)
        self.asked = build_model(layers, shape, CLASSES, average_mirrored=settings.average_mirrored)
        self.operations = TRAINING_TIMES * sum(
            layer.flops or 0 for layer in layer_costs(build_model(layers, shape, CLASSES))
        )
        self.variables = [*self.model.variables, *self.model.optimizer.variables]
        self.first = [keras.ops.convert_to_numpy(variable) for variable in self.variables]

    def run(self, measured: bool) -> list[float]:
        """Seconds of each epoch, of its steps alone. `accuracies` are then those on the test pictures after each."""
        import keras

        from components.train.callbacks import Callbacks

        for variable, value in zip(self.variables, self.first, strict=True):
            variable.assign(value)
        seconds: list[float] = []
        self.accuracies: list[float] = []
        training = self

        class Clock(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
                self.began = time.perf_counter()

            def on_train_batch_end(self, step: int, logs: dict | None = None) -> None:
                if step + 1 >= training.feed.steps:
                    float(logs["loss"])  # waits for the device
                    seconds.append(time.perf_counter() - self.began)

            def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
                if measured:
                    training.accuracies.append(training.accuracy())

        epochs, each = self.settings.epochs, [self.feed.reorder, Clock()]
        callbacks = Callbacks(each, add_history=True, model=self.model, epochs=epochs, steps=self.feed.steps)
        self.model.fit(self.feed.batches, epochs=epochs, callbacks=callbacks, verbose=0, shuffle=False)
        return seconds

    def accuracy(self) -> float:
        self.asked.set_weights(self.model.get_weights())
        answers = self.asked.predict(self.test, batch_size=2000, verbose=0)
        return float((answers.argmax(axis=1) == self.truth).mean())


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures in memory, for the feed, which otherwise reads them from a dataset artifact."""

    images: np.ndarray
    labels: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape[1:]

    def __len__(self) -> int:
        return len(self.labels)

    def pictures(self, places: np.ndarray) -> np.ndarray:
        return self.images[places]


def wider(layers: list[LayerSpec], times: float) -> list[LayerSpec]:
    return [
        dataclasses.replace(layer, arguments={**layer.arguments, "filters": int(layer.arguments["filters"] * times)})
        if "filters" in layer.arguments
        else layer
        for layer in layers
    ]


def share(operations: float, device: str, count: int = 1) -> str:
    """`, 98.7 TFLOP/s, 10.0% of the card's 989`, or of so many cards' peak, if that is known."""
    peak = next((peak for name, peak in PEAKS.items() if re.search(rf"\b{name}\b", device)), None)
    known = f", {operations / 1e12 / peak / count:.1%} of the card's {peak}" if peak else ""
    return f", {operations / 1e12:.3g} TFLOP/s{known}"


def plain_pytorch(settings: types.SimpleNamespace, filters: list[int]) -> dict | str:
    """What plain_pytorch.py found, in a process of its own; or why there is nothing."""
    asked = {"filters": filters, "batch": settings.batch_size, "pictures": settings.pictures}
    script = pathlib.Path(__file__).with_name("plain_pytorch.py")
    command = [sys.executable, script, json.dumps(asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TORCH_S)
    except subprocess.TimeoutExpired:
        return f"it took more than {TORCH_S} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    return json.loads(done.stdout.splitlines()[-1])


def noise(count: int) -> dict[str, Split]:
    random = np.random.default_rng(0)
    return {
        split: (random.integers(0, 256, (n, 32, 32, 3), np.uint8), random.integers(0, CLASSES, n))
        for split, n in {"train": count, "test": max(1, count // 5)}.items()
    }


def read_pictures(path: str) -> dict[str, Split]:
    """Training and test pictures of an archive; either form is told by its files' names."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"train": [], "test": []}
    classes: dict[str, int] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            parts = pathlib.PurePosixPath(member.name).parts
            if not member.isfile():
                continue
            data = archive.extractfile(member).read()
            if parts[-1].endswith("batch.bin") or parts[-1].startswith("data_batch"):
                records = np.frombuffer(data, np.uint8).reshape(-1, 3073)
                images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                found["test" if parts[-1].startswith("test") else "train"].append((images, records[:, 0]))
            elif len(parts) >= 3 and parts[-3] in found:
                from PIL import Image

                label = classes.setdefault(parts[-2], len(classes))
                image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
                found[parts[-3]].append((image[None], np.array([label])))
    return {
        split: (
            np.concatenate([images for images, _ in parts]),
            np.concatenate([labels for _, labels in parts]).astype(np.int64),
        )
        for split, parts in found.items()
    }


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
