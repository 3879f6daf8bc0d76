"""What make was given, as the command line spells it."""

import pytest

from components.core.errors import PipelineError
from pipeline.commands.given import as_typed
from pipeline.commands.main import main


@pytest.fixture(autouse=True)
def by_make(monkeypatch):
    monkeypatch.setenv("MAKELEVEL", "1")


@pytest.mark.parametrize(
    ("given", "typed"),
    [
        (["run-local", "CACHE=0"], ["--no-cache", "--"]),
        (["run-local", "OUTPUTS=a b", "SOURCE=--x"], ["--outputs", "a b", "--", "SOURCE=--x"]),
        (["run-local", "PROFILE=", "OUTPUTS=", "RUNNER="], ["--profile", "", "--outputs", "", "--"]),  # are refused
        (["run-local", "batch-size=3", "CACHE=0"], ["--no-cache", "--", "batch-size=3"]),  # which is refused
        (["run-local", "VERBOSE=1", "epochs=3"], ["--", "VERBOSE=1", "epochs=3"]),  # a parameter of training
        (["sweep", "CACHE=1", "GRID=seed=1,2"], ["--cache", "--grid", "seed=1,2", "--"]),
        (["submit", "CHECK_IMAGES=0", "WATCH=0"], ["--no-check-images", "--no-watch", "--"]),
        (["submit", "SERVICE_ACCOUNT=x", "VERBOSE=1"], ["--service-account", "x", "--verbose", "--"]),
        (["submit", "WHAT=prediction", "MODEL=a"], ["--what", "prediction", "--", "MODEL=a"]),
        (["compile", "KUBERNETES_MANIFEST=1"], ["--kubernetes-manifest", "--"]),
        (["schedule", "CRON=-x", "NAME=a", "EPOCHS=3"], ["--name", "a", "--", "-x", "EPOCHS=3"]),
        (["unschedule", "NAME=-a"], ["--", "-a"]),
        (["follow", "ENDPOINT=http://k", "RUN=a-b"], ["--endpoint", "http://k", "--", "a-b"]),
        (["doctor", "JSON=1", "BUCKET=gs://b"], ["--json", "--bucket", "gs://b", "--"]),
        (["doctor", "JSON=0"], ["--"]),
        (["predict", "IMAGE=-x.png", "OUT=o=.csv"], ["--out", "o=.csv", "--", "-x.png"]),
        (["predict-all", "MODEL=a", "OUT=b"], ["--model", "a", "--", "OUT=b"]),
        (["images", "ACTION=push", "TARGET=gpu"], ["--target", "gpu", "--", "push"]),
        (["schedule", "CRON=", "VERSION="], ["--"]),  # nothing is not given
    ],
)
def test_names_are_options_and_arguments_and_all_others_parameters(given, typed):
    assert as_typed(main, given) == [given[0], *typed]
    assert as_typed(main, ["model", "show", "CLASSES=3"]) == ["model", "show", "--classes", "3", "--"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["predict", "TOPP=1"], "predict takes no TOPP=; did you mean 'TOP'"),
        (["schedules", "ENDPONT=x"], "schedules takes no ENDPONT=; did you mean 'ENDPOINT'"),
        (["run-local", "CACHE=no"], "expected CACHE=0 or CACHE=1, received no"),
    ],
)
def test_what_a_command_does_not_take_is_refused(given, said):
    with pytest.raises(PipelineError, match=said):
        as_typed(main, given)


@pytest.mark.parametrize(
    "typed",
    [["run-local", "--runner", "process", "OUTPUTS=x"], ["models", "show", "digits", "2"], ["--help"], ["schedules"]],
)
def test_a_command_line_stays_as_it_is(typed, monkeypatch):
    assert as_typed(main, typed) == typed
    monkeypatch.delenv("MAKELEVEL")
    assert as_typed(main, ["run-local", "OUTPUTS=x"]) == ["run-local", "OUTPUTS=x"]
