"""What the message says of a run, from what its steps left in a store, as a real Kubeflow lays it out there."""

import pytest

from components.core.storage import open_store
from components.notify.findings import find_outcome
from components.notify.message import message
from tests.components.notify.conftest import leave
from tests.decisions import decision

EXECUTOR = '[KFP Executor 2026-11-26 13:24:41,406 INFO]: Got executor_input:\n{\n    "inputs": {}\n}\n'


def stored(passed: bool) -> bytes:
    return decision(passed, "test accuracy 0.7500 is below min_accuracy 0.8").model_dump_json().encode()


LEFT = {
    "download/1/executor-logs-0": b"digits: here",
    "download/1/raw/source.json": b"{}",
    "check/9/executor-logs-0": b"every step can take its parameters\n",
    "notify/9/executor-logs-0": b"the webhook accepted the message\n",  # of the run before it was retried
}
EVALUATED = LEFT | {"evaluate/2/executor-logs-0": b"Test loss", "evaluate/2/evaluation/decision.json": stored(False)}
LOOKED = {"look/0/executor-logs-0": b"generation 7"}
CASES = {
    "refused by the gate": (
        "COMPLETE",
        EVALUATED | {"export/3/executor-logs-0": b"not exported\n", "export/3/exported/decision.json": b"{}"},
        "nightly: not exported, test accuracy 0.7500\n"
        "does not pass the gate: test accuracy 0.7500 is below min_accuracy 0.8\nrun run-1",
    ),
    "exported": (
        "COMPLETE",
        {
            "evaluate/2/evaluation/decision.json": stored(True),
            "export/3/executor-logs-0": EXECUTOR.encode() + b"exported and published as version 3, the champion",
        },
        "nightly: exported and published as version 3, the champion, test accuracy 0.7500\n"
        "passes the gate: test accuracy 0.7500 is below min_accuracy 0.8\nrun run-1",
    ),
    "without logs": (
        "SUCCEEDED",
        {"evaluate/2/evaluation/decision.json": stored(True)},
        "nightly: exported, test accuracy 0.7500\n",
    ),
    "cached": ("COMPLETE", {}, "nightly: succeeded\nall results came from the cache: nothing is new\nrun run-1"),
    "answered": (
        "COMPLETE",
        {
            "predict/1/answered/answered.json": b'{"pictures": 9, "unreadable": 0, "pictures_per_second": 3.0, '
            b'"place": "gs://b/answers/digits-1", "report": "gs://b/drift.html", "said": "answered 9 pictures"}'
        },
        "nightly: answered 9 pictures\ngs://b/drift.html\nrun run-1",
    ),
    "drifted": (
        "FAILED",
        {"predict/1/executor-logs-0": b"drift: brightness by 82 %\nerror: expected at most 20 %, received more\n"},
        "nightly: failed\npredict: expected at most 20 %, received more\nrun run-1",
    ),
    "an error line": (
        "FAILED",
        LEFT | LOOKED | {"preprocess/2/executor-logs-0": (EXECUTOR + "error: no pictures\nmore").encode()},
        "nightly: failed\npreprocess: no pictures\nrun run-1",
    ),
    "an error line, and another as it was tried again": (
        "FAILED",
        LEFT | {"train/3/executor-logs-0": b"error: a GPU", "train/2/executor-logs-0": b"error: 1\nerror: no memory\n"},
        "nightly: failed\ntrain: no memory\nrun run-1",
    ),
    "a defect": (
        "FAILED",
        LEFT | {"train/2/executor-logs-0": b"Traceback (most recent call last):\n  File x\nKeyError: 'x'\n"},
        "nightly: failed\ntrain: KeyError: 'x'\nrun run-1",
    ),
    "out of memory": (
        "FAILED",
        LEFT | {"train/2/executor-logs-0": b"epoch 1/8\nKilled\n"},
        "nightly: failed\ntrain: killed, probably out of memory; give the step more\nrun run-1",
    ),
    "odd bytes": (
        "FAILED",
        LEFT | {"train/2/executor-logs-0": b"10 %\r90 %\xff\n"},
        "nightly: failed\ntrain: 90 %\ufffd\nrun run-1",
    ),
    "a pod that never was": (
        "FAILED",
        LEFT,
        "nightly: failed\nthere is no log: a pod was deleted or never started\nrun run-1",
    ),
    "a pod that never was, after a look at the source": (
        "FAILED",
        LEFT | LOOKED,
        "nightly: failed\nthere is no log: a pod was deleted or never started\nrun run-1",
    ),
    "a sweep that succeeded": (
        "RUNNING",
        EVALUATED | {"train/3/executor-logs-0": b"", "export/3/exported/decision.json": b"{}"},
        "nightly: not exported, test accuracy 0.7500\n",
    ),
    "answers, left undecided": (
        "RUNNING",
        {
            "predict/1/answered/answered.json": b'{"pictures": 9, "unreadable": 0, "pictures_per_second": 3.0, '
            b'"place": "gs://b/answers/digits-1", "said": "answered 9 pictures"}'
        },
        "nightly: answered 9 pictures\ngs://b/answers/digits-1\nrun run-1",
    ),
    "a pod that never was, left undecided": (
        "RUNNING",
        EVALUATED,
        "nightly: failed\nthere is no log: a pod was deleted or never started\nrun run-1",
    ),
    "a look that failed": (
        "FAILED",
        {"look/0/executor-logs-0": b"error: no such bucket\n"},
        "nightly: failed\nlook: no such bucket\nrun run-1",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_one_message_tells_name_step_and_cause(tmp_path, case):
    state, left, text = CASES[case]
    leave(tmp_path, left)
    own = f"{tmp_path}/training/run-1/notify/9/place"
    assert message(find_outcome(state, "", own, "nightly", "run-1"))["text"].startswith(text)


def test_it_is_read_from_a_bucket_too(bucket):
    store = open_store(f"{bucket.uri}/training/run-1")
    store.write_bytes("download/1/executor-logs-0", b"error: no object\n")
    own = f"{bucket.uri}/training/run-1/notify/9/place"
    found = find_outcome("FAILED", "", own, "nightly", "run-1")
    assert (found.step, found.cause) == ("download", "no object")


def test_a_store_that_can_not_be_asked_is_told():
    found = find_outcome("FAILED", "", "nowhere://b/training/run-1/notify/9/place", "nightly", "run-1")
    assert found.cause.startswith("the artifact store does not say why: ")
