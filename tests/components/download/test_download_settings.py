"""What is refused before anything is fetched, and that the catalog is in order."""

import importlib.util
import pathlib
import re

import pytest

from components.core.catalog import DATASETS
from components.core.errors import PipelineError
from components.download.places import inside, path_behind, public
from components.download.settings import DownloadSettings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"dataset": "cifar-10"}, "dataset: unknown data set; did you mean 'cifar10'"),
        ({"dataset": "xyz"}, "known: cifar10, .*, mnist"),
        ({"dataset": "image_folder"}, "source: image_folder needs one"),
        ({"source_sha256": "abc"}, "source_sha256: expected the 64 hexadecimal digits"),
        ({"source": "ftp://host/x"}, "unknown scheme 'ftp'"),
        ({"sauce": "x"}, "unknown parameter 'sauce'; did you mean 'source'"),
    ],
)
def test_impossible_settings(values, said):
    with pytest.raises(PipelineError, match=said):
        DownloadSettings.checked(**values)


def test_a_password_is_not_repeated():
    with pytest.raises(PipelineError) as refused:
        DownloadSettings.checked(dataset="image_folder", source="gs://me:hush@bucket/x?token=hush")
    assert "hush" not in str(refused.value)


def test_the_catalog_is_in_order():
    originals = [original for known in DATASETS.values() for original in known.originals]
    for original in originals:
        assert all(mirror.endswith(f"/{original.name}") for mirror in original.mirrors)
        assert re.fullmatch(r"[0-9a-f]{32}", original.md5) or original.mirrors[0].startswith("package:")
    assert len({original.md5 for original in originals}) == len(originals)
    assert DATASETS["cifar10"].validation == "last"
    classes = {"digits": 10, "cifar10": 10, "cifar100": 100, "mnist": 10, "fashion_mnist": 10, "image_folder": 0}
    assert {name: len(DATASETS[name].class_names) for name in classes} == classes


def test_the_bundled_digits_are_the_size_the_catalog_says():
    package = importlib.util.find_spec("sklearn").submodule_search_locations[0]
    size = (pathlib.Path(package) / "datasets/data/digits.csv.gz").stat().st_size
    assert size == DATASETS["digits"].originals[0].bytes


def test_places():
    assert public("https://me:hush@host:81/a/b.tar?c=d#e") == "https://host:81/a/b.tar"
    assert public("file:///a%20b") == "/a b"
    assert public("a/b") == str(pathlib.Path("a/b").absolute())
    assert inside("https://me@host/a/?c=d", "x y") == "https://me@host/a/x%20y?c=d"
    assert inside("/a", "b") == "/a/b"
    assert inside("s3://bucket/a?c#d/", "b") == "s3://bucket/a?c#d/b"
    assert path_behind("~/x") == pathlib.Path.home() / "x"
    assert path_behind("odd:name") == pathlib.Path("odd:name").absolute()
