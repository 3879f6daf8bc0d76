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
# The page is looked at in a frame, as KFP shows it: a window can't be made as narrow as a phone.
FRAME = """<!DOCTYPE html><meta name="color-scheme" content="light dark">
<iframe style="border: 0" width="{width}" height="900" srcdoc="{page}"></iframe>
<script>addEventListener("load", () => {{
  const frame = document.querySelector("iframe").contentWindow, root = frame.document.documentElement;
  const paper = frame.getComputedStyle(frame.document.body).backgroundColor.match(/[0-9]+/g);
  document.body.dataset.probe = JSON.stringify({{
    requests: frame.performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).length,
    wider_than_frame: root.scrollWidth - root.clientWidth,
    dark: paper[0] < 128,
    pictures: [...frame.document.images].filter(i => i.complete && i.naturalWidth).length,
  }});
}});</script>"""


class Seen(NamedTuple):
    """What a browser made of a page: `console` is every message, `pictures` those decoded."""

    console: list[str]
    requests: int
    wider_than_frame: int
    dark: bool
    pictures: int


def seen_by_chromium(path: pathlib.Path, width: int = 1280, dark: bool = False) -> Seen:
    """Loads the page at `path` in a frame `width` pixels wide, without touching the network."""
    frame = path.with_name("frame.html")
    frame.write_text(FRAME.format(width=width, page=html.escape(path.read_text(encoding="utf-8"))), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(
                CHROMIUM,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--no-first-run",
            ),
            *(
                "--disable-component-update",
                "--disable-sync",
                f"--user-data-dir={profile}",
                f"--window-size={width},900",
            ),
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            *("--enable-logging=stderr", "--dump-dom", f"file://{frame}"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    [probe] = re.findall(r'data-probe="([^"]*)"', done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Seen(console, **json.loads(html.unescape(probe)))
