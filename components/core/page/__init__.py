"""The HTML pages people look at: one file each, readable anywhere, for ever.

A page is a headline and a list of sections, each a small Jinja template beside the code that fills it; this package
holds what all pages share, parts.html the macros. Nothing on a page comes from elsewhere: styles, charts and pictures
are inside the file, and no script is needed to read it, but for its links in Kubeflow's frame. It follows the reader's
light or dark setting and fits a phone.
"""

import dataclasses
import functools
import os
import pathlib
from typing import TYPE_CHECKING, Any

from components.core.files import whole_file
from components.core.page import charts, numbers, pictures
from components.core.wording import isolated, sentence

if TYPE_CHECKING:
    import jinja2

HERE = pathlib.Path(__file__).parent
LISTED = 30  # rows shown at once of a list that may be long


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page with a heading of its own: `name`.html fills it, and a link to #`name` leads to it.

    One that is not `wanted`, because there is nothing to say, is left out.
    """

    name: str
    title: str
    wanted: bool = True


def write_page(
    path: str | os.PathLike,
    templates: pathlib.Path,
    kind: str,
    title: str,
    sections: list[Section],
    **values: Any,
) -> None:
    """Writes a self-contained page, whole or not at all.

    Args:
        path: the HTML file to write.
        templates: the folder with `headline.html` and the sections' templates.
        kind: what sort of page it is, shown above the title.
        title: what it is about.
        sections: in reading order.
        **values: what the templates name. A name a template wants and does not get is an error, not a blank.
    """
    wanted = [section for section in sections if section.wanted]
    page = _environment(templates).get_template("base.html")
    text = page.render(kind=kind, title=title, sections=wanted, **values)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@functools.cache
def _environment(templates: pathlib.Path) -> "jinja2.Environment":
    """The reader of a kind of page's templates; to compile them takes 0.15 s, once a process."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([templates, HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: isolated(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=numbers.page_percent, points=numbers.points, count=numbers.count)
    environment.filters.update(plain=numbers.plain, unbroken=numbers.unbroken, sentence=sentence)
    environment.globals.update(picture=pictures.picture, listed=LISTED)
    # Charts are drawn by a template too, so that one escaping rule holds for the whole page.
    drawing = environment.get_template("chart.html")
    environment.filters["draw"] = lambda chart: charts.Drawing(chart).render(drawing)
    return environment
