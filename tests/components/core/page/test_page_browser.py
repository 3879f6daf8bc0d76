"""The browser test's own eyes: a page with faults must not pass for a sound one."""

from tests.components.core.page.page_browser import Frame, needs_chromium, seen_by_chromium


@needs_chromium
def test_faults_are_seen(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<!DOCTYPE html><html><body style='background: white'><div style='width: 2000px'>wide</div>"
        "<img src='http://127.0.0.1:47/missing.png' alt='x'><script>console.error('broken')</script></body></html>"
    )
    [seen] = seen_by_chromium(Frame(page, width=390, dark=True))
    assert any("broken" in line for line in seen.console)
    assert (seen.requests, seen.dark, seen.pictures) == (1, False, 0)
    assert 1600 <= seen.wider_than_frame <= 1640
