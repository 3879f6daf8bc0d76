"""Classifying picture files beside Keras's own predict on pictures that are already in memory.

    PYTHONPATH=. python tests/benchmarks/bench_predict.py [--model MODEL --folder FOLDER] [--pictures N] [--rounds N]

MODEL is an export or a model artifact, with model.keras in it; FOLDER is of pictures. Without them the pictures are
noise, and the model is the article's, which has seen 250 of them. The three take turns; a ratio is of medians.

The article's model and CIFAR-10's 10,000 test pictures as JPEG, two cores beside other work, classified by the
SavedModel of an export: plain predict takes 18 to 19 processor seconds, in batches of 256 16 to 17, the files 17 to 18,
of which decoding them is 0.5. Files at 153 % of plain predict's pictures a second; from the model artifact, 130 %.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np

from tests.benchmarks.bench_train import write_pictures

WANTED = 0.9


def main() -> None:
    with given(__doc__) as (model, folder, _, arguments):
        race(model, folder, arguments.pictures, arguments.rounds)


@contextlib.contextmanager
def given(description: str | None) -> Iterator[tuple[pathlib.Path, pathlib.Path, pathlib.Path, argparse.Namespace]]:
    """The model and the folder that the command line names, else noise's; a scratch directory; --pictures, --rounds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        model, folder, scratch = arguments.model, arguments.folder, pathlib.Path(directory)
        if not (model and folder):
            model, folder = noise(scratch, arguments.pictures)
        yield model, folder, scratch, arguments


def noise(directory: pathlib.Path, count: int) -> tuple[pathlib.Path, pathlib.Path]:
    """A model artifact, and a folder of JPEG files of its size."""
    from PIL import Image

    from components.train.run import train
    from components.train.settings import TrainSettings

    dataset, model, folder = (directory / name for name in ("dataset", "model", "pictures"))
    write_pictures(dataset, None, 250)
    train(TrainSettings(epochs=1, verbose="0"), str(dataset), str(model), str(directory / "board"))
    folder.mkdir()
    for number, pixels in enumerate(np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3), np.uint8)):
        Image.fromarray(pixels).save(folder / f"{number:05d}.jpg")
    return model, folder


def race(place: pathlib.Path, folder: pathlib.Path, count: int, rounds: int) -> None:
    """Lets them take turns, and prints what came of it."""
    from components.core.artifacts.model import load_model
    from components.core.machine import MOST_AT_ONCE
    from components.core.pictures.decode import decode
    from pipeline.keras_side.classify import classify, open_classifier

    files = sorted(file for file in folder.rglob("*") if file.is_file())[:count]
    classifier = open_classifier(place)
    model = load_model(place / "model.keras")
    pictures = np.array([decode(file.read_bytes(), None, classifier.target).pixels for file in files])
    contestants: dict[str, Callable[[int], object]] = {
        "model.predict": lambda count: model.predict(pictures[:count], verbose=0),
        f"model.predict, batches of {MOST_AT_ONCE}": lambda count: model.predict(
            pictures[:count], MOST_AT_ONCE, verbose=0
        ),
        "files, classified": lambda count: list(classify(classifier, files[:count])),
    }
    for run in contestants.values():
        run(2 * MOST_AT_ONCE)
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    work: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            began, before = time.perf_counter(), os.times()
            run(len(files))
            seconds, after = time.perf_counter() - began, os.times()
            work[name].append(after.user + after.system - before.user - before.system)
            rates[name].append(len(files) / seconds)
            print(f"{name}: {rates[name][-1]:,.0f} pictures/s, {work[name][-1]:.1f} processor seconds", flush=True)
    *others, ours = contestants
    for name in others:
        by_clock = statistics.median(rates[ours]) / statistics.median(rates[name])
        by_work = statistics.median(work[name]) / statistics.median(work[ours])
        print(f"files at {by_clock:.0%} of {name}, by processor seconds {by_work:.0%}")
    print(f"wanted: {WANTED:.0%} or more of model.predict")


if __name__ == "__main__":
    main()
