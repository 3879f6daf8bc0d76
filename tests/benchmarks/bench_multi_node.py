"""Training on nodes that are processes of this machine: images a second of one and of two, and that their losses agree.

    PYTHONPATH=. python tests/benchmarks/bench_multi_node.py [--nodes 1 2] [--pictures 2560] [--batch 128] [--epochs 4]

Each node is the very command that Kubeflow Trainer runs, held to one core of its own, as it would have a machine of its
own; sums go over loopback (gloo). Speeds are medians of epochs without the first, which compiles. The pictures are
noise, 32x32x3 in ten classes, which takes the same time as photographs.
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

from components.train.nodes.job import Job
from pipeline import ROOT
from tests.benchmarks.bench_train import write_pictures

LAYERS = (
    '[{"Conv2D": {"filters": 16, "kernel_size": 3, "activation": "relu"}}, "MaxPooling2D",'
    ' {"Conv2D": {"filters": 32, "kernel_size": 3, "activation": "relu"}}, "Flatten"]'
)
TOLERANCE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pictures", type=int, default=2560)
    parser.add_argument("--batch", type=int, default=128, help="of all nodes together")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--architecture", default=LAYERS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        dataset = pathlib.Path(directory) / "dataset"
        write_pictures(dataset, None, arguments.pictures)
        records = {}
        for count in arguments.nodes:
            records[count] = train(dataset, pathlib.Path(directory) / f"{count}", count, arguments)
            speed = records[count]["images_per_second"]
            print(f"{count} node{'s' if count > 1 else ''}: {speed:,.0f} images/s", flush=True)
    report(records)


def train(dataset: pathlib.Path, work: pathlib.Path, count: int, arguments: argparse.Namespace) -> dict:
    """Runs a training on `count` nodes and returns what training.json says."""
    settings = {"architecture": arguments.architecture, "epochs": arguments.epochs, "batch_size": arguments.batch}
    job = Job(settings=settings | {"gpus": "0"}, dataset=str(dataset), work=str(work), watched=False)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    cores = sorted(os.sched_getaffinity(0))
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "components.train.nodes.node", job.model_dump_json()],
            env=os.environ
            | {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count), "JAX_PROCESS_ID": str(number)},
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda number=number: os.sched_setaffinity(0, {cores[number % len(cores)]}),
        )
        for number in range(count)
    ]
    for node in nodes:
        _, errors = node.communicate()
        if node.returncode:
            raise SystemExit(f"a node failed: {errors[-1000:]}")
    return json.loads((work / "result" / "model" / "training.json").read_text())


def report(records: dict[int, dict]) -> None:
    """Compares each with the first."""
    (first, alone), *others = records.items()
    for count, together in others:
        speed = together["images_per_second"] / alone["images_per_second"]
        losses = [[entry["loss"] for entry in record["history"]] for record in (alone, together)]
        apart = max(abs(a - b) / a for a, b in zip(*losses, strict=True))
        print(f"{count} nodes beside {first}: {speed:.2f} times the images/s; losses apart by {apart:.1e} at most")
        if apart > TOLERANCE:
            raise SystemExit(f"expected the same losses within {TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
