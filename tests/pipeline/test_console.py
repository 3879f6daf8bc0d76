"""What a local run shows: the steps' lines, without kfp's noise, and the last error kept."""

import io

import pytest

from components.core.progress import LIVE_PREFIX
from pipeline.closing_block import closing_block
from pipeline.cluster.kubeflow import Endpoint
from pipeline.console import StepOutput, help_command, option, program, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(text: str, target: io.StringIO) -> StepOutput:
    output = StepOutput(target)
    for piece in text.splitlines(keepends=True):
        # kfp prints an indent, then the line
        output.write("    ")
        output.write(piece)
    return output


def test_a_log_shows_the_steps_lines_only():
    target = io.StringIO()
    shown(
        '[KFP Executor 2026-01-01 12:00:00,1 INFO]: Got executor_input:\n{\n  "inputs": {}\n}\n'
        "----------\n\nfetched \x1b[1m3\x1b[0m files\n  indented\n" + LIVE_PREFIX + "bar\n",
        target,
    )
    assert target.getvalue() == "  fetched 3 files\n    indented\n"


def test_the_rows_that_choose_prints_are_left_to_the_summary_and_other_steps_may_print_tables():
    target = io.StringIO()
    output = StepOutput(target)
    for step in ("train", "choose"):
        output.begin(step)
        output.write("    | 2 | lr=1 | 1.4 s |  |\n    best of 2\n")
    assert target.getvalue() == "train\n  | 2 | lr=1 | 1.4 s |  |\n  best of 2\nchoose\n  best of 2\n"


def test_warnings_stay():
    target = io.StringIO()
    shown("12:00:00.123 - WARNING - something is odd\n", target)
    assert "something is odd" in target.getvalue()


def test_a_terminal_redraws_the_bar_and_clears_it(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    target = Terminal()
    shown(f"{LIVE_PREFIX}fetch 10%\n{LIVE_PREFIX}fetch 20%\n{LIVE_PREFIX}\ndone\n", target)
    assert target.getvalue() == "  fetch 10%\r\x1b[2K  fetch 20%\r\x1b[2K  done\n"


def test_a_bar_fits_the_terminal(monkeypatch):
    """In 80 columns, the most frequent width, it wrapped, and each of five a second left a line behind."""
    monkeypatch.setenv("TERM", "xterm")
    bar = "epoch 2/2  [#######.................]  27%  309 of 1,128 images, 189 images/s, 4 s left, loss 0.3034"
    for columns, told in {
        "120": f"  {bar}",
        "80": "  epoch 2/2  27%  309 of 1,128 images, 189 images/s, 4 s left, loss 0.3034",
        "40": "  epoch 2/2  27%  309 of 1,128 images, ",
    }.items():
        monkeypatch.setenv("COLUMNS", columns)
        target = Terminal()
        shown(f"{LIVE_PREFIX}{bar}\n{LIVE_PREFIX}\n", target)
        assert target.getvalue() == f"{told}\r\x1b[2K"


def test_a_terminal_that_can_not_redraw_gets_no_bar(monkeypatch):
    """Emacs and some CI servers show `^[[2K`, five times a second."""
    monkeypatch.setenv("TERM", "dumb")
    target = Terminal()
    shown(f"{LIVE_PREFIX}fetch 10%\n{LIVE_PREFIX}\ndone\n", target)
    assert target.getvalue() == "  done\n"


def test_the_last_error_is_kept_for_the_closing_line():
    output = shown("error: first\nmore\nerror: expected a, received b\n", io.StringIO())
    assert output.last_error == "expected a, received b"


def test_of_a_traceback_the_exception_is_the_last_line():
    """Keras's messages go on for lines: `train failed: kwargs=<class 'inspect._empty'>` was all that was told."""
    output = StepOutput(io.StringIO())
    for last, told in {
        "ValueError: Exception in X.call().\n\n'a b' is no name.\n\nArguments received:\n  * kwargs=<class 'x'>\n": (
            "ValueError: Exception in X.call()."
        ),
        "zlib.error: Error -3\n": "zlib.error: Error -3",
        "DeprecationWarning: old\n": "DeprecationWarning: old",
        "StopIteration\n": "StopIteration",
    }.items():
        output.begin("train")
        output.write(f'epoch 1\nTraceback (most recent call last):\n  File "x.py", line 1, in f\n    return y\n{last}')
        assert output.last_line == told
    output.begin("train")
    output.write("epoch 1\nepoch 2\n")
    assert output.last_line == "epoch 2"


def test_a_table_is_aligned():
    assert table([("train", "1.0 s"), ("evaluate", "2.0 s")], ("step", "time")) == (
        "step      time\ntrain     1.0 s\nevaluate  2.0 s"
    )


def test_what_to_type_next_is_what_was_typed(monkeypatch):
    for typed, name in {"/venv/bin/conv2d": "conv2d", "/checkout/pipeline/__main__.py": "python -m pipeline"}.items():
        monkeypatch.setattr("sys.argv", [typed, "submit"])
        assert program() == name


def test_a_cached_step_has_no_time_however_long_the_look_into_the_cache_took():
    steps = [
        {"name": "download", "status": "succeeded", "cached": True, "seconds": 0.0},
        {"name": "train", "status": "succeeded", "cached": True, "seconds": 0.01},
        {"name": "evaluate", "status": "succeeded", "cached": False, "seconds": 1.25},
    ]
    told = [line.split()[1:] for line in closing_block({"steps": steps}).splitlines() if line][1:]
    assert told == [["cached"], ["cached"], ["succeeded", "1.2", "s"]]


@pytest.mark.parametrize(
    ("file", "environment", "account", "registry", "helped"),
    [
        ("/x/pipeline/__main__.py", {}, "--service-account", "--registry gs://b", "x models show --help"),
        ("/x/pipeline/__main__.py", {"MAKELEVEL": "1"}, "SERVICE_ACCOUNT=", "REGISTRY=gs://b",
         "make models ARGS='show --help'"),
        ("/bin/conv2d", {"MAKELEVEL": "1"}, "--service-account", "--registry gs://b", "x models show --help"),
    ],
    ids=["by hand", "by our make", "conv2d in another's make"],
)  # fmt: skip
def test_messages_name_options_as_the_caller_types_them(monkeypatch, file, environment, account, registry, helped):
    monkeypatch.setattr("sys.argv", [file])
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (option("service-account"), option("registry", "gs://b")) == (account, registry)
    assert help_command("x models show") == helped
    assert help_command("x submit") == ("make help" if "ARGS" in helped else "x submit --help")
    typed = {"__main__.py": "python -m pipeline follow 3-a", "conv2d": "conv2d follow 3-a"}
    followed = "make follow RUN=3-a" if "ARGS" in helped else typed[file.rpartition("/")[2]]
    assert Endpoint().follow_command("3-a") == followed
