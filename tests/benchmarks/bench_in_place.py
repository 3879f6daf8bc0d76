"""Pictures below a prefix of a bucket: read where they lie, beside fetched, packed, uploaded and fetched again.

    PYTHONPATH=. python tests/benchmarks/bench_in_place.py [--pictures 50000] [--latency-ms 5 50]

Small JPEGs (32x32, 0.9 kB) lie on an S3 server that waits before every answer, a process of its own on this machine.
Each way goes as on a cluster: download, its artifact `raw` into the store and out of it again (as Kubeflow's launcher
does, here by our client), preprocess, each in a fresh process. Told for each: seconds, seconds of processor time, bytes
moved from and to the server, and the most disk that a step had in use. Then preprocess alone with one process and two.

Two idle cores of an Intel Xeon with AMX, November 2026; 2.6 ms of a processor a picture are the S3 client's:

    50,000, 50 ms   copied    142.2 s, 147.3 s of processors, 209.6 MB moved, 282 MB of disk to download
                    in place   80.2 s, 121.0 s, 63.5 MB, 3.4 MB; preprocess 1.85 times as fast with two processes
    50,000, 5 ms    copied    165.6 s, 175.5 s, 210.0 MB, 311 MB
                    in place   92.1 s, 149.6 s, 63.7 MB, 310 MB (what preprocess writes); 1.54 times
    10,000, 50 ms   copied     33.2 s, 34.7 s, 42.2 MB, 56.3 MB
                    in place   21.1 s, 29.9 s, 13.6 MB, 0.7 MB; 1.57 times
    10,000, 5 ms    copied     31.5 s, 34.2 s, 42.2 MB, 56.3 MB
                    in place   19.1 s, 29.4 s, 13.6 MB, 0.7 MB; 1.63 times
"""

import argparse
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from pipeline import ROOT
from tests.benchmarks.bench_preprocess import make_source
from tests.benchmarks.bench_storage import SHARED_MEMORY, start

SOURCE = "s3://bucket/photos"
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[5, 50])
    parser.add_argument("--ways", nargs="+", default=["copied", "in place"])
    parser.add_argument("--step", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        STEPS[arguments.step[0]](*arguments.step[1:])
        return
    for latency in arguments.latency_ms:
        with tempfile.TemporaryDirectory() as folder:
            make_source(pathlib.Path(folder, "photos.tar"), arguments.pictures)
            held = ["--tar", f"{folder}/photos.tar", "--below", SOURCE.removeprefix("s3://")]
            server, url = start("tests.servers.light_s3", "--latency-ms", str(latency), *held)
        try:
            print(f"{arguments.pictures:,} pictures, {latency:g} ms a request", flush=True)
            for way in arguments.ways:
                measure(way, url)
        finally:
            server.kill()
            server.wait()


def measure(way: str, url: str) -> None:
    """Prints what a way costs, step by step, and what two processes gain."""
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        first, second = pathlib.Path(folder, "first"), pathlib.Path(folder, "second")
        costs = [
            run("download", url, str(first), way),
            run("upload", url, str(first), way),
            run("fetch", url, str(second), way, gone=first),
            run("preprocess", url, str(second), "2"),
        ]
        told("all", [*(sum(cost[i] for cost in costs) for i in range(3)), max(cost[3] for cost in costs)], way)
        alone = run("preprocess", url, str(second), "1")
        print(f"  {way:<9} preprocess: {alone[0] / costs[3][0]:.2f} times as fast with two processes as with one")


def run(step: str, url: str, *arguments: str, gone: pathlib.Path | None = None) -> list[float]:
    """Runs a step in a fresh process: seconds, of the processor, MB moved, MB of disk at most.

    Args:
        gone: a folder that the step does not have any more.
    """
    if gone:
        shutil.rmtree(gone)
    before, used, moved = resource.getrusage(resource.RUSAGE_CHILDREN), disk(), moved_by(url)
    peak, ended = [used], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], disk())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.monotonic()
    try:
        subprocess.run(
            [sys.executable, __file__, "--step", step, *arguments],
            env={**os.environ, **KEYS, "AWS_ENDPOINT_URL": url, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    finally:
        ended.set()
        watcher.join()
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    cost = [seconds, processor, (moved_by(url) - moved) / 1e6, (peak[0] - used) / 1e6]
    told(step, cost, " ".join(arguments[1:]))
    return cost


def told(step: str, cost: list[float], how: str) -> None:
    print(
        f"    {step:<10} {how:<9} {cost[0]:7.1f} s  {cost[1]:7.1f} s of processors  {cost[2]:7.1f} MB moved"
        f"  {cost[3]:7.1f} MB of disk",
        flush=True,
    )


def disk() -> int:
    return shutil.disk_usage(SHARED_MEMORY).used


def moved_by(url: str) -> int:
    with urllib.request.urlopen(f"{url}/-/moved") as answer:
        return int(answer.read())


def download(place: str, way: str) -> None:
    from components.download.run import download
    from components.download.settings import DownloadSettings

    mirror = {"mirror": f"{place}/mirror"} if way == "copied" else {}
    settings = DownloadSettings.checked(dataset="image_folder", source=SOURCE, **mirror)
    download(settings, f"{place}/raw")


def upload(place: str, way: str) -> None:
    from components.core.storage import open_store

    open_store(f"s3://bucket/raw {way}").upload_directory(f"{place}/raw")


def fetch(place: str, way: str) -> None:
    from components.core.storage import open_store

    open_store(f"s3://bucket/raw {way}").download_directory("", f"{place}/raw")


def preprocess(place: str, workers: str) -> None:
    from components.preprocess.run import preprocess
    from components.preprocess.settings import PreprocessSettings

    paths = [f"{place}/{name}" for name in ("raw", "dataset", "report.html")]
    preprocess(PreprocessSettings(), *paths, workers=int(workers))


STEPS = {"download": download, "upload": upload, "fetch": fetch, "preprocess": preprocess}

if __name__ == "__main__":
    main()
