"""Follows a run on a cluster to its end, whatever that is.

Polls by itself: the SDK's wait never ends if a run is cancelled, stuck, or the connection is gone.
"""

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from components.core.errors import PipelineError
from pipeline.closing_block import closing_block
from pipeline.cluster.closing import summary, why
from pipeline.cluster.kubeflow import Endpoint, ask_kubeflow, run_page
from pipeline.cluster.refusals import said_by_kfp
from pipeline.cluster.story import Story
from pipeline.cluster.tasks import ENDED, has_task_under_way, is_waiting, was_cancelled
from pipeline.cluster.troubles import QUEUED
from pipeline.cluster.upload import compiled_of

if TYPE_CHECKING:
    import kfp

    from pipeline.cluster.pods import Pods


@dataclasses.dataclass(frozen=True)
class Watch:
    """How to follow, all in seconds; commands/options.py has the rest.

    Attributes:
        patience: how long the connection may be gone.
        stuck_after: how long steps may wait to start, and none run. GPU nodes take up to ten minutes to come up.
        hopeless_after: how long to wait for what does not pass by itself, such as an image that is not there.
    """

    interval: float = 5.0
    patience: float = 600.0
    stuck_after: float = 1200.0
    timeout: float = 0.0
    hopeless_after: float = 180.0
    verbose: bool = False


def follow(client: "kfp.Client", run_id: str, watch: Watch, pods: "Pods | None") -> None:
    """Tells the run as it goes, and in the end what a local run tells; returns if it succeeded.

    Raises:
        PipelineError: the run failed, was cancelled, is stuck or took too long, or the connection is lost for good.
    """
    client.endpoint = endpoint = dataclasses.replace(client.endpoint, patience_s=watch.patience)
    began, story = time.monotonic(), Story(pods, watch.verbose)
    how = f"follow it with: {endpoint.follow_command(run_id)}"
    pipeline: dict[str, Any] | None = None
    late_looks = 3  # KFP stores that a run has ended before it stores how its tasks have
    while True:
        run = _look(client, run_id, how)
        if run is None:
            never = f"no run {run_id} at {endpoint}; a run's page shows its id"
            raise PipelineError(never if pipeline is None else "the run was deleted, and its pods with it")
        run.pipeline_spec = pipeline = _pipeline(client, run) if pipeline is None else pipeline
        story.tell(run)
        if run.state in ENDED:
            if late_looks == 0 or not has_task_under_way(run):
                return _end(client, run, story)
            late_looks -= 1
        elif watch.timeout and time.monotonic() - began >= watch.timeout:
            raise PipelineError(f"the run did not end within {watch.timeout:g} s; it goes on; {how}")
        else:
            _check_stuck(run, story, watch, how)
        time.sleep(watch.interval)


def _look(client: "kfp.Client", run_id: str, how: str) -> Any:
    """The run as it is now; None if there is none."""
    endpoint: Endpoint = client.endpoint
    said: list[Exception] = []

    def again(error: Exception) -> None:
        if not said:
            said.append(error)
            print(f"lost the connection to {endpoint}; trying again for {endpoint.patience_s:g} s")

    def look() -> Any:
        from kfp_server_api import ApiException

        try:
            return client.get_run(run_id)
        except ApiException as error:
            if error.status == 404 and said_by_kfp(error):
                return None
            raise

    try:
        run = ask_kubeflow(look, endpoint, again=again)
    except PipelineError as error:
        raise PipelineError(f"{error}; the run, if there is one, goes on; {how}") from None
    if said:
        print("connected again")
    return run


def _pipeline(client: "kfp.Client", run: Any) -> dict[str, Any]:
    try:
        return compiled_of(client, run)
    except PipelineError as error:
        print(f"note: the pipeline's version can't be read, so no step is told: {error}")
        return {}


def _check_stuck(run: Any, story: Story, watch: Watch, how: str) -> None:
    troubles = story.troubles()
    leave = f"The run is left as it is: end it in the UI, or {how}"
    for trouble, seconds in troubles:
        if trouble.hopeless and seconds >= watch.hopeless_after:
            advice = f"; {trouble.advice}" if trouble.advice else ""
            raise PipelineError(f"{trouble}{advice}. {leave}")
    still = time.monotonic() - story.moved
    queued = any(trouble.kind == QUEUED for trouble, _ in troubles)
    if still >= watch.stuck_after and is_waiting(run) and not queued:
        reasons = [str(trouble) for trouble, _ in troubles] or (story.pods.events()[-1:] if story.pods else [])
        reason = reasons[0] if reasons else (
            f"a pod waits to start; see why with: kubectl describe pods -l pipeline/runid={run.run_id}"
        )  # fmt: skip
        raise PipelineError(f"the run is stuck, nothing has moved for {watch.stuck_after:g} s: {reason}. {leave}")


def _end(client: "kfp.Client", run: Any, story: Story) -> None:
    """Says the closing block; returns if the run succeeded."""
    print(closing_block(summary(story)))
    if was_cancelled(run):
        raise PipelineError("the run was cancelled")
    if run.state in ("SUCCEEDED", "COMPLETE"):
        print("the run succeeded")
        return
    if run.state == "SKIPPED":
        raise PipelineError("the run was skipped")
    page = run_page(client, run.run_id)
    raise PipelineError(why(story, run) + (f"; its log: {page}" if page else ""))
