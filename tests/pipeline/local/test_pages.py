"""A page that KFP stored without an ending opens as a page."""

import subprocess

import pytest

from pipeline.local.run import page_with_ending
from tests.components.core.page.page_browser import CHROMIUM, needs_chromium

PAGE = "<!DOCTYPE html><html><head><title>seen</title></head><body></body></html>"


@pytest.fixture
def page(tmp_path):
    stored = tmp_path / "data_report"
    stored.write_text(PAGE)
    return page_with_ending(str(stored))


def test_it_is_a_file_of_its_own_with_an_ending(page):
    assert page.name == "data_report.html"
    assert not page.is_symlink() and page.read_text() == PAGE
    assert page_with_ending(str(page.with_suffix(""))) == page


@needs_chromium
def test_a_browser_takes_it_for_a_page(page, tmp_path):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "<title>seen</title>" in done.stdout and "<pre" not in done.stdout
