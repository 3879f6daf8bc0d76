"""Puts a run, or a schedule of runs, onto a cluster: all checks first, then one request."""

import contextlib
import datetime
import functools
import json
import pathlib
import secrets
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from components.core.errors import PipelineError
from pipeline.cluster.kubeflow import Endpoint, ask_kubeflow, connect, run_page, unless_there
from pipeline.cluster.upload import uploaded_version
from pipeline.parameters.pipeline import Pipeline
from pipeline.revision import version_of

if TYPE_CHECKING:
    import kfp

DEFAULT_EXPERIMENT = "conv2d"
BUILD = pathlib.Path("build")
# What KFP takes of a run's parameters, all of them as JSON, from 2.16 on; before it was half of this.
LARGEST_PARAMETERS = 20_000


@contextlib.contextmanager
def prepared(pipeline: Pipeline, check: bool = True) -> Iterator[pathlib.Path]:
    """Checks all that can be known without a cluster, and compiles to a file of this submission's own.

    Two submissions at once share nothing. What was submitted becomes build/training.yaml, build/sweep.yaml or
    build/prediction.yaml at the end, by a rename.

    Raises:
        PipelineError: something that would fail the run: a place that pods don't see, a GPU count that is none, more
            than KFP takes, an image that the registry lacks.
    """
    from pipeline.cluster.compile import compile_pipeline, step_images
    from pipeline.images.lookup import require_images

    check_size(pipeline.defaults.model_dump())
    kept = BUILD / f"{pipeline.kind}.yaml"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".submission-") as own:
        compiled = pathlib.Path(own) / kept.name
        compile_pipeline(pipeline, compiled)
        if check and (note := require_images(image for _, image in step_images(pipeline))):
            print(f"note: {note}")
        yield compiled
        compiled.replace(kept)


def submit(
    pipeline: Pipeline,
    compiled: pathlib.Path,
    endpoint: Endpoint,
    experiment: str = DEFAULT_EXPERIMENT,
    service_account: str = "",
) -> tuple["kfp.Client", str]:
    """Starts a run, and says its name, its id, its version, and its page if there is one.

    If the very same file is on the Pipelines page, the run is one of that version, and is found there.

    Returns:
        The client, and the run's id.

    Raises:
        PipelineError: KFP does not answer, or refuses.
    """
    client = connect(endpoint)
    experiment_id = obtain_experiment(client, experiment)
    # The random end makes the name unique, so that a run can be found again whose answer was lost on the way.
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    name = f"{pipeline.configuration.title} {moment} {secrets.token_hex(3)}"

    version = version_of(compiled)
    known = None
    with contextlib.suppress(PipelineError):  # it is not there, or the pipelines are not for this user to see
        known = uploaded_version(client, pipeline.name, version)
    what = (
        {"pipeline_id": known.pipeline_id, "version_id": known.pipeline_version_id}
        if known
        else {"pipeline_package_path": str(compiled)}
    )
    tried: list[str] = []

    def start() -> str:
        if tried:
            latest = client.list_runs(experiment_id=experiment_id, sort_by="created_at desc", page_size=50).runs or []
            if found := next((run.run_id for run in latest if run.display_name == name), ""):
                return found
        tried.append(name)
        run = client.run_pipeline(
            experiment_id,
            name,
            **what,
            # All of them, though the file has them as defaults: the UI shows what a run was given.
            params=pipeline.defaults.model_dump(),
            service_account=service_account or None,
        )
        return run.run_id

    try:
        run_id = ask_kubeflow(start, endpoint)
        print(f"run: {name} ({run_id}) of version {version}{f' of pipeline {pipeline.name}' if known else ''}")
        if page := run_page(client, run_id):
            print(f"  {page}")
    except KeyboardInterrupt:
        raise PipelineError(
            f"interrupted while the run was submitted; if Kubeflow lists {name}, it goes on: end it in the UI"
        ) from None
    return client, run_id


def obtain_experiment(client: "kfp.Client", name: str) -> str:
    """The id of the experiment of that name, made if need be."""
    obtain = functools.partial(client.create_experiment, name)  # which looks before it makes one
    return ask_kubeflow(lambda: (unless_there(obtain) or obtain()).experiment_id, client.endpoint)


def pods_namespace(client: "kfp.Client", run_id: str) -> str:
    """Where a run's pods are: the namespace that was given, that of the run's experiment, or KFP's own."""
    endpoint = client.endpoint
    if endpoint.namespace:
        return endpoint.namespace
    with contextlib.suppress(PipelineError):  # which whoever follows the run is told
        run = ask_kubeflow(lambda: client.get_run(run_id), endpoint)
        return ask_kubeflow(lambda: client.get_experiment(run.experiment_id), endpoint).namespace or "kubeflow"
    return client.get_user_namespace() or "kubeflow"


def check_size(parameters: dict[str, Any]) -> None:
    """Raises PipelineError if KFP would refuse that much; names the longest parameter."""
    sizes = {name: len(json.dumps(value, ensure_ascii=False).encode()) for name, value in parameters.items()}
    total = len(json.dumps(parameters, ensure_ascii=False, separators=(",", ":")).encode())
    if total > LARGEST_PARAMETERS:
        longest = max(sizes, key=sizes.__getitem__)
        raise PipelineError(
            f"{longest}: expected parameters of at most {LARGEST_PARAMETERS:,} bytes in all, which Kubeflow Pipelines "
            f"takes, received {total:,}, {sizes[longest]:,} of them in this one; make it shorter"
        )
