"""Measures evaluate and export, with all formats, of the article's model on 10,000 test pictures of 32 x 32.

    PYTHONPATH=. python tests/benchmarks/bench_evaluate_export.py [--dataset DATASET --model MODEL] [--rounds 1]

Without artifacts the pictures are noise and the model has seen 250 of them, which takes the same time. Each step is a
process of its own, as in a run; the processor's seconds are told too, since others may share the machine.

Two cores (AMD EPYC), CIFAR-10, a tenth of them taken by others: evaluate 19 s and 27 processor seconds, of which 16 are
the 10,000 pictures and 4 the import of TensorFlow; export 27 s and 37 processor seconds, of which ONNX is 8, LiteRT 2,
int8 5, the import of TensorFlow, in two processes, 9, and the proofs 10. 46 s together; 70 to 75 s where others take
one of the cores.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from tests.benchmarks.bench_train import write_pictures

WANTED_S = 60
TEST_PICTURES = 10_000
FORMATS = "saved_model,keras,onnx,litert,litert_int8"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", help="a dataset artifact")
    parser.add_argument("--model", help="a model artifact that was trained on it")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", nargs=2, metavar=("STEP", "PATHS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        step, paths = arguments.child
        run(step, json.loads(paths))
        return
    with tempfile.TemporaryDirectory() as directory:
        paths = {
            name: f"{directory}/{name}" for name in ("dataset", "model", "board", "evaluation", "report", "exported")
        }
        if arguments.dataset and arguments.model:
            paths |= {"dataset": arguments.dataset, "model": arguments.model}
        else:
            write_pictures(pathlib.Path(paths["dataset"]), None, 250, TEST_PICTURES)
            measured("train", paths)
        for _ in range(arguments.rounds):
            seconds = 0.0
            for step in ("evaluate", "export"):
                wall, processor = measured(step, paths)
                seconds += wall
                print(f"{step}: {wall:.1f} s, {processor:.1f} processor seconds", flush=True)
            print(f"together {seconds:.1f} s (wanted on two cores of one's own: {WANTED_S} s at most)", flush=True)


def measured(step: str, paths: dict[str, str]) -> tuple[float, float]:
    """Runs a step in a process of its own; its seconds by the clock, and those of the processor."""
    began, before = time.perf_counter(), os.times()
    command = [sys.executable, __file__, "--child", step, json.dumps(paths)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, used


def run(step: str, paths: dict[str, str]) -> None:
    """The process of a step."""
    if step == "train":
        from components.train.run import train
        from components.train.settings import TrainSettings

        train(TrainSettings(epochs=1, verbose="0"), paths["dataset"], paths["model"], paths["board"])
    elif step == "evaluate":
        from components.evaluate.run import evaluate
        from components.evaluate.settings import EvaluateSettings

        names = ("dataset", "model", "evaluation", "report", "board")
        evaluate(EvaluateSettings(), *(paths[name] for name in names))
    else:
        from components.export.run import export
        from components.export.settings import ExportSettings

        # A model that has learned nothing has no accuracy to lose.
        settings = ExportSettings(formats=FORMATS, int8_tolerance=1)
        export(settings, *(paths[name] for name in ("dataset", "model", "evaluation", "exported")))


if __name__ == "__main__":
    main()
