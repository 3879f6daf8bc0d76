"""Measures whether our train step learns as much as the article's job does: test accuracy after the same epochs.

    PYTHONPATH=. python tests/benchmarks/bench_accuracy.py --dataset DATASET_ARTIFACT
        [--pictures 20000] [--epochs 4] [--seeds 3]

Same model, optimizer, pictures and number of epochs; ours in the precision that the device does fast, at the article's
batch and at the recommended one. Fails where ours is a point or more below the article's, in the mean over the seeds.
Fewer pictures or epochs leave the article's network so far from its plateau that one seed differs by three points from
the next, and a mean over three says nothing. Half an hour on two cores.

Found on two cores in bfloat16: the article's job 0.553 (0.546 to 0.560), ours 0.603 (0.596 to 0.608), with the
recommended batch 0.612 (0.602 to 0.626). Ours keeps the best epoch by validation, the article's job its last.
"""

import argparse
import pathlib
import tempfile

import numpy as np

from tests.benchmarks.bench_train import write_pictures

# Five times the batch is a fifth of the steps, and the article's constant rate would lose two points by that. Raised by
# the square root (https://arxiv.org/abs/2205.10287) and falling from the first step on it gives 0.534 with seed 0, a
# lower one that rises first 0.609.
OURS = {
    "ours": {"batch_size": 50, "learning_rate": 0.001},
    "ours, recommended batch": {"batch_size": 250, "learning_rate": 0.0015, "schedule": "linear", "warmup": 0.1},
}
ALLOWED = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", help="a dataset artifact of CIFAR-10; without it nothing is measured")
    parser.add_argument("--pictures", type=int, default=20_000, help="of the training split")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    if not arguments.dataset:
        print("not measured: give --dataset, what preprocess made of CIFAR-10")
        return
    found: dict[str, list[float]] = {"article": [], **{name: [] for name in OURS}}
    with tempfile.TemporaryDirectory() as directory:
        part = pathlib.Path(directory) / "dataset"
        write_pictures(part, arguments.dataset, arguments.pictures)
        for seed in range(arguments.seeds):
            found["article"].append(article_accuracy(str(part), arguments.dataset, arguments.epochs, seed))
            for name, settings in OURS.items():
                given = {**settings, "epochs": arguments.epochs, "seed": seed}
                found[name].append(our_accuracy(str(part), arguments.dataset, f"{directory}/{name}-{seed}", given))
            print("  ".join(f"{name} {values[-1]:.4f}" for name, values in found.items()), flush=True)
    for name, values in found.items():
        print(f"{name:26} mean {np.mean(values):.4f}  spread {min(values):.4f} to {max(values):.4f}")
    for name in OURS:
        lost = np.mean(found["article"]) - np.mean(found[name])
        assert lost < ALLOWED, f"{name} loses {lost:.4f}"


def article_accuracy(part: str, whole: str, epochs: int, seed: int) -> float:
    import keras

    from components.core.artifacts.dataset import read_info
    from tests.benchmarks.article import article
    from tests.datasets import load_split

    keras.utils.set_random_seed(seed)
    splits = [load_split(part, read_info(part), split) for split in ("train", "validation")]
    model = article(*(np.concatenate(parts) for parts in zip(*splits, strict=True)), epochs)
    images, labels = load_split(whole, read_info(whole), "test")
    return model.evaluate(images.astype("float32") / 255, labels, verbose=0)[1]


def our_accuracy(part: str, whole: str, place: str, given: dict) -> float:
    from components.core.artifacts.dataset import read_info
    from components.core.framework import load_keras
    from components.train.run import train
    from components.train.settings import TrainSettings
    from tests.datasets import load_split

    settings = TrainSettings.checked(**given, precision="auto", verbose="0", gpus="auto")
    train(settings, part, f"{place}/model", f"{place}/board")
    model = load_keras().models.load_model(f"{place}/model/model.keras")
    images, labels = load_split(whole, read_info(whole), "test")
    return float((model.predict(images, batch_size=500, verbose=0).argmax(axis=1) == labels).mean())


if __name__ == "__main__":
    main()
