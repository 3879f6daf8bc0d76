"""The formats that hold pixels: digits, CIFAR, IDX; read right, and refused in one line where they don't add up."""

import gzip
import importlib.util
import pathlib
import re
import tracemalloc

import numpy as np
import pytest

from components.core.errors import PipelineError
from components.preprocess.sources.cifar import read_cifar
from components.preprocess.sources.digits import read_digits
from components.preprocess.sources.idx import FILES, read_idx
from components.preprocess.sources.source import TEST, TRAIN, Source
from tests.components.preprocess.sources import archive, cifar_archive, idx_file, noise


def pixels(source: Source) -> np.ndarray:
    pictures = source.payloads.read(source.offsets.tolist(), source.sizes.tolist())
    return np.frombuffer(b"".join(pictures), np.uint8).reshape(-1, *source.shape)


def batch(seed: int, count: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return np.stack([noise(seed * 100 + i, 32, 32) for i in range(count)]), np.arange(count) % classes


def test_scikit_learn_s_digits(tmp_path):
    package = pathlib.Path(importlib.util.find_spec("sklearn").origin).parent  # found, not imported: that takes seconds
    file = package / "datasets" / "data" / "digits.csv.gz"
    source = read_digits(file, tmp_path, tuple("0123456789"))
    with gzip.open(file, "rt") as lines:
        rows = np.array([[float(value) for value in line.split(",")] for line in lines])
    np.testing.assert_array_equal(pixels(source).reshape(-1, 64), np.floor(rows[:, :64] * 255 / 16 + 0.5))
    np.testing.assert_array_equal(source.labels, rows[:, 64])
    assert np.bincount(source.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (source.shape, source.name(5), set(source.given)) == ((8, 8, 1), "digits.csv.gz[5]", {TRAIN})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"not gzip", "received: Not a gzip"),
        (gzip.compress(b"1,2,3\n4,5,6", mtime=0), "expected 65 numbers a line in d.csv.gz, received 3"),
        (gzip.compress(",".join(["17"] * 65).encode(), mtime=0), "expected pixels of 0 to 16"),
        (gzip.compress(",".join(["-1"] * 65).encode(), mtime=0), "expected pixels of 0 to 16"),
        (gzip.compress(",".join(["nan"] * 65).encode(), mtime=0), "expected pixels of 0 to 16"),
        (gzip.compress(",".join(["cat"] * 65).encode(), mtime=0), "as gzipped lines of numbers"),
        (gzip.compress(",".join(["9"] * 64 + ["12"]).encode(), mtime=0), "expected labels of 0 to 9"),
        (gzip.compress(",".join(["9"] * 64 + ["1.5"]).encode(), mtime=0), "whole labels"),
        (gzip.compress(",".join(["9"] * 65).encode() * 99, mtime=0)[:-20], "as gzipped lines of numbers"),
    ],
)
def test_digits_that_are_none(tmp_path, data, said):
    file = tmp_path / "d.csv.gz"
    file.write_bytes(data)
    with pytest.raises(PipelineError, match=re.escape(said)):
        read_digits(file, tmp_path, tuple("0123456789"))


def test_cifar10_in_the_order_of_its_batches(tmp_path):
    """As Keras's loader gives it, although the archive holds the files in another order."""
    batches = {name: batch(i, 4) for i, name in enumerate(("data_batch_10.bin", "test_batch.bin", "data_batch_2.bin"))}
    source = read_cifar(cifar_archive(tmp_path / "c.tar.gz", batches), tmp_path)
    ordered = [batches[name] for name in ("data_batch_2.bin", "data_batch_10.bin", "test_batch.bin")]
    np.testing.assert_array_equal(pixels(source), np.concatenate([pictures for pictures, _ in ordered]))
    np.testing.assert_array_equal(source.labels, np.concatenate([labels for _, labels in ordered]))
    assert source.given.tolist() == [TRAIN] * 8 + [TEST] * 4
    assert source.class_names == ["cat", "dog", "bird"]
    assert [source.name(i) for i in (0, 5, 11)] == ["data_batch_2.bin[0]", "data_batch_10.bin[1]", "test_batch.bin[3]"]


def test_cifar100_by_its_fine_labels(tmp_path):
    batches = {"train.bin": batch(1, 5), "test.bin": batch(2, 3)}
    names = ("fine_label_names.txt", "apple fish otter")
    source = read_cifar(cifar_archive(tmp_path / "c.tar.gz", batches, names, label_bytes=2), tmp_path)
    np.testing.assert_array_equal(pixels(source)[5:], batches["test.bin"][0])
    assert source.labels.tolist() == [0, 1, 2, 0, 1, 0, 1, 2]
    assert source.class_names == ["apple", "fish", "otter"]


