"""Preprocess at full size: pictures a second and peak memory, of one size of source and of ten times that.

    PYTHONPATH=. python tests/benchmarks/bench_preprocess.py [--pictures 20000] [--source photos.tar.gz]

Without a source it makes one: small JPEGs (32x32, 0.9 kB, 1,000 different ones over and over) in ten class folders of a
plain tar. Memory is that of the whole process tree (PSS: shared pages counted once), looked at 20 times a second.
"""

import argparse
import io
import multiprocessing
import pathlib
import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from components.core.artifacts.dataset import DatasetInfo
from components.core.artifacts.raw import SOURCE_FILE, RawFile, RawInfo
from components.core.files import sha256_of, write_json
from components.preprocess.run import preprocess
from components.preprocess.settings import PreprocessSettings

CLASSES, DIFFERENT = 10, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000, help="of the smaller source")
    parser.add_argument("--source", type=pathlib.Path, help="measure this archive alone")
    parser.add_argument("--format", default="pictures", help="the source's: pictures, or cifar_binary")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        if arguments.source:
            measure(place, arguments.source.resolve(), arguments.format)
            return
        peaks = []
        for pictures in (arguments.pictures, 10 * arguments.pictures):
            source = place / "pictures.tar"
            make_source(source, pictures)
            peaks.append(measure(place, source, "pictures"))
        print(f"ten times the pictures take {peaks[1] / peaks[0]:.2f} times the memory")


def measure(place: pathlib.Path, source: pathlib.Path, format: str) -> float:  # noqa: A002
    """Runs the step in a fresh process; prints its figures and returns its peak memory in MB."""
    raw = place / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir()
    (raw / source.name).symlink_to(source)
    file = RawFile(name=source.name, bytes=source.stat().st_size, sha256=sha256_of(source))
    info = RawInfo(
        dataset="image_folder", format=format, uri=source.as_uri(), files=[file], bytes=file.bytes, sha256=file.sha256
    )
    write_json(raw / SOURCE_FILE, info.model_dump())
    memory, (seconds, made) = in_a_process(run, str(raw), str(place / "dataset"))
    pictures = sum(split.count for split in made.splits.values())
    print(f"{pictures:,} pictures in {seconds:.1f} s: {pictures / seconds:,.0f} pictures/s, peak {memory:.0f} MB")
    return memory


def run(raw: str, dataset: str, answers) -> None:
    began = time.monotonic()
    info: DatasetInfo = preprocess(PreprocessSettings(), raw, dataset, dataset + ".html")
    answers.put((time.monotonic() - began, info))


def in_a_process(function: Callable[..., None], *arguments: str) -> tuple[float, Any]:
    """Calls `function(*arguments, answers)` in a fresh process: its peak memory in MB, and what it put into answers."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=function, args=(*arguments, answers))
    process.start()
    peak = Peak(process.pid)
    process.join()
    memory = peak.stop()
    if process.exitcode:
        raise SystemExit(process.exitcode)
    return memory, answers.get()


class Peak:
    """The largest memory of a process and all that descend from it, looked at every 50 ms."""

    def __init__(self, pid: int):
        self.pid, self.megabytes, self.ended = pid, 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def stop(self) -> float:
        self.ended.set()
        self.thread.join()
        return self.megabytes

    def _watch(self) -> None:
        while not self.ended.wait(0.05):
            self.megabytes = max(self.megabytes, tree_megabytes(self.pid))


def tree_megabytes(pid: int) -> float:
    """PSS of a process tree; 0 for what has ended meanwhile."""
    process = pathlib.Path("/proc", str(pid))
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
        children = (process / "task" / str(pid) / "children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
    return own + sum(tree_megabytes(int(child)) for child in children)


def make_source(path: pathlib.Path, pictures: int) -> None:
    random = np.random.default_rng(0)
    encoded = []
    for _ in range(DIFFERENT):
        file = io.BytesIO()
        rough = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        rough.resize((32, 32), Image.Resampling.BICUBIC).save(file, "JPEG")
        encoded.append(file.getvalue())
    with tarfile.open(path, "w") as tar:
        for number in range(pictures):
            data = encoded[number % DIFFERENT]
            info = tarfile.TarInfo(f"class{number % CLASSES}/{number:08d}.jpg")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    main()
