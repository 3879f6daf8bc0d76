"""Wall times of the local run, as a person waits for it: PYTHONPATH=. python tests/benchmarks/bench_local_run.py

Prints the quickstart as processes, the same again unchanged, and, where ../shared/data/cifar10-jpeg.tar.gz is there (or
CIFAR10_JPEG names it), everything but training on all 60,000 CIFAR-10 pictures. Wall times depend on what else the
machine does: run it alone.

Two cores of an Intel Xeon with AMX, 26 November 2026: 12.8 s, 0.6 s, and 24.9 s (download 0.7, preprocess 6.8, evaluate
11.1, export 5.5).
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from pipeline import ROOT

CIFAR10 = pathlib.Path(os.environ.get("CIFAR10_JPEG", ROOT.parent / "shared" / "data" / "cifar10-jpeg.tar.gz"))


def run(outputs: pathlib.Path, *arguments: str) -> tuple[float, dict]:
    """Seconds of one `python -m pipeline run-local` and its summary."""
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "run-local",
        "--runner",
        "process",
        "--outputs",
        str(outputs),
        *arguments,
    ]
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    return seconds, json.loads((outputs / "latest" / "summary.json").read_text())


def show(title: str, seconds: float, summary: dict, limit: float) -> None:
    """One line for the whole, one for the steps."""
    steps = ", ".join(
        f"{s['name']} {'cached' if s['cached'] else format(s['seconds'], '.1f')}" for s in summary["steps"]
    )
    print(f"{title}: {seconds:.1f} s (wanted: under {limit:.0f} s), accuracy {summary['metrics']['accuracy']:.4f}")
    print(f"    {steps}", flush=True)


def main() -> None:
    """Runs and prints."""
    with tempfile.TemporaryDirectory() as scratch:
        outputs = pathlib.Path(scratch)
        show("quickstart as processes", *run(outputs), 30)
        show("the same again", *run(outputs), 4)
        if not CIFAR10.is_file():
            print(f"CIFAR-10 left out: no {CIFAR10}")
            return
        seconds, summary = run(outputs, "--profile", "cifar10", "DATASET=image_folder", f"SOURCE={CIFAR10}", "EPOCHS=1")
        training = next(step["seconds"] for step in summary["steps"] if step["name"] == "train")
        show("all 60,000 CIFAR-10 pictures, without the train step", seconds - training, summary, 40)


if __name__ == "__main__":
    main()