@pytest.mark.parametrize(
    ("batches", "names", "said"),
    [
        ({"data_batch_1.bin": batch(1, 3)}, "cat dog bird", "received data_batch_1.bin; give the official"),
        ({"test_batch.bin": batch(1, 3)}, "cat dog bird", "received test_batch.bin"),
        ({"readme.html": batch(1, 3)}, "cat dog bird", "received none of them"),
        ({"data_batch_1.bin": batch(1, 3), "test.bin": batch(1, 3074)}, "cat dog bird", "data_batch_1.bin, test.bin"),
        ({"data_batch_1.bin": batch(1, 3), "test_batch.bin": batch(1, 3)}, "cat dog", "expected labels of 0 to 1"),
    ],
)
def test_cifar_archives_that_do_not_add_up(tmp_path, batches, names, said):
    with pytest.raises(PipelineError, match=re.escape(said)):
        read_cifar(cifar_archive(tmp_path / "c.tar.gz", batches, ("batches.meta.txt", names)), tmp_path)


@pytest.mark.parametrize("size", [0, 3072, 3074, 2 * 3073 + 1])
def test_a_cifar_batch_that_is_cut_off(tmp_path, size):
    packed = archive(tmp_path / "c.tar.gz", {"c/data_batch_1.bin": bytes(size), "c/batches.meta.txt": b"a\nb\n"})
    with pytest.raises(
        PipelineError, match=f"expected whole records of 3,073 bytes in c/data_batch_1.bin, received {size:,} "
    ):
        read_cifar(packed, tmp_path)


@pytest.fixture
def mnist(tmp_path):
    """Six training and three test pictures of 5 x 4 pixels."""
    values = {}
    for (images, labels), count in zip(FILES.values(), (6, 3), strict=True):
        values[images] = np.stack([noise(count * 10 + i, 5, 4, 1) for i in range(count)])
        values[labels] = np.arange(count) % 3
        idx_file(tmp_path / images, values[images])
        idx_file(tmp_path / labels, values[labels])
    return values


def test_idx_files(tmp_path, mnist):
    source = read_idx(tmp_path, tmp_path, ("zero", "one", "two"))
    images = [mnist[images] for images, _ in FILES.values()]
    np.testing.assert_array_equal(pixels(source)[..., 0], np.concatenate(images))
    assert source.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert source.given.tolist() == [TRAIN] * 6 + [TEST] * 3
    assert source.shape == (5, 4, 1)
    assert source.name(7) == "t10k-images-idx3-ubyte.gz[1]"
    assert source.class_names == ["zero", "one", "two"]
    assert read_idx(tmp_path, tmp_path, ()).class_names == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (FILES[TRAIN][1], lambda data: gzip.compress(gzip.decompress(data)[:-1]), "received 2049 and 5 bytes for 6;"),
        (FILES[TRAIN][0], lambda data: gzip.compress(gzip.decompress(data)[:-1]), "2051 and 119 bytes for 6x5x4;"),
        (FILES[TRAIN][0], lambda data: gzip.compress(gzip.decompress(data) + b"x"), "2051 and 121 bytes for 6x5x4;"),
        (FILES[TEST][0], lambda data: gzip.compress(gzip.decompress(data)[:9]), "received a truncated or damaged one"),
        (FILES[TEST][0], lambda data: data[:-9], "expected a whole archive, received a truncated or damaged one"),
        (FILES[TEST][1], lambda data: b"<html>", "received a truncated or damaged one"),
        (FILES[TEST][1], lambda data: gzip.compress(b"\0\0\x08\x03" + bytes(99)), "magic number 2049"),
        (FILES[TRAIN][0], lambda data: gzip.compress(b"\0\0\x08\x03" + bytes(12)), "2051 and 0 bytes for 0x0x0"),
    ],
)
def test_idx_files_that_do_not_add_up(tmp_path, mnist, name, change, said):
    file = tmp_path / name
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(PipelineError, match=re.escape(said)):
        read_idx(tmp_path, tmp_path, ())


def test_more_pictures_than_labels(tmp_path, mnist):
    idx_file(tmp_path / FILES[TEST][1], np.arange(2))
    with pytest.raises(PipelineError, match="expected a label for each of the 3 pictures in t10k.*, received 2 labels"):
        read_idx(tmp_path, tmp_path, ())


def test_train_and_test_of_different_sizes(tmp_path, mnist):
    idx_file(tmp_path / FILES[TEST][0], np.zeros((3, 4, 4)))
    with pytest.raises(PipelineError, match=r"one size, received \(5, 4, 1\) to train and \(4, 4, 1\) to test"):
        read_idx(tmp_path, tmp_path, ())


def test_a_label_beyond_the_known_classes(tmp_path, mnist):
    with pytest.raises(PipelineError, match="expected labels of 0 to 1 in train-images.*, received 0 to 2"):
        read_idx(tmp_path, tmp_path, ("zero", "one"))


def test_large_pictures_in_idx_files_take_no_more_memory_at_once_than_small_ones(tmp_path):
    """3,000 of 512x512 once took 773 MB: it was 4,096 pictures at once, whatever their size."""
    for (images, labels), count in zip(FILES.values(), (200, 2), strict=True):
        idx_file(tmp_path / images, np.zeros((count, 512, 512), np.uint8))
        idx_file(tmp_path / labels, np.arange(count) % 2)
    tracemalloc.start()
    source = read_idx(tmp_path, tmp_path, ())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(source) == 202
    assert peak < 20 << 20
