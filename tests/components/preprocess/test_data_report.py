"""The data report: what it says is what preprocess found."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from components.core.artifacts.dataset import DatasetInfo, SplitInfo
from components.core.errors import PipelineError
from components.preprocess.report.examples import samples
from components.preprocess.report.facts import DataFacts, Duplicate, Repeated
from components.preprocess.report.notices import scarce
from components.preprocess.report.page import write_data_report
from components.preprocess.sources.source import Quarantined
from components.preprocess.splits import GIVEN
from tests.components.core.page.page_browser import Frame, needs_chromium, seen_by_chromium
from tests.components.core.page.page_checks import read_page


def facts_of(names, counts, shape=(8, 8, 3), samples=4, dataset="photos", quarantined=0, **others):
    """The facts of a data set with `counts` by split and class."""
    random = np.random.default_rng(5)
    info = DatasetInfo(
        dataset=dataset,
        image_shape=shape,
        class_names=names,
        splits={split: SplitInfo(count=sum(c), per_class=c, shards=[]) for split, c in counts.items()},
        mean=[0.4914] * shape[2],
        std=[0.2023] * shape[2],
        seed=42,
        hashes_sha256="ef" * 32,
        quarantined=quarantined,
        source_uri="https://example.org/photos.tar",
        source_sha256="ab" * 32,
        fingerprint="cd" * 32,
    )
    pictures = samples
    if isinstance(samples, int):
        pictures = {name: [random.integers(0, 256, shape, np.uint8) for _ in range(samples)] for name in names}
    given = {
        "info": info,
        "samples": pictures,
        "in_two_splits": Repeated(0, []),
        "in_two_classes": Repeated(0, []),
        "notices": [],
        "quarantine": [],
        "ignored": {},
        "chosen": {"validation": "the last 20 % of the training pictures", "test": "as the source gives it"},
        "widths": (31, 64.0, 4000),
        "heights": (32, 48.5, 6000),
        "conversions": {},
        "seconds": 12.34,
        "pictures_per_second": 5312.4,
    }
    return DataFacts(**(given | others))


NAMES = ["cat", "dog", "ship"]
COUNTS = {"train": [1400, 1300, 1200], "validation": [350, 300, 250], "test": [500, 500, 500]}


def written(tmp_path, facts):
    write_data_report(tmp_path / "data_report.html", facts)
    return read_page(tmp_path / "data_report.html")


def test_the_numbers_on_the_page_are_the_numbers_given(tmp_path):
    page = written(tmp_path, facts_of(NAMES, COUNTS, conversions={"greyscale to RGB": 12345}))
    for said in (
        "6,300 pictures of 3 classes, each 8 × 8 pixels, in colour",
        "Training 3,900",
        "Validation 900",
        "Test 1,500",
        "train 3,900 61.9 % the rest",
        "validation 900 14.3 % the last 20 % of the training pictures",
        "test 1,500 23.8 % as the source gives it",
        "ship 1,950 1,200 250 500 dog 2,100 1,300 300 500 cat 2,250 1,400 350 500",  # the rarest first
        "Width 31 64 4,000 Height 32 48.5 6,000",
        "greyscale to RGB 12,345",
        "https://example.org/photos.tar",
        "ab" * 32,
        "cd" * 32,
        "0.4914, 0.4914, 0.4914",
        "12.3 s, 5,312 pictures/s",
    ):
        assert said in page.text
    assert page.count("img") == 12
    assert page.count("ul", "notes") == 0


def test_a_sound_data_set_says_so(tmp_path):
    text = written(tmp_path, facts_of(NAMES, {"train": [5, 5, 5], "validation": [1, 1, 1], "test": [5, 5, 5]})).text
    assert "Every class has the same number of pictures." in text
    assert "split has" not in text
    assert "None: no picture is in more" in text
    assert "None: every file in the source is a readable picture" in text
    assert "No picture was converted" in text


def test_what_is_wrong_with_the_data_is_said_first_and_shown(tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    facts = facts_of(
        NAMES,
        {"train": [900, 300, 200], "test": [500, 0, 100]},
        in_two_splits=Repeated(57, [Duplicate([("train", "a/1.jpg"), ("test", "b/2.jpg")], picture)]),
        quarantined=300,
        quarantine=[Quarantined(f"cat/{i}.jpg", "truncated") for i in range(100)],
        ignored={"not a picture by its extension": 3},
    )
    page = written(tmp_path, facts)
    said_first = page.text.partition("Splits")[0]
    for said in (
        "57 pictures are in more than one split",
        "The test split has fewer than 5 pictures of dog (0)",
        "imbalanced: cat has 1,400",
        "300 files or lines could not",
    ):
        assert said in said_first
    for said in (
        "The first 1:",
        "a/1.jpg",
        "b/2.jpg",
        "here are the first 100",
        "The other 70 files",
        "cat/99.jpg truncated",
    ):
        assert said in page.text
    assert "not a picture by its extension 3" in page.text


def test_classes_with_too_few_pictures_to_measure_are_named_with_what_helps(tmp_path):
    counts = {"train": [9] * 6, "validation": [1, 1, 0, 1, 1, 1], "test": [4, 1, 5, 0, 4, 5]}
    shared = facts_of(list("abcdef"), counts, chosen=dict.fromkeys(("test", "validation"), "about 20 % of each class"))
    said = [
        "the test split has fewer than 5 pictures of d (0), b (1), a (4) and 1 more: too few to test a model on "
        "them; more pictures or a larger test_split would help",
        "the validation split has no picture of c: too few to test a model on them; more pictures or a larger "
        "validation_split would help",
    ]
    assert scarce(shared) == said
    text = written(tmp_path, shared).text
    assert [text.count(f"T{each[1:]}.") for each in said] == [2, 2], "first of all, and at the table"
    given = facts_of(list("abcdef"), counts, chosen={"test": GIVEN, "validation": GIVEN})
    assert all(each.endswith("; more pictures would help") for each in scarce(given))
    assert not scarce(facts_of(["a"], {"train": [9], "validation": [0], "test": [5]})), "no validation split"


def test_hostile_names_stay_text(tmp_path):
    hostile = "<script>alert(1)</script>"
    facts = facts_of(
        [hostile, '"><img src=x onerror=alert(1)>'],
        {"train": [5, 5]},
        dataset=hostile,
        quarantined=1,
        quarantine=[Quarantined("</table>.jpg", "<b>")],
    )
    page = written(tmp_path, facts)
    assert hostile in page.text and "</table>.jpg <b>" in page.text


def test_nan_is_refused_and_nothing_is_written(tmp_path):
    facts = dataclasses.replace(facts_of(NAMES, COUNTS), pictures_per_second=math.nan)
    with pytest.raises(PipelineError, match="nan for data.pictures_per_second"):
        write_data_report(tmp_path / "data_report.html", facts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("classes", "shown"), [(10, 100), (30, 120), (100, 100), (1000, 112)])
def test_samples_stay_few_however_many_the_classes(tmp_path, classes, shown):
    names = [f"class {i}" for i in range(classes)]
    pictures = np.zeros((12 * classes, 8, 8, 1), np.uint8)
    source = SimpleNamespace(class_names=names, labels=np.arange(12 * classes) % classes)
    chosen = samples(source, np.arange(12 * classes), pictures)
    page = written(tmp_path, facts_of(names, {"train": [10] * classes}, samples=chosen, shape=(8, 8, 1)))
    assert page.count("img") == shown
    assert ("Shown are 112 of 1,000 classes" in page.text) == (classes == 1000)


def test_a_thousand_classes_of_photographs_make_a_small_page(tmp_path):
    names = [f"n{i:08d} a rather long name" for i in range(1000)]
    random = np.random.default_rng(0)
    # Smooth like photographs, with some noise on top: each another part of the same noise.
    slope, noise = np.linspace(40, 200, 160)[:, None, None], random.normal(0, 12, (1160, 160, 3))
    parts = [(slope + noise[start : start + 160]).clip(0, 255).astype(np.uint8) for start in range(1000)]
    photographs = {name: [part] for name, part in list(zip(names, parts, strict=True))[::9]}
    page = written(tmp_path, facts_of(names, {"train": [10] * 1000}, samples=photographs))
    assert len(page.source.encode()) < 2_000_000
    assert all(name in page.text for name in names)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What a browser makes of the page, by the width of its frame: on a phone in the dark, and on a light desktop."""
    page = tmp_path_factory.mktemp("seen") / "data_report.html"
    long = "a/rather/deep/folder/" + "name" * 30 + ".jpg"
    write_data_report(page, facts_of(NAMES, COUNTS, quarantined=1, quarantine=[Quarantined(long, "truncated " * 20)]))
    phone, desktop = seen_by_chromium(Frame(page, 390, dark=True), Frame(page, 1280, dark=False))
    return {390: phone, 1280: desktop}


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_a_browser_shows_it_without_complaint(seen, width, dark):
    found = seen[width]
    assert found.console == []
    assert (found.requests, found.wider_than_frame, found.dark, found.scrolled) == (0, 0, dark, True)
    assert found.pictures == 12
