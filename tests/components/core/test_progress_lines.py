"""Progress: plain lines in a log, marked lines under make run-local, sizes and times for people."""

import pytest

from components.core import progress
from components.core.progress import LIVE_PREFIX, LIVE_VARIABLE, Progress


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(12_300, "pictures", "12,300 pictures"), (999, "B", "999 B"), (12_300_000, "B", "12.3 MB"), (5e12, "B", "5.0 TB")],
)
def test_amounts_read_well(value, unit, text):
    assert progress.amount(value, unit) == text


@pytest.mark.parametrize(("seconds", "text"), [(7.6, "8 s"), (125, "2 min 5 s"), (11400, "3 h 10 min")])
def test_durations_read_well(seconds, text):
    assert progress.duration(seconds) == text


def test_a_log_gets_a_plain_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LOG_INTERVAL_S", 0.0)
    with Progress("decode", total=200, unit="pictures") as shown:
        shown.advance(50)
    said = capsys.readouterr().out
    assert said.startswith("decode: 25%, 50 of 200 pictures, ")
    assert said.isascii()
    assert "\r" not in said
    assert "left" in said


def test_what_was_there_already_counts_for_the_share_and_not_for_the_speed(capsys, monkeypatch):
    """A download that goes on at 900 of 1,000 B, and fetches 10 in a second, takes 9 more."""
    clock = iter((0.0, 1.0, 1.0))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Progress("fetch", total=1000, unit="B", start=900, log_every_s=1.0) as shown:
        shown.advance(10)
    assert capsys.readouterr().out == "fetch: 91%, 910 B of 1.0 kB, 10 B/s, 9 s left\n"


def test_a_log_is_not_flooded(capsys):
    with Progress("decode", total=200, unit="pictures") as shown:
        for _ in range(200):
            shown.advance(1)
    assert capsys.readouterr().out == ""


def test_under_run_local_each_redraw_is_a_marked_line(capsys, monkeypatch):
    monkeypatch.setenv(LIVE_VARIABLE, "1")
    monkeypatch.setattr(progress, "REDRAW_INTERVAL_S", 0.0)
    with Progress("fetch", total=None, unit="B") as shown:
        shown.advance(1500)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(LIVE_PREFIX) for line in lines)
    assert "1.5 kB" in lines[0]
