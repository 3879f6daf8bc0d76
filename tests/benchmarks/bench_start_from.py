"""Measures what starting from a trained model is worth, and what a backbone on large pictures takes.

    python tests/benchmarks/bench_start_from.py --pictures cifar10-jpeg.tar.gz [--large]

`--pictures`: an archive of CIFAR-10 as train/<class>/*.jpg and test/<class>/*.jpg. A small network learns eight of the
classes, 1,000 pictures of each. Then the other two, 50 pictures a class, are learned by the same network from scratch
and from that model, its convolutions frozen for the first quarter; five seeds each, every seed with pictures of its
own. Told: test accuracy on 2,000 pictures, with the t interval of the mean at 95 %.

Found so far, with a first model that had learned little (--learned 500 --epochs 8 --tested 500): nothing is gained.
automobile and horse: 0.855 (0.839 to 0.871) from scratch, 0.850 (0.842 to 0.859) from it. cat and dog, frozen otherwise
(6 layers, 20 epochs, a tenth of the rate after): 0.546 (0.519 to 0.573) and 0.515 (0.476 to 0.555).
What a better one is worth has not been measured yet.

`--large`: all five steps on 300 of the pictures, enlarged to 224 x 224, with an EfficientNetV2B0 without weights, for
one epoch: time, and the most memory that a process took, of those that the command itself waited for. Found on two busy
cores, batch 16: 115 s, 58 of them in train.
"""

import argparse
import io
import json
import pathlib
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(pathlib.Path(__file__).parent)]

NEW = ("automobile", "horse")
FEW, SEEDS = 50, 5
BODY = [
    {"Conv2D": {"filters": 32, "kernel_size": 3, "activation": "relu", "padding": "same"}},
    {"MaxPooling2D": {}},
    {"Conv2D": {"filters": 64, "kernel_size": 3, "activation": "relu", "padding": "same"}},
    {"MaxPooling2D": {}},
    {"Conv2D": {"filters": 64, "kernel_size": 3, "activation": "relu", "padding": "same"}},
    {"GlobalAveragePooling2D": {}},
    {"Dense": {"units": 64, "activation": "relu"}},
]
LARGE_ARCHITECTURE = [{"EfficientNetV2B0": {"pooling": "avg"}}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", help="an archive of CIFAR-10's pictures; without it nothing is measured")
    parser.add_argument("--learned", type=int, default=1000, help="pictures of each class that the first model learns")
    parser.add_argument("--tested", type=int, default=1000, help="test pictures of each of the two classes")
    parser.add_argument("--epochs", type=int, default=12, help="of the first model")
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
    """Accuracy from scratch and with start_from."""
    found = read_pictures(arguments.pictures, {"train": max(arguments.learned, SEEDS * FEW), "test": arguments.tested})
    known = sorted({name for split, name in found if split == "train"} - set(NEW))
    ancestor = work / "ancestor"
    first = [found["train", name][: arguments.learned] for name in known]
    learn(work, ancestor, first, epochs=arguments.epochs, batch_size=100)
    test = [found["test", name] for name in NEW]
    accuracies: dict[str, list[float]] = {"from scratch": [], "start_from": []}
    for seed in range(SEEDS):
        few = [found["train", name][seed * FEW : (seed + 1) * FEW] for name in NEW]
        common = {"epochs": 40, "batch_size": 20, "seed": seed, "learning_rate": 0.002}
        started = {"start_from": str(ancestor), "freeze": "5", "freeze_epochs": 10, "unfreeze_rate": 0.5, **common}
        for name, settings in (("from scratch", common), ("start_from", started)):
            model = work / f"{name}-{seed}"
            learn(work, model, few, **settings)
            accuracies[name].append(accuracy(model, test))
        print("  ".join(f"{name} {values[-1]:.4f}" for name, values in accuracies.items()), flush=True)
    for name, values in accuracies.items():
        print(f"{name:14} {interval(values)}")
    gained = np.subtract(accuracies["start_from"], accuracies["from scratch"])
    print(f"{'gained':14} {interval(gained)}")


def large(archive: str, work: pathlib.Path) -> None:
    """All steps on a folder of large pictures."""
    from PIL import Image

    for (_, name), pictures in read_pictures(archive, {"train": 150}).items():
        if name in NEW:
            (work / "photos" / name).mkdir(parents=True)
            for number, picture in enumerate(pictures):
                enlarged = Image.fromarray(picture).resize((224, 224), Image.Resampling.BICUBIC)
                enlarged.save(work / "photos" / name / f"{number}.jpg", quality=90)
    settings = [f"architecture={json.dumps(LARGE_ARCHITECTURE)}", f"source={work}/photos", "epochs=1", "batch_size=16"]
    command = [sys.executable, "-m", "pipeline", "run-local", "--runner", "process", "--outputs", str(work / "runs")]
    began = time.perf_counter()
    subprocess.run([*command, "--", *settings], cwd=ROOT, check=True)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"300 pictures of 224 x 224, EfficientNetV2B0: {time.perf_counter() - began:.0f} s, {memory:.2f} GB at most")


def read_pictures(archive: str, counts: dict[str, int]) -> dict[tuple[str, str], np.ndarray]:
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


def learn(work: pathlib.Path, model: pathlib.Path, classes: list[np.ndarray], **settings) -> None:
    """Trains on pictures by class; the model artifact is at `model`."""
    from made_dataset import write_info

    from components.core.artifacts.dataset import Shard, SplitInfo
    from components.core.artifacts.tfrecord import RecordWriter
    from components.train.run import train
    from components.train.settings import TrainSettings

    dataset = work / f"dataset-{model.name}"
    dataset.mkdir()
    with (dataset / "train.tfrecord").open("wb") as file:
        writer = RecordWriter(file)
        for label, pictures in enumerate(classes):
            for picture in pictures:
                writer.write(picture.tobytes(), label)
    shard = Shard(name="train.tfrecord", count=writer.count, sha256=writer.digest.hexdigest())
    counts = [len(pictures) for pictures in classes]
    split = SplitInfo(count=writer.count, per_class=counts, shards=[shard])
    write_info(dataset, (32, 32, 3), len(classes), {"train": split})
    given = TrainSettings(architecture=json.dumps(BODY), verbose="0", **settings)
    train(given, str(dataset), str(model), str(work / "board"))


def accuracy(model: pathlib.Path, classes: list[np.ndarray]) -> float:
    """The share of pictures, by class, that the model gives their class."""
    from components.core.artifacts.model import load_model

    loaded = load_model(model / "model.keras")
    right = [loaded.predict(pictures, verbose=0).argmax(axis=1) == label for label, pictures in enumerate(classes)]
    return float(np.concatenate(right).mean())


def interval(values: Iterable[float]) -> str:
    """`0.6010 (0.5900 to 0.6120)`: the mean, and its t interval at 95 %."""
    from scipy import stats

    found = np.array(list(values))
    half = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5
    return f"{found.mean():.4f} ({found.mean() - half:.4f} to {found.mean() + half:.4f})"


if __name__ == "__main__":
    main()
