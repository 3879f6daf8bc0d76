"""How fast the feed gives pictures, what proving the shards costs, and what memory training takes beyond page cache.

    PYTHONPATH=. python tests/benchmarks/bench_feed.py [--big GB] [--place DIRECTORY]

Rates are of an epoch in full random order, from shards that lie in the page cache: by itself, and as Keras takes it on
either backend. Memory is what a process holds for itself (RssAnon), at its peak, of a training on 20,000 pictures and
of one on ten times as many; it fails above MOST times. --big trains an epoch on so many GB of made pictures of 64x64
and says what it took; let that be more than the machine's memory.

Pictures/s by CPU time, in batches of 50 and 250, on two busy cores of an Intel Xeon with AMX: gathered 1,070,000 and
1,060,000 of 32x32, 46,800 and 22,900 of 224x224; as TensorFlow takes them 320,000 and 445,000, 22,400 and 20,400; as
JAX does 578,000 and 583,000, 18,800 and 24,800. Such a processor trains the article's network on fewer than 2,000.
20 GB, in 24 GB of memory: an epoch of 1,627,604 pictures in 36 s, 66 with start and proof, 505 MB of its own at most.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from components.core.artifacts.dataset import MAX_SHARDS, Shard, SplitInfo, read_info
from components.core.artifacts.dataset_reading import MappedSplit
from components.core.artifacts.tfrecord import RecordWriter, record
from components.train.data import Feed, make_feed, order_of
from tests.datasets import write_info

MOST = 1.1
AIMS = {32: 400_000, 224: 15_000}
CLASSES = 10
NETWORK = '[{"AveragePooling2D": {"pool_size": 16}}, "Flatten"]'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--big", type=float, default=0, metavar="GB")
    parser.add_argument("--place", help="where made pictures lie; default: the system's temporary directory")
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "BACKEND", "DATASET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, backend, dataset = arguments.child
        print(json.dumps({"rate": as_keras_takes_it, "train": training}[what](backend, dataset)))
        return
    with tempfile.TemporaryDirectory(dir=arguments.place) as place:
        if arguments.big:
            big(pathlib.Path(place), int(arguments.big * 1e9))
            return
        for side, pictures in ((32, 50_000), (224, 4_000)):
            rates(write_dataset(pathlib.Path(place) / str(side), side, pictures), side)
        peaks = []
        for pictures in (20_000, 200_000):
            dataset = write_dataset(pathlib.Path(place) / f"{pictures}", 64, pictures)
            peaks.append(in_a_process("train", "tensorflow", dataset)["peak_mb"])
            print(f"training on {pictures:,} pictures of 64x64: {peaks[-1]:,.0f} MB of its own at the peak", flush=True)
        ratio = peaks[1] / peaks[0]
        print(f"ten times the pictures take {ratio:.2f} times the memory (at most {MOST})")
        assert ratio <= MOST, ratio


def rates(dataset: pathlib.Path, side: int) -> None:
    """Prints pictures a second, by the clock and by this process's CPU time."""
    info = read_info(dataset)
    began = time.perf_counter()
    split = MappedSplit(dataset, info, "train")
    seconds = time.perf_counter() - began
    size = sum(file.stat().st_size for file in dataset.glob("*.tfrecord")) / 1e6
    print(
        f"{side}x{side}: {len(split):,} pictures, {size:,.0f} MB; proven in {seconds:.2f} s, {size / seconds:,.0f} MB/s"
    )
    for batch in (50, 250):
        best = (0.0, 0.0)
        for epoch in range(3):
            order = order_of(0, epoch, len(split))
            clock, cpu = time.perf_counter(), time.process_time()
            for at in range(0, len(split), batch):
                split.pictures(order[at : at + batch])
            now = time.perf_counter(), time.process_time()
            best = max(best, (len(split) / (now[0] - clock), len(split) / (now[1] - cpu)))
        aim = f" (aim {AIMS[side]:,})"
        print(f"  gathered, batch {batch}: {best[0]:,.0f} pictures/s by the clock, {best[1]:,.0f} by CPU time{aim}")
    for backend in ("tensorflow", "jax"):
        for batch, (clock, cpu) in in_a_process("rate", backend, dataset).items():
            print(f"  as Keras on {backend} takes it, batch {batch}: {clock:,.0f} and {cpu:,.0f}", flush=True)


