"""A run put onto the small KFP server of the tests, and the story that such a run tells."""

import contextlib
import io
import pathlib
import time
import types
from collections.abc import Iterator

import pytest

from components.core.errors import PipelineError
from pipeline.cluster.follow import Watch, follow
from pipeline.cluster.kubeflow import Endpoint
from pipeline.cluster.pods import find_pods
from pipeline.cluster.submit import submit
from tests.pipeline.pipelines import training
from tests.servers.kfp_api import KfpApi
from tests.servers.kfp_runs import Moment

FAST = Watch(interval=0.01)
STEPS = ("download", "preprocess", "train", "evaluate", "export")


def tasks(*states: str) -> dict[str, str]:
    return {"check": "SUCCEEDED", **dict(zip(STEPS, states, strict=False))}


TRAINS, TRAIN_FAILED = (Moment(state, tasks("SUCCEEDED", "SUCCEEDED", state)) for state in ("RUNNING", "FAILED"))
TRAIN_WAITS = Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "PENDING"))
STORY = [
    Moment("PENDING"),
    Moment("RUNNING", tasks("RUNNING")),
    TRAINS,
    Moment("SUCCEEDED", tasks(*["SUCCEEDED"] * 5)),
]


def told(
    api: KfpApi, compiled: pathlib.Path, watch: Watch = FAST, sees_pods: bool = False, **endpoint
) -> tuple[list[str], PipelineError | None]:
    """Submits and follows; returns what was said, and the error it ends with."""
    said = io.StringIO()
    with api.serving() as url, short_pauses(), contextlib.redirect_stdout(said):
        place = Endpoint(url, **endpoint)
        try:
            client, run_id = submit(training(), compiled, place)
            follow(client, run_id, watch, find_pods(run_id, "") if sees_pods else None)
        except PipelineError as error:
            return said.getvalue().split("\n")[:-1], error
    return said.getvalue().split("\n")[:-1], None


def run(api: KfpApi, compiled: pathlib.Path, watch: Watch = FAST, **endpoint) -> list[str]:
    """What is said of a run that succeeds, by a user who can't see its pods."""
    said, error = told(api, compiled, watch, **endpoint)
    if error:
        raise error
    return said


def followed(compiled: pathlib.Path, moments: list[Moment], watch: Watch = FAST) -> tuple[list[str], str]:
    """What is said of a run whose pods can be seen, and the error it ends with."""
    said, error = told(KfpApi(moments), compiled, watch, sees_pods=True)
    return said, str(error or "")


@contextlib.contextmanager
def short_pauses() -> Iterator[None]:
    """Makes the pauses between two tries short, and leaves the product's patience, which no busy machine uses up: a try
    reads the compiled pipeline, which alone has taken seconds."""
    hurried = types.SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.01)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenacity.nap.time", hurried)
        yield
