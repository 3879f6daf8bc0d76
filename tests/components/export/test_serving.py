"""The SavedModel as a server's clients meet it: encoded pictures as preprocess would take them, and the smoke test."""

import io
import itertools
import json
import os
import pathlib
import struct

import numpy as np
import pytest
from PIL import Image

from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.artifacts.model import load_model
from components.core.artifacts.served_model import BYTES, DESCRIPTION, PICTURES
from components.core.errors import PipelineError
from components.core.framework import load_keras
from components.core.pictures.decode import Target, decode
from components.export.formats.encoded import decode_picture
from components.export.formats.saved_model import write_saved_model
from components.export.smoke import smoke_test
from tests.components.preprocess.sources import png_file
from tests.datasets import load_split


@pytest.fixture(scope="module")
def served(trained, tmp_path_factory):
    """The digits model as a SavedModel: its path, the data set's description, and test pictures."""
    path = tmp_path_factory.mktemp("served") / "1"
    info = read_info(trained.dataset)
    write_saved_model(load_model(f"{trained.model}/model.keras"), info, path)
    return path, info, load_split(trained.dataset, info, "test")[0]


def photograph(mode: str, size: tuple[int, int]) -> Image.Image:
    """Smooth colours and fine detail: what resizing and colour conversion get wrong first."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    random = np.random.default_rng(5)
    waves = [np.sin(x / 3 + i) * np.cos(y / 4 - i) * 100 + 128 + random.normal(0, 12, size) for i in range(4)]
    rgba = Image.fromarray(np.stack(waves, -1).clip(0, 255).astype(np.uint8), "RGBA")
    return rgba.convert(mode) if mode != "I;16" else Image.fromarray((waves[0].clip(0, 255) * 257).astype(np.uint16))


def file_of(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 92} if kind == "JPEG" else {}))
    return file.getvalue()


def info_of(shape: tuple[int, int, int], resize: str) -> DatasetInfo:
    return DatasetInfo.model_construct(image_shape=shape, resize=resize)


@pytest.mark.parametrize("resize", ["crop", "resize"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("mode", "kind", "size"),
    [
        ("RGB", "JPEG", (32, 32)),
        ("RGB", "JPEG", (61, 47)),
        ("L", "JPEG", (20, 90)),
        ("RGB", "PNG", (45, 33)),
        ("RGBA", "PNG", (45, 33)),
        ("LA", "PNG", (32, 32)),
        ("P", "PNG", (40, 40)),
        ("1", "PNG", (50, 50)),
        ("L", "PNG", (50, 50)),
        ("I;16", "PNG", (33, 64)),
        ("RGB", "PNG", (9, 13)),
    ],
)
def test_encoded_pictures_become_what_preprocess_makes_of_them(mode, kind, size, channels, resize):
    load_keras()
    import tensorflow as tf

    payload = file_of(photograph(mode, size), kind)
    shape = (32, 32, channels)
    ours = decode_picture(tf.constant(payload), info_of(shape, resize)).numpy()
    theirs = decode(payload, None, Target(*shape, resize=resize)).pixels
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert difference.max() <= (0 if size == (32, 32) and mode == "RGB" else 1)
    assert difference.mean() < 0.25


def grey_png(bits: int, transparent: int | None) -> bytes:
    """16 levels, or all there are, one of them transparent."""
    levels = np.arange(16) * (2**bits - 1) // 15
    row = int("".join(f"{level:0{bits}b}" for level in levels), 2).to_bytes(2 * bits)
    return png_file(16, bits, 0, row, None if transparent is None else struct.pack(">H", levels[transparent]))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_is_white_in_training_and_in_serving(bits):
    load_keras()
    import tensorflow as tf

    shape = (16, 16, 3)
    for transparent in (None, 0, 7):
        payload = grey_png(bits, transparent)
        ours = decode_picture(tf.constant(payload), info_of(shape, "crop")).numpy()
        theirs = decode(payload, None, Target(*shape)).pixels
        assert ours.tolist() == theirs.tolist()
        levels = np.arange(16) * (2**bits - 1) // 15
        expected = np.where(levels == levels[transparent or 0], 255, levels * 255 // (2**bits - 1))
        if transparent is not None:
            assert theirs[0, :, 0].tolist() == expected.tolist()


def test_a_transparent_colour_of_16_bits_is_white_and_no_other():
    """Pillow compares its lower bytes with the upper bytes of the pixels."""
    load_keras()
    import tensorflow as tf

    colours = np.full((16, 3), (0x1234, 0x5678, 0x9ABC), ">u2")
    colours[8:] = 0x3412, 0x7856, 0xBC9A
    payload = png_file(16, 16, 2, colours.tobytes(), colours[0].tobytes())
    theirs = decode(payload, None, Target(16, 16, 3)).pixels
    assert theirs[0, 0].tolist() == [255] * 3 and theirs[0, 8].tolist() == [0x34, 0x78, 0xBC]
    assert decode_picture(tf.constant(payload), info_of((16, 16, 3), "crop")).numpy().tolist() == theirs.tolist()


@pytest.mark.parametrize("size", [(61, 47), (2200, 1000)])  # the larger one is reduced while it is decoded
def test_a_photograph_is_turned_as_exif_says(size):
    """As a phone's is that was held upright: it was answered lying on its side."""
    load_keras()
    import tensorflow as tf

    shape = (24, 40, 3)
    decoded = tf.function(lambda one: decode_picture(one, info_of(shape, "crop")), autograph=False)
    plain = file_of(photograph("RGB", size), "JPEG")
    for order, orientation in itertools.product("<>", range(10)):
        fields = [(0x010F, 2, 1, 0), (0x0112, 3, 1, orientation), (0x0131, 2, 1, 0)]
        entries = b"".join(struct.pack(f"{order}HHIHxx", *field) for field in fields)
        header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(fields))
        for exif in (header + entries, *([header, b"", b"MM"] if orientation == 6 else [])):
            segment = b"Exif\0\0" + exif
            payload = plain[:20] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[20:]
            ours, theirs = decoded(tf.constant(payload)).numpy(), decode(payload, None, Target(*shape)).pixels
            assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_photograph_of_12_megapixels_is_what_it_is_in_training_and_leaves_a_server_its_memory(kind):
    """A server has 2 GiB. A PNG took 830 MB and a JPEG 340, each of the pictures that it had in hand at once."""
    load_keras()
    import tensorflow as tf

    shape = (64, 64, 3)
    tiled = np.tile(np.asarray(photograph("RGB", (300, 400))), (10, 10, 1))  # 3,000 x 4,000
    payload = file_of(Image.fromarray(tiled), kind)
    decoded = tf.function(lambda one: decode_picture(one, info_of(shape, "crop")), autograph=False)
    decoded(tf.constant(file_of(photograph("RGB", (300, 400)), kind)))
    peak = pathlib.Path("/proc/self/clear_refs")
    if measured := os.access(peak, os.W_OK):  # not so in some sandboxes
        peak.write_text("5")  # it counts from here
    before = memory_mb("VmRSS") if measured else 0
    ours = decoded(tf.constant(payload)).numpy()
    assert not measured or memory_mb("VmHWM") - before < (250 if kind == "PNG" else 100)
    theirs = decode(payload, None, Target(*shape)).pixels
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def memory_mb(name: str) -> float:
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF"])
def test_other_files_are_refused_as_such(kind):
    load_keras()
    import tensorflow as tf

    payload = file_of(photograph("RGB", (32, 32)), kind)
    for rubbish in (payload, b"", payload[:3]):
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected a JPEG or PNG file"):
            decode_picture(tf.constant(rubbish), info_of((32, 32, 3), "crop"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_small_file_of_too_many_pixels_is_refused_in_training_and_in_serving(kind):
    load_keras()
    import tensorflow as tf

    payload = file_of(Image.new("1" if kind == "PNG" else "L", (9500, 9500)), kind)
    assert len(payload) < 2e6
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected at most 89,478,485 pixels"):
        decode_picture(tf.constant(payload), info_of((32, 32, 3), "crop"))
    with pytest.raises(Image.DecompressionBombError):
        decode(payload, None, Target(32, 32, 3))


def test_both_signatures_name_the_class(served):
    load_keras()
    import tensorflow as tf

    path, info, pictures = served
    loaded = tf.saved_model.load(str(path))
    by_pixels = loaded.signatures[PICTURES](images=tf.constant(pictures[:20]))
    files = [file_of(Image.fromarray(picture.squeeze(2)), "PNG") for picture in pictures[:20]]
    by_files = loaded.signatures[BYTES](image_bytes=tf.constant(files))
    np.testing.assert_allclose(by_pixels["probabilities"], by_files["probabilities"], atol=1e-5)
    named = [name.decode() for name in by_files["class_name"].numpy()]
    assert named == [info.class_names[i] for i in by_pixels["probabilities"].numpy().argmax(axis=1)]
    assert json.loads((path / DESCRIPTION).read_text()) == {
        "image_shape": [8, 8, 1],
        "class_names": info.class_names,
        "resize": "resize",
    }


def test_pixels_of_another_size_are_refused_by_a_network_that_would_take_any(served, tmp_path):
    keras = load_keras()
    import tensorflow as tf

    _, info, pictures = served
    images = keras.Input((8, 8, 1), dtype="uint8")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    write_saved_model(keras.Model(images, keras.layers.Dense(10, activation="softmax")(pooled)), info, tmp_path / "1")
    with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
        tf.saved_model.load(str(tmp_path / "1")).signatures[PICTURES](images=tf.repeat(pictures[:2], 2, axis=1))


def test_a_good_model_passes_the_smoke_test(served):
    path, _, pictures = served
    asked = smoke_test(path, pictures[:3])
    assert asked[0] == "a batch of 3" and "a JPEG file of 19 x 9 pixels" in asked


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda tf, images: tf.ones([1, 10]) / 10, "a row of probabilities for a batch"),
        (lambda tf, images: tf.zeros([tf.shape(images)[0], 10]), "a row of probabilities for a batch"),
        (
            lambda tf, images: tf.nn.softmax(
                tf.one_hot(tf.fill([tf.shape(images)[0]], tf.shape(images)[0] % 10), 10) * 9.0
            ),
            "the same answer for one picture",
        ),
    ],
)
def test_a_model_that_serves_badly_fails_the_smoke_test(served, tmp_path, answer, said):
    load_keras()
    import tensorflow as tf

    _, info, pictures = served

    class Model:
        input_shape, variables = (None, 8, 8, 1), ()

        def __call__(self, images, training):
            return answer(tf, images)

    write_saved_model(Model(), info, tmp_path / "1")
    with pytest.raises(PipelineError, match=said):
        smoke_test(tmp_path / "1", pictures[:3])
