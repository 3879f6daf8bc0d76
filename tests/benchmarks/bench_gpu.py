"""Measures training on a GPU: images a second, the share of the card's peak that they are, time and test accuracy, and
what the feed gives alone, without a model: a GPU that is not kept waiting trains well below that.

    python tests/benchmarks/bench_gpu.py --dataset DATASET_ARTIFACT [--profile cifar10-fast] [NAME=VALUE...]

The setting backend=jax measures the same on JAX. Without a GPU, or without a data set, it says so and measures nothing.
"""

import argparse
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
# TFLOP/s of dense bfloat16 products (float16 before Ampere) with float32 sums, from NVIDIA's data sheets.
PEAKS = {"V100": 125, "T4": 65, "A10": 125, "A100": 312, "L4": 121, "L40S": 362, "H100": 989, "H200": 989}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="a dataset artifact of CIFAR-10")
    parser.add_argument("--profile", default="cifar10-fast")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args()

    from components.core.framework import load_keras
    from components.train.device import find_device

    load_keras("jax" if "backend=jax" in arguments.settings else "tensorflow")
    device = find_device("auto")
    if not device.gpus or not arguments.dataset:
        print("not measured: " + ("give --dataset" if device.gpus else f"no GPU here, but {device.name}"))
        return
    measure(arguments.profile, arguments.settings, arguments.dataset)


def measure(profile: str, given: list[str], dataset: str) -> None:
    from components.core.artifacts.dataset import read_info
    from components.core.artifacts.dataset_reading import load_split
    from components.core.artifacts.model import load_model
    from components.train.network.architecture import parse_architecture
    from components.train.network.model import build_model
    from components.train.run import train
    from components.train.settings import TrainSettings
    from pipeline.keras_side.costs import TRAINING_TIMES, layer_costs
    from pipeline.parameters.parameters import configure

    parameters = configure(profile, [*given, "gpus=auto"]).parameters
    settings = TrainSettings.checked(**{name: getattr(parameters, name) for name in TrainSettings.model_fields})
    info = read_info(dataset)
    plain = build_model(parse_architecture(settings.architecture), info.image_shape, len(info.class_names))
    operations = TRAINING_TIMES * sum(layer.flops or 0 for layer in layer_costs(plain))
    with tempfile.TemporaryDirectory() as place:
        result = train(settings, dataset, f"{place}/model", f"{place}/board")
        model = load_model(f"{place}/model/model.keras")
    images, labels = load_split(dataset, info, "test")
    accuracy = (model.predict(images, batch_size=1000, verbose=0).argmax(axis=1) == labels).mean()
    rate = result.images_per_second * operations / 1e12
    peak = next((peak for name, peak in sorted(PEAKS.items(), reverse=True) if name in result.device), None)
    share = f", {rate / peak:.1%} of the card's {peak}" if peak else ", the card's peak is not known here"
    print(f"{result.device}, {result.precision}: {result.images_per_second:,.0f} images/s, {rate:.1f} TFLOP/s{share}")
    print(f"{profile}: test accuracy {accuracy:.4f} after {result.epochs} epochs, {result.seconds:.1f} s of training")
    print(f"the feed alone: {feed_rate(settings, dataset):,.0f} images/s")


def feed_rate(settings, dataset: str) -> float:
    """Images a second of one epoch that nothing trains on; the epoch before it warms up."""
    from components.core.artifacts.dataset import read_info
    from components.core.artifacts.dataset_reading import MappedSplit
    from components.train.data import make_feed

    feed = make_feed(MappedSplit(dataset, read_info(dataset), "train"), settings.batch_size, settings.seed)
    for epoch in range(2):
        feed.reorder.on_epoch_begin(epoch, None)
        start = time.perf_counter()
        for _ in feed.batches if settings.backend == "tensorflow" else map(feed.batches.__getitem__, range(feed.steps)):
            pass
    return feed.count / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
