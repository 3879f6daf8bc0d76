"""Reads a finished page strictly: what a browser would forgive fails here."""

import dataclasses
import html.parser
import pathlib
import re

VOID = {"meta", "link", "img", "br", "path", "circle", "rect"}
CELLS = {"th", "td", "dt", "dd"}


@dataclasses.dataclass
class Page(html.parser.HTMLParser):
    """The text a reader sees, and every tag with its attributes; tags that don't balance raise."""

    source: str
    tags: list[tuple[str, dict]] = dataclasses.field(default_factory=list)
    text: str = ""

    def __post_init__(self):
        super().__init__()
        self.open = []
        self.feed(self.source)
        self.close()
        assert self.open == [], f"never closed: {self.open}"
        self.text = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert tag in VOID, f"<{tag}/> is not closed by its slash"
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> at {self.getpos()} closes {self.open[-1:]}"
        self.open.pop()
        if tag in CELLS:
            self.text += " "

    def handle_data(self, data):
        if not {"style", "script"} & {*self.open}:
            self.text += data

    def count(self, tag, css=None):
        return sum(name == tag and (css is None or css in (a.get("class") or "").split()) for name, a in self.tags)


def read_page(path: pathlib.Path) -> Page:
    """The page, after checking that it is sound, stands alone and can be read aloud."""
    page = Page(path.read_text(encoding="utf-8"))
    assert "@import" not in page.source and "url(" not in page.source
    assert page.count("script") == 1 and page.count("iframe") == 0  # base.html's own, for links in Kubeflow's frame
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids)), "an id twice"
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), f"a handler on <{tag}>"
        # A reader may see an address; the browser must not be given one.
        given = [value for value in attributes.values() if value and not value.startswith("data:")]
        assert not any("//" in value for value in given), f"an address in <{tag} {attributes}>"
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#")), f"<{tag} {name}={attributes[name][:60]}>"
                assert not attributes[name].startswith("#") or attributes[name][1:] in ids
        if tag == "img":
            assert attributes["alt"] and attributes["width"] and attributes["height"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
        if tag == "svg" and attributes.get("aria-hidden") != "true":
            assert attributes["role"] == "img" and set(attributes["aria-labelledby"].split()) <= set(ids)
    return page
