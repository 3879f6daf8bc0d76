"""The small charts: scales that hold their data, and SVG that is sound."""

import xml.etree.ElementTree as ElementTree

import jinja2
import pytest

from components.core.page import HERE
from components.core.page.charts import MOST_MARKERS, Bar, Chart, Drawing, Line, axis, count_axis, share_axis


def svg(chart):
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True)
    figure = ElementTree.fromstring(Drawing(chart).render(environment.get_template("chart.html")))
    return figure, figure.findall("svg")[-1]


@pytest.mark.parametrize(
    "values", [[0.1, 0.93], [0, 0], [5], [-3.0, 2], [1e-5, 1e-3], [7.1, 7.2], [2e9, 3e9], [1e-300, 2e-300]]
)
def test_an_axis_holds_its_values_and_has_few_round_ticks(values):
    found = axis("", values)
    places = [value for value, _ in found.ticks]
    rounding = 1e-9 * (found.high - found.low)
    assert found.low <= min(values) + rounding and max(values) <= found.high + rounding and found.low < found.high
    assert 2 <= len(places) <= 7
    assert places == sorted(set(places)) and found.low == places[0] and found.high == places[-1]
    assert [float(label) for _, label in found.ticks] == pytest.approx(places, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "percent", "one"),
    [([0.972, 0.98], True, "97.4 %"), ([2.302585, 2.302586], False, "2.3025855"), ([0, 1], True, "50 %")],
)
def test_no_two_ticks_of_an_axis_read_alike(values, percent, one):
    """From 97.2 to 98 % they read 97 %, 97 %, 98 %, 98 %, 98 %."""
    labels = [label for _, label in axis("", values, percent=percent).ticks]
    assert one in labels and len(set(labels)) == len(labels)


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_a_share_that_stays_all_or_nothing_is_drawn_between_0_and_100_percent(share):
    assert [label for _, label in axis("", [share] * 3, percent=True).ticks] == ["0 %", "50 %", "100 %"]


@pytest.mark.parametrize("last", [1, 2, 3, 7, 25, 100, 1234])
def test_an_axis_of_epochs_has_whole_ticks_from_one(last):
    found = count_axis("epoch", last)
    assert found.low < found.high and found.ticks[0] == (1, "1")
    assert all(1 <= value <= last and value == int(value) for value, _ in found.ticks)
    assert len(found.ticks) <= 12


def test_a_line_runs_through_its_points():
    chart = Chart("c", "T", "D", share_axis("x"), share_axis("y"), [Line("a", [(0, 0), (0.5, 1), (1, 0.25)])])
    drawing = Drawing(chart)
    _, picture = svg(chart)
    path = picture.find("path[@class='line accent']").get("d")
    corners = [tuple(map(float, pair.split(","))) for pair in path.removeprefix("M").split()]
    assert corners[0] == (drawing.left, drawing.bottom)
    assert corners[1] == (pytest.approx((drawing.left + drawing.right) / 2, abs=0.06), drawing.top)
    assert corners[2] == (drawing.right, pytest.approx(drawing.bottom - (drawing.bottom - drawing.top) / 4, abs=0.06))
    assert len(picture.findall("circle")) == 3


def test_a_bar_has_the_height_of_its_value():
    chart = Chart("c", "T", "D", share_axis("x"), share_axis("y"), bars=[Bar(0, 0.5, 0.5), Bar(0.5, 1, 0)])
    drawing = Drawing(chart)
    [bar] = svg(chart)[1].findall("rect")
    assert float(bar.get("height")) == pytest.approx((drawing.bottom - drawing.top) / 2, abs=0.06)
    assert float(bar.get("width")) == pytest.approx((drawing.right - drawing.left) / 2 - 1, abs=0.06)


def test_hostile_names_and_many_points_make_a_sound_and_small_picture():
    many = [(i / 999, 0.5) for i in range(1000)]
    lines = [
        Line("<b>&\"'", many),
        Line("second", many, "ink"),
        Line("third", [(0, 0), (1, 1)], "reference", markers=False),
    ]
    chart = Chart("c", "<script>", "</svg>", share_axis("<x>"), share_axis("y"), lines, mark=(0.99, "<mark>"))
    figure, picture = svg(chart)
    assert picture.findtext("title") == "<script>" and picture.findtext("desc") == "</svg>"
    assert "<b>&\"'" in "".join(figure.find("figcaption").itertext())
    assert len(picture.findall("circle")) <= MOST_MARKERS and len(picture.findall("rect")) <= MOST_MARKERS


def test_lines_differ_in_more_than_colour():
    css = (HERE / "page.css").read_text()
    dashes = {
        look: css.split(f".line.{look} {{")[1].split("}")[0].partition("dasharray:")[2]
        for look in ("accent", "ink", "reference")
    }
    assert len(set(dashes.values())) == 3
