"""Peak memory of training on a data set that is streamed, of one size and of ten times that.

    PYTHONPATH=. python tests/benchmarks/bench_memory.py [--pictures 20000]

Nothing is held in memory (memory_mb=0) and the network is tiny, so that what grows with the data would be seen; fails
where ten times the pictures take MOST times the memory. Memory is that of the whole process tree (PSS: shared pages
counted once), looked at 20 times a second.
"""

import argparse
import pathlib
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bench_preprocess import in_a_process
from made_dataset import write_info

from components.core.artifacts.dataset import Shard, SplitInfo
from components.core.artifacts.tfrecord import RecordWriter

MOST = 1.2
SHAPE = (64, 64, 3)
CLASSES, SHARDS = 10, 8
NETWORK = '[{"AveragePooling2D": {"pool_size": 16}}, "Flatten"]'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000, help="of the smaller data set, 12 kB each")
    arguments = parser.parse_args()
    peaks = []
    for pictures in (arguments.pictures, 10 * arguments.pictures):
        with tempfile.TemporaryDirectory() as place:
            peaks.append(measure(pathlib.Path(place), pictures))
    ratio = peaks[1] / peaks[0]
    print(f"ten times the pictures take {ratio:.2f} times the memory (at most {MOST})")
    assert ratio < MOST, f"expected less than {MOST} times the memory, received {ratio:.2f}"


def measure(place: pathlib.Path, pictures: int) -> float:
    """Trains an epoch in a fresh process; prints its figures and returns its peak memory in MB."""
    write_dataset(place / "dataset", pictures)
    memory, seconds = in_a_process(run, str(place))
    size = pictures * int(np.prod(SHAPE)) / 1e6
    print(f"{pictures:,} pictures, {size:,.0f} MB, in {seconds:.1f} s: peak {memory:.0f} MB", flush=True)
    return memory


def run(place: str, answers) -> None:
    from components.train.run import train
    from components.train.settings import TrainSettings

    began = time.monotonic()
    settings = TrainSettings(architecture=NETWORK, epochs=1, batch_size=500, memory_mb=0, gpus="auto", verbose="0")
    train(settings, f"{place}/dataset", f"{place}/model", f"{place}/board")
    answers.put(time.monotonic() - began)


def write_dataset(directory: pathlib.Path, pictures: int) -> None:
    """A dataset artifact of noise, a tenth of it to validate on."""
    random = np.random.default_rng(0)
    different = random.integers(0, 256, (1000, int(np.prod(SHAPE))), dtype=np.uint8)
    directory.mkdir()
    splits = {}
    for split, count in {"train": pictures, "validation": pictures // 10}.items():
        shards = []
        for number in range(SHARDS):
            name = f"{split}-{number:05d}-of-{SHARDS:05d}.tfrecord"
            with (directory / name).open("wb") as file:
                writer = RecordWriter(file)
                for index in range(number, count, SHARDS):
                    writer.write(different[index % 1000].tobytes(), index % CLASSES)
            shards.append(Shard(name=name, count=writer.count, sha256=writer.digest.hexdigest()))
        splits[split] = SplitInfo(count=count, per_class=[count // CLASSES] * CLASSES, shards=shards)
    write_info(directory, SHAPE, CLASSES, splits)


if __name__ == "__main__":
    main()
