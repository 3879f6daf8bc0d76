import keras
import numpy as np
import pytest

from components.train.muon import conv_muon


def updated(shape: tuple[int, ...], **arguments: object) -> np.ndarray:
    """What one step of learning rate 1 takes away from a weight of zeros."""
    weight = keras.Variable(np.zeros(shape, "float32"), name="kernel_7")
    optimizer = conv_muon()(learning_rate=1.0, rms_rate=None, weight_decay=0.0, **arguments)
    optimizer.build([weight])
    optimizer.apply([keras.ops.convert_to_tensor(np.random.default_rng(0).normal(size=shape), "float32")], [weight])
    return -keras.ops.convert_to_numpy(weight)


def test_a_kernels_update_is_near_orthonormal() -> None:
    """All singular values of a Muon update lie around 1, whatever the gradient's: that is Muon."""
    values = np.linalg.svd(updated((3, 3, 16, 20)).reshape(-1, 20), compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.3


@pytest.mark.parametrize("nesterov", [True, False])
def test_it_is_kerass_muon_on_the_kernel_as_a_matrix(nesterov: bool) -> None:
    gradients = np.random.default_rng(0).normal(size=(3, 3, 3, 4, 10)).astype("float32")
    matrix, kernel = keras.Variable(np.zeros((36, 10), "float32")), keras.Variable(np.zeros((3, 3, 4, 10), "float32"))
    for made, weight in ((keras.optimizers.Muon, matrix), (conv_muon(), kernel)):
        optimizer = made(0.1, nesterov=nesterov)
        optimizer.build([weight])
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient.reshape(weight.shape))], [weight])
    assert kernel.numpy().reshape(36, 10) == pytest.approx(matrix.numpy(), abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [((12,), {}), ((12, 10), {}), ((3, 3, 16, 1), {}), ((3, 3, 4, 10), {"exclude_layers": ["kernel_[78]"]})],
    ids=["a vector", "dense weights", "a depthwise kernel", "a layer that is excluded"],
)
def test_the_rest_is_left_to_adamw(shape: tuple[int, ...], arguments: dict[str, list[str]]) -> None:
    assert np.abs(updated(shape, **arguments)) == pytest.approx(
        np.ones(shape), abs=1e-3
    )  # Adam's first step has the rate's size
