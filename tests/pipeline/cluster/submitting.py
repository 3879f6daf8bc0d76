"""A run put onto the small KFP server of the tests, and the story that such a run tells."""

import contextlib
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
from pipeline.parameters.parameters import configure
from tests.servers.kfp_api import KfpApi
from tests.servers.kfp_runs import Moment

FAST = Watch(interval=0.01)
STEPS = ("download", "preprocess", "train", "evaluate", "export")


def tasks(*states: str) -> dict[str, str]:
    return {"check": "SUCCEEDED", **dict(zip(STEPS, states, strict=False))}


STORY = [
    Moment("PENDING"),
    Moment("RUNNING", tasks("RUNNING")),
    Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "RUNNING")),
    Moment("SUCCEEDED", tasks(*["SUCCEEDED"] * 5)),
]


def run(api: KfpApi, compiled: pathlib.Path, watch: Watch = FAST, pods=None, **endpoint) -> list[str]:
    """Submits and follows; returns what was said."""
    said = []
    with api.serving() as url, short_pauses():
        place = Endpoint(url, **endpoint)
        configuration = configure("quickstart", environment={})
        client, run_id = submit(configuration, compiled, place, say=said.append)
        follow(client, place, run_id, watch, pods, said.append)
    return said


def followed(compiled, moments, watch=FAST) -> tuple[list[str], str]:
    """What is said of a run whose pods can be seen, and the error it ends with."""
    api, lines = KfpApi(moments), []
    with api.serving() as url:
        place = Endpoint(url)
        client, run_id = submit(configure(environment={}), compiled, place, say=lines.append)
        try:
            follow(client, place, run_id, watch, find_pods(run_id, ""), lines.append)
        except PipelineError as error:
            return "\n".join(lines).split("\n"), str(error)
    return "\n".join(lines).split("\n"), ""


@contextlib.contextmanager
def short_pauses() -> Iterator[None]:
    """Makes the pauses between two tries short, and leaves the product's patience, which no busy machine uses up: a try
    reads the compiled pipeline, which alone has taken seconds."""
    hurried = types.SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.01)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenacity.nap.time", hurried)
        yield
