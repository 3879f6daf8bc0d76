"""A training that can't fit is refused before it takes the memory."""

from collections.abc import Callable

import numpy as np
import pytest

from components.train import device
from components.train.device import Device
from components.train.errors import SettingsError, TooLittleMemoryError
from components.train.network.architecture import parse_architecture
from components.train.network.memory import check_memory, least_memory
from components.train.run import train
from components.train.settings import TrainSettings

ARTICLE = TrainSettings()


def machine(gigabytes: float) -> Device:
    return Device("a machine", 0, ("float32",), memory=int(gigabytes * 1e9))


def test_large_pictures_are_refused_with_what_smaller_ones_would_take() -> None:
    with pytest.raises(SettingsError) as refused:
        check_memory(ARTICLE, (1200, 1600, 3), 50, "float32", machine(16))
    said = str(refused.value)
    assert "fits into 16.0 GB of memory, received pictures of 1600 x 1200 that take 585.5 GB at least" in said
    assert "498.9 GB for weights and their optimizer, most of it in layer 5 (Dense); image_size=96 would take" in said
    assert "\n" not in said


def test_weights_alone_are_refused_and_several_devices_share_a_batch() -> None:
    with pytest.raises(SettingsError, match="for weights and their optimizer, most of it in layer 5"):
        check_memory(ARTICLE, (270, 270, 3), 1, "float32", machine(16))
    check_memory(ARTICLE, (32, 32, 3), 4000, "float32", Device("GPUs", 2, ("float32",), 4, memory=int(1.5e9)))


def test_what_fits_is_not_refused() -> None:
    check_memory(ARTICLE, (32, 32, 3), 50, "float32", machine(1))
    check_memory(ARTICLE, (1200, 1600, 3), 50, "float32", Device("a machine", 0, ("float32",)))  # not known
    frozen = TrainSettings(freeze="dense", freeze_epochs=25, epochs=25)  # no gradient, and nothing for an optimizer
    check_memory(frozen, (270, 270, 3), 1, "float32", machine(5))
    check_memory(TrainSettings(architecture="fast"), (224, 224, 3), 32, "mixed_bfloat16", machine(4))


def test_weights_and_values_are_counted() -> None:
    need = least_memory(parse_architecture("article"), (32, 32, 3), 50, "float32", held=4)
    kernels = 9 * 3 * 32 + 9 * 32 * 64 + 9 * 64 * 128 + 26 * 26 * 128 * 128
    assert need.weights == 4 * 4 * kernels
    assert need.values == 50 * 4 * (32 * 32 * 3 + 30 * 30 * 32 + 28 * 28 * 64 + 26 * 26 * 128 + 128)
    grouped = '{"Conv2D": {"filters": 8, "kernel_size": 3, "groups": 4}}'
    layers = parse_architecture(f'[{grouped}, {{"SeparableConv2D": {{"filters": 16, "kernel_size": 3}}}}, "Flatten"]')
    assert least_memory(layers, (8, 8, 4), 1, "float32", held=1).weights == 4 * (9 * 1 * 8 + 8 * 16)  # at the least


@pytest.mark.parametrize(
    ("architecture", "side", "pictures", "taken"),
    [("deep", 224, 64, 551.7e6), ("deep", 64, 64, 67.0e6), ("fast", 32, 500, 177.1e6), ("wide", 32, 500, 362.7e6),
     ("article", 32, 500, 514.2e6)],
)  # fmt: skip
def test_what_a_gpu_takes_by_jax_is_not_called_too_much(
    architecture: str, side: int, pictures: int, taken: float
) -> None:
    """`taken`: arguments and temporaries of the step in mixed_bfloat16, as JAX 0.10.2 compiles it for an H100."""
    settings = TrainSettings(architecture=architecture, backend="jax")
    gpu = Device("an H100", 1, ("mixed_bfloat16",), memory=int(taken))
    check_memory(settings, (side, side, 3), pictures, "mixed_bfloat16", gpu)
    with pytest.raises(TooLittleMemoryError):
        check_memory(settings, (side, side, 3), 8 * pictures, "mixed_bfloat16", gpu)


def test_layers_that_do_not_fit_each_other_are_for_the_model_to_tell() -> None:
    layers = parse_architecture('[{"Conv2D": {"filters": 4, "kernel_size": 9}}, "Flatten"]')
    assert least_memory(layers, (8, 8, 1), 50, "float32", 4) is None


def test_training_is_refused_before_it_begins(
    dataset: Callable[..., str], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dataset({"train": (np.zeros((60, 8, 8, 1), np.uint8), np.arange(60) % 10)}, class_count=10)
    monkeypatch.setattr(device, "processors_memory", lambda: 1000)
    with pytest.raises(SettingsError, match="fits into 1.0 kB of memory, received pictures of 8 x 8"):
        train(TrainSettings(), path, str(tmp_path / "model"), str(tmp_path / "board"))
