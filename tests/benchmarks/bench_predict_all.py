"""Answering many pictures beside plain batched predict plus decoding, by processor time in one process.

    PYTHONPATH=. python tests/benchmarks/bench_predict_all.py [--model MODEL --folder FOLDER]
        [--pictures 10000] [--rounds 3]

MODEL is an export or a model artifact; FOLDER is of pictures. Without them the pictures are noise, as JPEG, and the
model is the article's, which has seen 250 of them. Plain is the least that can be done: each file read and decoded to
the model's shape, and the model asked in batches of the same size. The two take turns; the ratio is of medians.
"""

import os
import pathlib
import statistics
import time
from collections.abc import Callable

import numpy as np

from tests.benchmarks.bench_predict import given

WANTED = 0.9


def main() -> None:
    with given(__doc__) as (model, folder, scratch, arguments):
        race(model, folder, scratch, arguments.pictures, arguments.rounds)


def race(place: pathlib.Path, folder: pathlib.Path, scratch: pathlib.Path, count: int, rounds: int) -> None:
    """Lets them take turns, and prints what came of it."""
    from components.core.artifacts.reference import Reference, tenths
    from components.core.machine import MOST_AT_ONCE
    from components.core.pictures.appearance import looks_of
    from components.core.pictures.decode import decode
    from components.predict.answering import batches_of
    from components.predict.answers import AnsweringModel
    from components.predict.champion import Served
    from components.predict.run import answer_all
    from components.predict.settings import AnswerSettings
    from pipeline.keras_side.classify import open_classifier

    files = sorted(file for file in folder.rglob("*") if file.is_file())[:count]
    some = scratch / "some"
    some.mkdir()
    for number, file in enumerate(files):
        os.link(file, some / f"{number:06d}{file.suffix}")
    classifier = open_classifier(place)

    def seen(batch: list[pathlib.Path]) -> np.ndarray:
        return np.array([decode(file.read_bytes(), None, classifier.target).pixels for file in batch])

    def plain() -> None:
        for batch in batches_of(files, MOST_AT_ONCE):
            classifier.answer(seen(list(batch)))

    known = seen(files[:1000])
    answers = np.asarray(classifier.answer(known))
    measures = {name: tenths(values) for name, values in looks_of(known).items()}
    measures["certainty"] = tenths(answers.max(axis=1))
    classes = np.bincount(answers.argmax(axis=1), minlength=answers.shape[1]).tolist()
    model = AnsweringModel(name="model", version="1", sha256="")
    served = Served(model, classifier.class_names, lambda: classifier, Reference(measures=measures, classes=classes))
    outs = iter(range(100))

    def ours() -> None:
        answer_all(served, AnswerSettings(source=str(some), out=str(scratch / f"out-{next(outs)}")))

    contestants: dict[str, Callable[[], None]] = {"plain": plain, "answered, with drift": ours}
    for run in contestants.values():
        run()
    work: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            began, before = time.perf_counter(), os.times()
            run()
            seconds, after = time.perf_counter() - began, os.times()
            work[name].append(after.user + after.system - before.user - before.system)
            print(f"{name}: {len(files) / seconds:,.0f} pictures/s, {work[name][-1]:.2f} processor seconds", flush=True)
    share = statistics.median(work["plain"]) / statistics.median(work["answered, with drift"])
    print(f"answered at {share:.0%} of plain predict plus decoding, by processor seconds; wanted: {WANTED:.0%} or more")


if __name__ == "__main__":
    main()
