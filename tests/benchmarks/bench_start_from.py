"""Measures what starting from a trained model is worth, and what a backbone on large pictures takes.

    PYTHONPATH=. python tests/benchmarks/bench_start_from.py --pictures cifar10-jpeg.tar.gz [--minutes 12] [--large]

`--pictures`: an archive of CIFAR-10 as train/<class>/*.jpg and test/<class>/*.jpg. The network of the profile
cifar10-fast learns eight of the classes, all 40,000 pictures of them. Then the other two, 50 pictures a class, are
learned by the same network from scratch, and from that model: all its layers frozen at first, so that only the last,
made anew for the two classes, trains; then all of them at a hundredth of the rate. Five seeds each, every seed with
pictures of its own. Told: test accuracy on the 2,000 test pictures of the two classes, with the t interval of the mean
at 95 %.

The pairs that are held out were fixed before anything was measured, by the alphabet: the first class and the second,
the third and the fourth, and so on, so that each class is held out once; as many of them, in this order, as `--minutes`
allow. How each way trains was chosen on automobile and horse, which are none of the pairs, with two seeds and 600 test
pictures: from scratch 0.815, 0.908 and 0.924 at rates of 0.002 and 0.0005, and for 60 epochs; from the model 0.982.

Found by that, on two idle cores of an Intel Xeon with AMX, November 2026, with the intervals of the mean:

    airplane, automobile   scratch 0.830 (0.755 to 0.905)   start_from 0.897 (0.887 to 0.906)
    bird, cat              scratch 0.695 (0.675 to 0.714)   start_from 0.714 (0.701 to 0.727)
    deer, dog              scratch 0.730 (0.691 to 0.769)   start_from 0.787 (0.776 to 0.798)
    in all 15 trainings    0.048 gained, 0.0055 in the least case

`--large`: all five steps on 300 of the pictures, enlarged to 224 x 224, with an EfficientNetV2B0 without weights, for
one epoch, batch 16: time, and the most memory of a process of each step. Found on two cores beside other work: 115 s,
58 of them in train; 0.08 GB to preprocess, 2.33 to train, 0.97 to evaluate, 1.10 to export.
"""

import argparse
import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(pathlib.Path(__file__).parent)]

FEW, SEEDS = 50, 5
COMMON = {"architecture": "fast", "batch_size": 20, "augment_flip": True, "augment_shift": 2, "precision": "auto"}
SCRATCH = {"epochs": 50, "learning_rate": 0.001}
STARTED = {"epochs": 30, "learning_rate": 0.01, "freeze": "23", "freeze_epochs": 25, "unfreeze_rate": 0.01}
LARGE_CLASSES = ("automobile", "horse")
STEPS = ("download", "preprocess", "train", "evaluate", "export")
LARGE_ARCHITECTURE = [{"EfficientNetV2B0": {"pooling": "avg"}}]