def as_keras_takes_it(backend: str, dataset: str) -> dict[int, tuple[float, float]]:
    from components.core.framework import load_keras

    load_keras(backend)
    found = {}
    for batch in (50, 250):
        feed = make_feed(MappedSplit(dataset, read_info(dataset), "train"), batch, seed=0)
        take = (
            compiled_epoch(feed)
            if backend == "tensorflow"
            else lambda feed=feed: [feed.batches[at] for at in range(feed.steps)]
        )
        found[batch] = (0.0, 0.0)
        for epoch in range(6):
            feed.reorder.on_epoch_begin(epoch, None)
            clock, cpu = time.perf_counter(), time.process_time()
            take()
            now = time.perf_counter(), time.process_time()
            if epoch:  # the first one traces
                found[batch] = max(found[batch], (feed.count / (now[0] - clock), feed.count / (now[1] - cpu)))
    return found


def compiled_epoch(feed: Feed) -> Callable[[], Any]:
    """Takes the batches inside a compiled function, as Keras's steps do. TensorFlow has 0.1 ms a batch for itself: in
    batches of 50 it takes two constants at 460,000 pictures/s."""
    import tensorflow as tf

    @tf.function
    def epoch(batches):
        total = tf.constant(0, tf.int64)
        for _ in tf.range(feed.steps):
            pictures, labels = next(batches)
            total += tf.cast(pictures[0, 0, 0, 0], tf.int64) + labels[0]
        return total

    return lambda: epoch(iter(feed.batches))


def training(backend: str, dataset: str) -> dict[str, float]:
    """Trains an epoch; its seconds, and the peak of the memory that the process has for itself."""
    from components.train.run import train
    from components.train.settings import TrainSettings

    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            status = pathlib.Path("/proc/self/status").read_text()
            peak[0] = max(peak[0], int(status.partition("RssAnon:")[2].split()[0]) / 1000)

    threading.Thread(target=watch, daemon=True).start()
    settings = TrainSettings(architecture=NETWORK, epochs=1, batch_size=500, gpus="auto", verbose="0", backend=backend)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        result = train(settings, dataset, f"{place}/model", f"{place}/board")
    ended.set()
    return {"seconds": time.monotonic() - began, "epoch": result.seconds, "peak_mb": peak[0]}


def in_a_process(what: str, backend: str, dataset: pathlib.Path) -> dict:
    command = [sys.executable, __file__, "--child", what, backend, str(dataset)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def big(place: pathlib.Path, size: int) -> None:
    """An epoch on `size` bytes of pictures."""
    began = time.monotonic()
    dataset = write_dataset(place / "big", 64, size // (64 * 64 * 3))
    print(f"{size / 1e9:.0f} GB of pictures written in {time.monotonic() - began:.0f} s", flush=True)
    found = in_a_process("train", "tensorflow", dataset)
    print(
        f"an epoch of {size // (64 * 64 * 3):,} pictures took {found['epoch']:.0f} s, all with start and proof of the "
        f"shards {found['seconds']:.0f} s; {found['peak_mb']:,.0f} MB of its own at the peak"
    )


def write_dataset(directory: pathlib.Path, side: int, pictures: int) -> pathlib.Path:
    """A dataset artifact of noise, 200 pictures of it to validate on."""
    shape = (side, side, 3)
    random = np.random.default_rng(0)
    different = random.integers(0, 256, (1000, int(np.prod(shape))), dtype=np.uint8)
    records = [record(picture.tobytes(), number % CLASSES) for number, picture in enumerate(different)]
    directory.mkdir()
    splits = {}
    for split, count in {"train": pictures, "validation": 200}.items():
        shards = []
        parts = np.array_split(np.arange(count), min(MAX_SHARDS - 1, max(1, count * len(records[0]) >> 26)))
        for number, part in enumerate(parts):
            name = f"{split}-{number:05d}-of-{len(parts):05d}.tfrecord"
            with (directory / name).open("wb") as file:
                writer = RecordWriter(file)
                for at in part[::1000]:
                    count_here = min(1000, part[-1] + 1 - at)
                    writer.append(b"".join(records[:count_here]), int(count_here))
            shards.append(Shard(name=name, count=writer.count, sha256=writer.digest.hexdigest()))
        splits[split] = SplitInfo(count=count, per_class=[count // CLASSES] * CLASSES, shards=shards)
    write_info(directory, shape, CLASSES, splits, hashes=np.arange(pictures + 200))
    return directory


if __name__ == "__main__":
    main()
