"""Object storage over a slow network: our transfers and the official client, one object at a time, in one run.

    PYTHONPATH=. python tests/benchmarks/bench_storage.py [--latency-ms 50] [--shards 64] [--large-mb 200]

A server in memory that waits before every answer runs as a process of its own on loopback. Moved each way: shards of
about 1 MB and one large file. Each transfer is a fresh process that times itself, imports left out; ours and the
official client take turns. Then the peak memory of our transfer of one file, small and large.
"""

import argparse
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

from pipeline import ROOT

SHARED_MEMORY = pathlib.Path("/dev/shm")
ROUNDS = 3
WANTED_RATIO = 4.0
SMALL_MB = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--large-mb", type=int, default=200)
    parser.add_argument("--transfer", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.transfer:
        transfer(*arguments.transfer)
        return
    # In memory where there is room: a disk that is busy writing back would be measured instead.
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as folder:
        place = pathlib.Path(folder)
        make_files(place / "both", arguments.shards, arguments.large_mb)
        for size in sizes(arguments):
            make_files(place / f"one-{size}", 0, size)
        server, url = start("tests.servers.gcs", "--bucket", "bucket", "--latency-ms", str(arguments.latency_ms))
        try:
            measure(place, url, arguments)
        finally:
            server.kill()
            server.wait()


def sizes(arguments: argparse.Namespace) -> tuple[int, ...]:
    """Sizes of the single files whose memory is measured, in MB: less than is under way at once, and more."""
    return tuple(sorted({SMALL_MB, arguments.large_mb, 2 * arguments.large_mb}))


def measure(place: pathlib.Path, url: str, arguments: argparse.Namespace) -> None:
    """Prints both tables, and fails where the target is missed."""
    what = f"{arguments.shards} shards of about 1 MB and one file of {arguments.large_mb} MB"
    print(f"{what}, {arguments.latency_ms:g} ms of latency a request, medians of {ROUNDS}")
    ratios = []
    for way in ("upload", "download"):
        seconds = {"official": [], "ours": []}
        for number in range(ROUNDS):
            for who in seconds:
                seconds[who].append(run(url, who, way, place / "both", place / f"{who}-{number}")["seconds"])
        official, ours = (sorted(seconds[who])[ROUNDS // 2] for who in ("official", "ours"))
        ratios.append(official / ours)
        print(
            f"  {way:<9} official client {official:6.2f} s   ours {ours:6.2f} s   {official / ours:5.1f} times as fast"
        )
    print("peak memory of one file")
    for way in ("upload", "download"):
        peaks = {
            size: run(url, "ours", way, place / f"one-{size}", place / f"one-{size}-back") for size in sizes(arguments)
        }
        said = "   ".join(f"{size} MB: {peak['peak_mb']:.0f} MB" for size, peak in peaks.items())
        print(f"  {way:<9} {said}   (after imports {peaks[SMALL_MB]['before_mb']:.0f} MB)")
    if min(ratios) < WANTED_RATIO:
        raise SystemExit(
            f"expected at least {WANTED_RATIO} times the official client's speed, received {min(ratios):.1f}"
        )


def run(url: str, who: str, way: str, source: pathlib.Path, target: pathlib.Path) -> dict[str, float]:
    """One transfer in a fresh process. Uploads end as PREFIX of the source's name, where downloads find them."""
    done = subprocess.run(
        [sys.executable, __file__, "--transfer", who, way, str(source), str(target), source.name],
        env={**os.environ, "STORAGE_EMULATOR_HOST": url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        check=True,
    )
    if way == "download":
        for path in source.iterdir():
            assert path.read_bytes() == (target / path.name).read_bytes(), f"{path.name} came back with other bytes"
            (target / path.name).unlink()
    return json.loads(done.stdout.splitlines()[-1])


def transfer(who: str, way: str, source: str, target: str, prefix: str) -> None:
    """The measured process: moves the files and prints its seconds and its peak memory."""
    from components.core.storage import open_store

    store = open_store("gs://bucket")
    before = most_mb()
    began = time.perf_counter()
    if who == "ours" and way == "upload":
        store.upload_directory(source, prefix)
    elif who == "ours":
        store.download_directory(prefix, target)
    else:
        one_at_a_time(way, pathlib.Path(source), pathlib.Path(target), prefix)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "peak_mb": most_mb(), "before_mb": before}))


def one_at_a_time(way: str, source: pathlib.Path, target: pathlib.Path, prefix: str) -> None:
    """The official client, as its documentation shows it."""
    from google.cloud import storage

    bucket = storage.Client(project=None).bucket("bucket")
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        blob = bucket.blob(f"{prefix}/{path.name}")
        if way == "upload":
            blob.upload_from_filename(str(path))
        else:
            blob.download_to_filename(str(target / path.name))


def most_mb() -> float:
    """The most memory this process has held, in MB. Not ru_maxrss, which begins with what the parent held."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000


def make_files(directory: pathlib.Path, shards: int, large_mb: int) -> None:
    """Files of random bytes, the same in every run."""
    directory.mkdir()
    source = random.Random(0)
    for number in range(shards):
        size = source.randrange(900_000, 1_100_000)
        (directory / f"train-{number:05d}-of-{shards:05d}.tfrecord").write_bytes(source.randbytes(size))
    with (directory / "large.bin").open("wb") as file:
        for _ in range(large_mb):
            file.write(source.randbytes(1_000_000))


def start(module: str, *arguments: str) -> tuple[subprocess.Popen, str]:
    """Starts a server that prints its URL."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


if __name__ == "__main__":
    main()