Pictures = dict[tuple[str, str], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", help="an archive of CIFAR-10's pictures; without it nothing is measured")
    parser.add_argument("--learned", type=int, default=5000, help="pictures of each class that the first model learns")
    parser.add_argument("--tested", type=int, default=1000, help="test pictures of each class")
    parser.add_argument("--epochs", type=int, default=4, help="of the first model")
    parser.add_argument("--minutes", type=float, default=12, help="no pair is begun that would take longer")
    parser.add_argument("--large", action="store_true", help="the backbone on large pictures instead")
    arguments = parser.parse_args()
    if not arguments.pictures:
        print("not measured: give --pictures, an archive of CIFAR-10 as train/<class>/*.jpg and test/<class>/*.jpg")
        return
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        if arguments.large:
            large(arguments.pictures, work)
        else:
            small(arguments, work)


def small(arguments: argparse.Namespace, work: pathlib.Path) -> None:
    """Accuracy from scratch and with start_from, pair by pair."""
    began = time.perf_counter()
    counts = {"train": max(arguments.learned, SEEDS * FEW), "test": arguments.tested}
    found = read_pictures(arguments.pictures, counts)
    classes = sorted({name for _, name in found})
    gains: list[float] = []
    took = 0.0
    for pair in zip(classes[::2], classes[1::2], strict=True):
        start = time.perf_counter()
        if gains and start + took - began > 60 * arguments.minutes:
            print(f"no time for {' and '.join(pair)} and what follows it")
            break
        folder = work / "-".join(pair)
        known = [name for name in classes if name not in pair]
        first = first_settings() | {"epochs": arguments.epochs}
        learn(folder / "first", [found["train", name][: arguments.learned] for name in known], first)
        reached = accuracy(folder / "first", [found["test", name] for name in known])
        scratch, started = compare(folder, found, pair)
        gained = np.subtract(started, scratch).tolist()
        gains += gained
        took = time.perf_counter() - start
        print(f"{' and '.join(pair)}: from scratch {interval(scratch)}, start_from {interval(started)}")
        print(f"  gained {interval(gained)}; the first model has {reached:.3f} on its eight; {took:.0f} s", flush=True)
    print(f"gained over all {len(gains)}: {np.mean(gains):.4f} in the mean, {min(gains):.4f} at least")


def compare(folder: pathlib.Path, found: Pictures, pair: tuple[str, str]) -> tuple[list[float], list[float]]:
    """The accuracies by seed, from scratch and from `folder`/first."""
    accuracies: tuple[list[float], list[float]] = [], []
    for seed in range(SEEDS):
        few = [found["train", name][seed * FEW : (seed + 1) * FEW] for name in pair]
        ways = SCRATCH, {"start_from": str(folder / "first"), **STARTED}
        for values, way in zip(accuracies, ways, strict=True):
            model = folder / f"{seed}-{len(way)}"
            learn(model, few, {**COMMON, **way, "seed": seed})
            values.append(accuracy(model, [found["test", name] for name in pair]))
    return accuracies


def first_settings() -> dict[str, Any]:
    """What the profile cifar10-fast says of training."""
    from components.train.settings import TrainSettings

    profile = yaml.safe_load((ROOT / "pipeline/profiles/cifar10-fast.yaml").read_text())
    given = {name: value for name, value in profile.items() if name in TrainSettings.model_fields}
    return given | {"optimizer": json.dumps(given["optimizer"]), "average_mirrored": False}


def large(archive: str, work: pathlib.Path) -> None:
    """All steps on a folder of large pictures."""
    from PIL import Image

    for (_, name), pictures in read_pictures(archive, {"train": 150}).items():
        if name in LARGE_CLASSES:
            (work / "photos" / name).mkdir(parents=True)
            for number, picture in enumerate(pictures):
                enlarged = Image.fromarray(picture).resize((224, 224), Image.Resampling.BICUBIC)
                enlarged.save(work / "photos" / name / f"{number}.jpg", quality=90)
    settings = [f"architecture={json.dumps(LARGE_ARCHITECTURE)}", f"source={work}/photos", "epochs=1", "batch_size=16"]
    command = [sys.executable, "-m", "pipeline", "run-local", "--runner", "process", "--outputs", str(work / "runs")]
    began = time.perf_counter()
    with subprocess.Popen([*command, "--", *settings], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        step, began_in, most = "start", dict[int, str](), dict[str, int]()
        watched = threading.Event()

        def watch() -> None:
            while not watched.wait(0.1):
                for one, size in resident(process.pid).items():
                    its = began_in.setdefault(one, step)  # that of before may take a while to end
                    most[its] = max(most.get(its, 0), size)

        watcher = threading.Thread(target=watch)
        watcher.start()
        for line in process.stdout:
            print(line, end="", flush=True)
            step = line.strip() if line.strip() in STEPS else step
        watched.set()
        watcher.join()
    assert process.returncode == 0
    told = ", ".join(f"{name} {size / 1e9:.2f}" for name, size in most.items() if name != "start")
    print(f"300 pictures of 224 x 224, EfficientNetV2B0: {time.perf_counter() - began:.0f} s")
    print(f"GB at most in one process: {told}")


def resident(process: int) -> dict[int, int]:
    """The memory of a process's descendants in bytes, by their ids; what they share counts for each."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            said = dict(line.split(":", 1) for line in path.read_text().splitlines())
            parents[int(path.parent.name)] = int(said["PPid"])
            sizes[int(path.parent.name)] = 1024 * int(said.get("VmRSS", "0 kB").split()[0])
    below, found = {process}, dict[int, int]()
    while below:
        below = {child for child, parent in parents.items() if parent in below}
        found |= {child: sizes[child] for child in below}
    return found


def read_pictures(archive: str, counts: dict[str, int]) -> Pictures:
    """The first pictures of each split's classes: uint8 [n, 32, 32, 3] by split and class."""
    from PIL import Image

    found: dict[tuple[str, str], list[np.ndarray]] = {}
    with tarfile.open(archive) as members:
        for member in members:
            split, _, rest = member.name.partition("/")
            name, _, file = rest.partition("/")
            if not file or len(found.setdefault((split, name), [])) >= counts.get(split, 0):
                continue
            extracted = members.extractfile(member)
            assert extracted, member.name
            found[split, name].append(np.asarray(Image.open(io.BytesIO(extracted.read())).convert("RGB")))
    return {key: np.stack(pictures) for key, pictures in found.items() if pictures}


def learn(model: pathlib.Path, classes: list[np.ndarray], settings: dict[str, Any]) -> None:
    """Trains on pictures by class; the model artifact is at `model`."""
    from components.train.run import train
    from components.train.settings import TrainSettings
    from tests.datasets import write_dataset

    labels = np.repeat(np.arange(len(classes)), [len(pictures) for pictures in classes])
    splits = {"train": (np.concatenate(classes), labels)}
    dataset = write_dataset(
        model.with_name(f"{model.name}-dataset"), splits, len(classes), hashes=np.arange(len(labels))
    )
    train(TrainSettings.checked(**settings, verbose="0"), str(dataset), str(model), f"{model}-board")


def accuracy(model: pathlib.Path, classes: list[np.ndarray]) -> float:
    """The share of pictures, by class, that the model gives their class."""
    from components.core.artifacts.model import load_model

    loaded = load_model(model / "model.keras")
    right = [
        loaded.predict(pictures, batch_size=500, verbose=0).argmax(axis=1) == label
        for label, pictures in enumerate(classes)
    ]
    return float(np.concatenate(right).mean())


def interval(values: Iterable[float]) -> str:
    """`0.6010 (0.5900 to 0.6120)`: the mean, and its t interval at 95 %."""
    from scipy import stats

    found = np.array(list(values))
    half = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5
    return f"{found.mean():.4f} ({found.mean() - half:.4f} to {found.mean() + half:.4f})"


if __name__ == "__main__":
    main()
