"""What a run's steps left in the artifact store, as far as a message tells of it.

Below the run's place each step that was executed has a folder of its own:

    STEP/ID/executor-logs-0     what it printed, also if it failed (Kubeflow's default, PUBLISH_LOGS)
    STEP/ID/OUTPUT/...          what it made; a step that failed has none

A step that an earlier run answered for has left nothing here.
"""

import dataclasses
import re

from components.core.artifacts.answered import ANSWERED_FILE, PredictionSummary
from components.core.artifacts.evaluation import DECISION_FILE, Decision
from components.core.errors import ERROR_PREFIX, PipelineError
from components.core.storage import Store, open_store
from components.notify.message import RunOutcome

SUCCEEDED = ("SUCCEEDED", "COMPLETE")
# Until KFP 2.17 a run with a loop in it, as a sweep has, stays RUNNING for who is told of its end (kubeflow/pipelines
# #13321); one whose pod never started does so later too.
UNDECIDED = "RUNNING"
# What the last step leaves, and only if it succeeds.
LAST_OUTPUT = re.compile(r"(export|predict)/[^/]+/(exported|answered)/")
LOGS = "executor-logs"
# STEP/ID/OUTPUT, by which an output's place says where the run's is.
LEVELS = 3
ANSWERED_BEFORE = "all results came from the cache: nothing is new"
# Steps that leave no more than a log also if they succeed: only an error in it tells that one failed. The notice itself
# has left one if the run is retried.
LEAVE_A_LOG = ("check", "look", "notify")
KILLED = "killed, probably out of memory; give the step more"
NO_CAUSE = "there is no log: a pod was deleted or never started"


def find_outcome(state: str, message: str, own_output: str, run_name: str, run_id: str) -> RunOutcome:
    """How a run ended.

    Args:
        state: KFP's word for it.
        message: KFP's own reason, which is empty on a real cluster.
        own_output: the URI of any output of the asking task.
    """
    words = dict.fromkeys(SUCCEEDED, "succeeded") | {UNDECIDED: "ended"}
    word = words.get(state, state.lower())
    try:
        store = open_store(own_output.rsplit("/", LEVELS)[0])
        folders = _folders(store)
        if state == UNDECIDED:
            word = "succeeded" if any(LAST_OUTPUT.match(key) for keys in folders.values() for key in keys) else "failed"
        if word == "succeeded":
            return _success(store, folders, RunOutcome(run_name, run_id, word))
        step, cause = _failure(store, folders)
    except PipelineError as error:
        return RunOutcome(run_name, run_id, word, cause=message or f"the artifact store does not say why: {error}")
    return RunOutcome(run_name, run_id, word, cause=cause if step else message or cause, step=step)


def _folders(store: Store) -> dict[str, list[str]]:
    """The objects of each executed step, by STEP/ID, that of the latest step last."""
    listed = sorted(store.list(), key=lambda stored: stored.updated)
    folders: dict[str, list[str]] = {}
    for stored in listed:
        step, _, rest = stored.key.partition("/")
        folders.setdefault(f"{step}/{rest.partition('/')[0]}", []).append(stored.key)
    return folders


def _success(store: Store, folders: dict[str, list[str]], outcome: RunOutcome) -> RunOutcome:
    keys = [key for objects in folders.values() for key in objects]
    if answered := next((key for key in keys if re.fullmatch(rf"predict/.+/{re.escape(ANSWERED_FILE)}", key)), ""):
        told = PredictionSummary.model_validate_json(store.read_bytes(answered))
        return dataclasses.replace(outcome, outcome=told.said, cause=told.report or told.place)
    decided = next((key for key in keys if re.fullmatch(rf"evaluate/.+/{re.escape(DECISION_FILE)}", key)), "")
    if not decided:
        return dataclasses.replace(outcome, cause=ANSWERED_BEFORE)
    decision = Decision.model_validate_json(store.read_bytes(decided))
    said = [line for key in keys if key.startswith("export/") and LOGS in key for line in _lines(store, key)]
    exported = next((line for line in reversed(said) if line.startswith("exported")), "")
    word = exported or ("exported" if decision.passed else "not exported")
    figures = dataclasses.replace(outcome, accuracy=decision.accuracy, balanced_accuracy=decision.balanced_accuracy)
    return dataclasses.replace(figures, outcome=word, cause=decision.said)


def _failure(store: Store, folders: dict[str, list[str]]) -> tuple[str, str]:
    """The step that left no more than a log, and what that says: one with an error line, else the latest."""
    failed = [(folder, keys[-1]) for folder, keys in folders.items() if all(LOGS in key for key in keys)]
    found = [(folder.partition("/")[0], *_cause(_lines(store, log))) for folder, log in failed]
    for step, cause, certain in reversed(found):
        if certain:
            return step, cause
    others = [(step, cause) for step, cause, _ in found if step not in LEAVE_A_LOG]
    return others[-1] if others else ("", NO_CAUSE)


def _cause(lines: list[str]) -> tuple[str, bool]:
    """The step's own error line, else how it was killed, else what it said last; and whether that is why it ended."""
    errors = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
    last = lines[-1] if lines else ""
    if errors:
        return errors[-1], True
    return (KILLED, True) if last == "Killed" else (last, any(line.startswith("Traceback ") for line in lines))


def _lines(store: Store, key: str) -> list[str]:
    """A log's lines, without those of the KFP executor, which run on in JSON."""
    lines, inside = [], False
    for line in store.read_bytes(key).decode(errors="replace").split("\n"):
        if line.startswith("[KFP Executor ") or (inside and line[:1] in " {}"):
            inside = line != "}"
            continue
        inside = False
        if line.strip():
            lines.append(line.rstrip("\r").rpartition("\r")[2])
    return lines
