"""Measures our train step against the article's job, in turns, on the same pictures.

    PYTHONPATH=. python tests/benchmarks/bench_train.py [--dataset DATASET_ARTIFACT] [--rounds 5] [--steps 30]

Each contender is a process of its own, for its own peak of memory. They are all started first, and then train one
short epoch each in turn, while the others wait: what else the machine does meets all of them alike. The first round
traces and warms up, and is left out. Without --dataset the pictures are noise, which takes the same time.
"""

import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

ARTICLE_BATCH = 50
RECOMMENDED_BATCH = 250
CIFAR_TRAINING_PICTURES = 40_000
# Name, batch size, precision, and the times the article's speed that it has to reach.
CONTENDERS = (
    ("article", ARTICLE_BATCH, "float32", None),
    ("ours float32", ARTICLE_BATCH, "float32", 1.15),
    ("ours", ARTICLE_BATCH, "auto", 2.0),
    ("ours, recommended batch", RECOMMENDED_BATCH, "auto", 2.6),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="a dataset artifact of 32x32x3 pictures in ten classes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30, help="steps of the article's batch an epoch")
    parser.add_argument("--child", nargs=4, metavar=("NAME", "BATCH", "PRECISION", "EPOCHS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, batch, precision, epochs = arguments.child
        child(arguments.dataset, name, int(batch), precision, int(epochs))
        return
    with tempfile.TemporaryDirectory() as directory:
        write_pictures(pathlib.Path(directory) / "dataset", arguments.dataset, arguments.steps * ARTICLE_BATCH)
        report(race(directory, arguments.rounds + 1), arguments.steps * ARTICLE_BATCH)


def write_pictures(target: pathlib.Path, source: str | None, count: int, test: int = 0) -> None:
    """An artifact of the first `count` training pictures of `source`, a quarter as many to validate, and `test`."""
    from components.core.artifacts.dataset import read_info
    from tests.datasets import load_split, write_dataset

    counts = {"train": count, "validation": count // 4} | ({"test": test} if test else {})
    if source:
        info = read_info(source)
        pictures = {
            split: tuple(part[:size] for part in load_split(source, info, split)) for split, size in counts.items()
        }
    else:
        rng = np.random.default_rng(0)
        pictures = {
            split: (rng.integers(0, 256, (size, 32, 32, 3), np.uint8), rng.integers(0, 10, size))
            for split, size in counts.items()
        }
    write_dataset(target, pictures, hashes=np.arange(sum(counts.values())))


def race(directory: str, epochs: int) -> dict[str, dict]:
    """Starts the contenders, lets each train an epoch in turn, and gives what each says at its end."""
    processes = {}
    for name, batch, precision, _ in CONTENDERS:
        options = ["--dataset", f"{directory}/dataset", "--child", name, str(batch), precision, str(epochs)]
        processes[name] = subprocess.Popen(
            [sys.executable, __file__, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        read_until(processes[name], "ready")
    for number in range(epochs):
        for process in processes.values():
            process.stdin.write("go\n")
            read_until(process, "done" if number == epochs - 1 else "ready")
        print(f"round {number + 1} of {epochs} done", flush=True)
    results = {}
    for name, process in processes.items():
        process.stdin.write("go\n")
        results[name] = json.loads(process.stdout.readlines()[-1])
        process.wait()
    return results


def read_until(process: subprocess.Popen, word: str) -> None:
    for line in process.stdout:
        if line.strip() == word:
            return
    raise SystemExit("a contender ended before its time; run it by itself to see why")


def child(dataset: str, name: str, batch: int, precision: str, epochs: int) -> None:
    """One contender: waits for its turn before each epoch and after the last, then prints its figures."""
    from components.core.framework import load_keras

    keras = load_keras()
    turns, models = [], []

    class Turns(keras.callbacks.Callback):
        """Waits for its turn, and times the training of an epoch, without its validation."""

        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            wait("ready")
            self.began = time.perf_counter(), time.process_time()

        def on_train_batch_end(self, step: int, logs: dict | None = None) -> None:
            if step + 1 == self.params["steps"]:
                ended = time.perf_counter(), time.process_time()
                turns.append([after - before for after, before in zip(ended, self.began, strict=True)])
                models[:] = [self.model]

    if name == "article":
        train_article(dataset, epochs, Turns())
    else:
        train_ours(dataset, batch, precision, epochs, Turns())
    wait("done")
    [model] = models
    figures = {
        "parameters": model.count_params(),
        "steps": int(model.optimizer.iterations),
        "precision": model.layers[-2].dtype_policy.name,
        "turns": turns,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(figures), flush=True)


def wait(word: str) -> None:
    """Says where it is, and waits for a line on standard input."""
    print(word, flush=True)
    sys.stdin.readline()


def train_article(dataset: str, epochs: int, turns: Any) -> None:
    from components.core.artifacts.dataset import read_info
    from tests.benchmarks.article import article
    from tests.datasets import load_split

    splits = [load_split(dataset, read_info(dataset), split) for split in ("train", "validation")]
    images, labels = (np.concatenate(parts) for parts in zip(*splits, strict=True))
    article(images, labels, epochs, [turns])


def train_ours(dataset: str, batch: int, precision: str, epochs: int, turns: Any) -> None:
    import keras

    from components.train.run import train
    from components.train.settings import TrainSettings

    fit = keras.Model.fit

    def in_turns(model, *given, callbacks, **named):
        callbacks.callbacks.append(turns)
        callbacks.set_model(model)
        callbacks.set_params(callbacks.params)
        return fit(model, *given, callbacks=callbacks, **named)

    keras.Model.fit = in_turns
    settings = TrainSettings.checked(epochs=epochs, batch_size=batch, precision=precision, verbose="0", gpus="auto")
    with tempfile.TemporaryDirectory() as place:
        train(settings, dataset, f"{place}/model", f"{place}/board")


def report(results: dict[str, dict], count: int) -> None:
    """Prints the table; fails where the work was not equal."""
    base = results["article"]
    print("images/s, its spread and seconds an epoch of 40,000 by the clock; CPU: milliseconds of CPU time a picture")
    columns = ("images/s", 9), ("spread", 14), ("s/epoch", 9), ("ratio", 7), ("target", 8), ("CPU ms", 8), ("ratio", 7)
    print(" " * 28 + "".join(f"{name:>{width}}" for name, width in (*columns, ("peak MB", 9))))
    for name, batch, _, target in CONTENDERS:
        found = results[name]
        assert found["parameters"] == base["parameters"], (found, base)
        assert batch != ARTICLE_BATCH or found["steps"] == base["steps"], (found, base)
        # Each round by itself, as what disturbs a round disturbs all that ran in it; the first one warms up.
        clock, cpu = np.array(found["turns"][1:]).T
        base_clock, base_cpu = np.array(base["turns"][1:]).T
        speeds = count / clock
        print(
            f"{name + ' @' + str(batch):28}{np.median(speeds):>9,.0f}{f'{min(speeds):,.0f}-{max(speeds):,.0f}':>14}"
            f"{CIFAR_TRAINING_PICTURES / np.median(speeds):>9.1f}{np.median(base_clock / clock):>7.2f}{target or '':>8}"
            f"{np.median(cpu) / count * 1000:>8.2f}{np.median(base_cpu / cpu):>7.2f}{found['peak_mb']:>9,.0f}"
            f"  {found['precision']}"
        )


if __name__ == "__main__":
    main()
