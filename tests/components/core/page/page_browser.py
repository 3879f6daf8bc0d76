"""Opens a page in a real browser and reports what it made of it."""

import html
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
# A page is looked at in a frame, as KFP shows it: a window can't be made as narrow as a phone. All frames are in one
# window: to start Chromium takes 0.7 s of a core.
FRAME = '<iframe style="border: 0; color-scheme: {scheme}" width="{width}" height="900" srcdoc="{page}"></iframe>'
PROBE = """<script>addEventListener("load", () => {
  document.body.dataset.probe = JSON.stringify([...document.querySelectorAll("iframe")].map(element => {
    const frame = element.contentWindow, root = frame.document.documentElement;
    frame.document.querySelector("nav a:last-child")?.click();
    const paper = frame.getComputedStyle(frame.document.body).backgroundColor.match(/[0-9]+/g);
    return {
      requests: frame.performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).length,
      wider_than_frame: root.scrollWidth - root.clientWidth,
      dark: paper[0] < 128,
      scrolled: frame.scrollY > 0,
      pictures: [...frame.document.images].filter(i => i.complete && i.naturalWidth).length,
    };
  }));
});</script>"""


class Frame(NamedTuple):
    """How a page is looked at: in a frame so many pixels wide, by a reader of light or of dark pages."""

    page: pathlib.Path
    width: int
    dark: bool


class Seen(NamedTuple):
    """What a browser made of a page: `console` is every message, of all pages shown; `scrolled`: the link to the last
    section led there; `pictures` those decoded."""

    console: list[str]
    requests: int
    wider_than_frame: int
    dark: bool
    scrolled: bool
    pictures: int


def seen_by_chromium(*frames: Frame) -> list[Seen]:
    """Loads each page in a frame of its own, without touching the network."""
    shown = "".join(
        FRAME.format(scheme="dark" if dark else "light", width=width, page=html.escape(page.read_text("utf-8")))
        for page, width, dark in frames
    )
    with tempfile.TemporaryDirectory() as directory:
        window = pathlib.Path(directory, "window.html")
        window.write_text(f"<!DOCTYPE html>{shown}{PROBE}", encoding="utf-8")
        command = [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--no-first-run", "--disable-component-update", "--disable-sync", f"--user-data-dir={directory}/profile"),
            *("--enable-logging=stderr", "--dump-dom", f"file://{window}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    [probe] = re.findall(r'data-probe="([^"]*)"', done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return [Seen(console, **found) for found in json.loads(html.unescape(probe))]
