"""Which lines of a pod's log are the step's own, and which places the KFP executor tells."""

import json

import pytest

from pipeline.step_log import StepLog
from tests.pipeline.cluster.replay import recorded_log

OWN_LINES = {
    "step-succeeded": [
        "image_folder: 112.6 kB from minio://mlpipeline/data/photos/, sha256 "
        "c29be67780b21c8a39b54eed116cc0c567a1e1a10a9bdcd5380c5ad83a8d4d9f"
    ],
    "step-failed": [
        "error: expected an object minio://mlpipeline/absent or objects below it, received none; check the name"
    ],
    "step-out-of-memory": ["Killed"],
}


@pytest.mark.parametrize("name", sorted(OWN_LINES))
def test_a_recorded_log_holds_few_lines_of_the_steps_own(name):
    log = StepLog()
    lines = [log.own(line.partition(" ")[2]) for line in recorded_log(name).split("\n")]
    assert [line for line in lines if line is not None] == OWN_LINES[name]


def test_a_recorded_log_names_the_places_of_artifacts():
    log = StepLog()
    for line in recorded_log("step-succeeded").split("\n"):
        log.own(line.partition(" ")[2])
    assert log.uris["raw"] == (
        "minio://mlpipeline/v2/artifacts/training/30bb39e6-122b-4643-b6da-cd3dba54ed8b/download/"
        "ce2e42f8-b56f-4a30-8444-cb9bf45b1704/raw"
    )


def test_lists_in_the_executors_json_are_no_lines_of_the_step():
    said = json.dumps(
        {"outputs": {"artifacts": {"dataset": {"artifacts": [{"uri": "s3://b/d", "shape": [8, 8, True]}]}}}}
    )
    header = "[KFP Executor 2026-01-01 00:00:00,000 INFO]: Got executor_input:"
    launcher = "I1126 13:24:42.303231      16 launcher_v2.go:1230] ExecutorOutput: {"
    body = json.dumps(json.loads(said), indent=4).split("\n")
    log = StepLog()
    lines = [header, *body, "  indented", *[launcher, *body[1:]], "  indented too"]
    assert [own for line in lines if (own := log.own(line))] == ["  indented", "  indented too"]
    assert log.uris == {"dataset": "s3://b/d"}


def test_a_step_that_begins_is_in_no_json_of_the_one_before():
    log = StepLog()
    log.own("[KFP Executor 2026-01-01 00:00:00,000 INFO]: Got executor_input:")
    log.forget()
    assert log.own("  indented") == "  indented"
