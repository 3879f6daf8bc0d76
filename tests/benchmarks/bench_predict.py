"""Classifying picture files beside Keras's own predict on pictures that are already in memory.

    PYTHONPATH=. python tests/benchmarks/bench_predict.py MODEL FOLDER [--pictures 10000] [--rounds 3]

MODEL is a model artifact with model.keras, FOLDER is of pictures. The three take turns, and each says pictures a second
and processor seconds; the ratio is of medians. The article's model and CIFAR-10's 10,000 test pictures as JPEG, two
cores beside other work: predict takes 19 to 21 processor seconds, in batches of 256 17 to 20, the files 17, of which
decoding them is 0.5.
"""

import argparse
import os
import pathlib
import statistics
import time
from collections.abc import Callable

from components.core.framework import load_model
from components.export.classify import BATCH, _decoded, classify, open_classifier

WANTED = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    files = sorted(file for file in arguments.folder.rglob("*") if file.is_file())[: arguments.pictures]
    classifier = open_classifier(arguments.model)
    model = load_model(arguments.model / "model.keras")
    pictures, _ = _decoded(files, classifier.target)
    contestants: dict[str, Callable[[int], object]] = {
        "model.predict": lambda count: model.predict(pictures[:count], verbose=0),
        f"model.predict, batches of {BATCH}": lambda count: model.predict(pictures[:count], BATCH, verbose=0),
        "files, classified": lambda count: list(classify(classifier, files[:count])),
    }
    for run in contestants.values():
        run(2 * BATCH)
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(arguments.rounds):
        for name, run in contestants.items():
            began, before = time.perf_counter(), os.times()
            run(len(files))
            seconds, after = time.perf_counter() - began, os.times()
            processor = after.user + after.system - before.user - before.system
            rates[name].append(len(files) / seconds)
            print(f"{name}: {rates[name][-1]:,.0f} pictures/s, {processor:.1f} processor seconds", flush=True)
    plain, _, ours = (statistics.median(found) for found in rates.values())
    print(f"files at {ours / plain:.0%} of plain model.predict (wanted: {WANTED:.0%} or more)")


if __name__ == "__main__":
    main()
