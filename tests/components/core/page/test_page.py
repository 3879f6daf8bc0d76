"""What all pages share: escaping, finite numbers, pictures, colours."""

import base64
import io
import math
import re

import jinja2
import numpy as np
import pytest
from PIL import Image

from components.core import wording
from components.core.errors import PipelineError
from components.core.page import HERE, Section, write_page
from components.core.page.numbers import page_percent, plain, require_finite
from components.core.page.pictures import picture
from components.evaluate.report.facts import CalibrationBin
from tests.components.core.page.page_checks import read_page


@pytest.fixture
def templates(tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "headline.html").write_text("<p>{{ claim }}</p>")
    (folder / "words.html").write_text("<p>{{ word }}</p>")
    return folder


def test_a_page_is_a_headline_and_sections(templates, tmp_path):
    sections = [Section("words", "First words"), Section("other", "Nothing to say", wanted=False)]
    write_page(
        tmp_path / "page.html", templates, "Test page", "A & B", sections, claim="<b>", word="<script>alert(1)</script>"
    )
    page = read_page(tmp_path / "page.html")
    assert "Nothing to say" not in page.text
    for said in ("Test page", "A & B", "First words", "<b>", "<script>alert(1)</script>"):
        assert said in page.text
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["page.html"]


def test_a_value_that_is_missing_leaves_the_old_page_alone(templates, tmp_path):
    (tmp_path / "page.html").write_text("old")
    with pytest.raises(jinja2.UndefinedError, match="word"):
        write_page(tmp_path / "page.html", templates, "Test", "T", [Section("words", "A")], claim="x")
    assert (tmp_path / "page.html").read_text() == "old"


def test_hebrew_and_arabic_change_no_places_with_a_number_beside_them(templates, tmp_path):
    """`93 %` behind such a name stood before it, and its sign alone behind."""
    (templates / "words.html").write_text("{% macro b(x) %}<b>{{ x }}</b>{% endmacro %}{{ b(word) }} 93 %, {{ claim }}")
    write_page(tmp_path / "page.html", templates, "K", "T", [Section("words", "W")], claim="a/ב/1", word="חתול")
    assert "<b>\u2068חתול\u2069</b> 93 %, a/\u2068ב\u2069/1" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_small_picture_is_kept_pixel_by_pixel(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (28, 32, channels), dtype=np.uint8)
    shown = picture(pixels)
    kind, _, data = shown["src"].partition(";base64,")
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert kind == "data:image/png" and shown["pixelated"]
    assert (back.reshape(pixels.shape) == pixels).all()
    assert (shown["width"], shown["height"]) == (96, 84)


def test_a_photograph_is_reduced_and_keeps_its_proportions():
    gradient = np.linspace(0, 255, 3000).astype(np.uint8)
    shown = picture(np.broadcast_to(gradient[None, :, None], (1500, 3000, 3)).copy())
    assert (shown["width"], shown["height"], shown["pixelated"]) == (96, 48, False)
    assert len(shown["src"]) < 20_000


@pytest.mark.parametrize("pixels", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 4), np.uint8), np.zeros((8, 8, 3))])
def test_what_is_no_picture_is_refused(pixels):
    with pytest.raises(ValueError, match="Expected uint8"):
        picture(pixels)


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0.6187, "61.9 %"), (1, "100.0 %"), (0, "0.0 %"), (0.99999, "> 99.9 %"), (0.0001, "< 0.1 %"), (0.0006, "0.1 %")],
)
def test_percent_never_rounds_to_all_or_nothing(share, shown):
    assert page_percent(share).replace("\u00a0", " ") == shown


def test_a_share_beside_its_limit_shows_on_which_side_it_lies():
    assert wording.percent(0.20003, 0.2) == "20.003 %" and wording.percent(0.2, 0.2) == "20 %"
    assert page_percent(0.20003, limit=0.2) == "20.003\u00a0%" and page_percent(0.3, limit=0.2) == "30.0\u00a0%"


def test_plain_facts():
    assert [plain(v) for v in (1147466, 0.001, "adam", True)] == ["1,147,466", "0.001", "adam", "yes"]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"history": {"loss": [1.0, math.nan]}}, r"facts\['history'\]\['loss'\]\[1\]"),
        ([CalibrationBin(0, 1, math.inf, 0.5, 3)], r"facts\[0\].confidence"),
        (np.array([0.0, -math.inf]), "facts"),
        (np.float32("nan"), "facts"),
    ],
)
def test_what_is_not_finite_is_named(value, name):
    with pytest.raises(PipelineError, match=f"for {name};"):
        require_finite(value, "facts")


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def contrast(one, other):
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_text_has_the_contrast_of_wcag_aa_in_light_and_dark():
    themes = re.findall(r":root \{([^}]*)\}", (HERE / "page.css").read_text())
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", theme)) for theme in themes]
    assert len(themes) == 2
    for theme in themes:
        for name in ("ink", "quiet", "accent"):
            assert contrast(theme[name], theme["paper"]) >= 4.5
        # The deepest tint of the confusion matrix is half accent.
        halves = [(int(theme["accent"][i : i + 2], 16) + int(theme["paper"][i : i + 2], 16)) // 2 for i in (1, 3, 5)]
        assert contrast(theme["ink"], "#" + "".join(f"{half:02x}" for half in halves)) >= 4.5


@pytest.mark.parametrize("side", [1, 8, 47, 48, 49, 56, 64, 65, 200])
@pytest.mark.parametrize("shown", [48, 64, 96])
def test_a_picture_of_any_size_is_seen_in_a_square_of_any_size(side, shown):
    """Those of 49 to 64 pixels were once 0 wide in a square of 48."""
    made = picture(np.zeros((side, side, 3), np.uint8), shown)
    assert 0 < made["width"] == made["height"] <= shown
    assert made["width"] > shown / 2
    assert made["pixelated"] == (side <= min(64, shown))
