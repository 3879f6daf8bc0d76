"""Compiles the pipeline to the YAML that Kubeflow runs."""

import contextlib
import json
import pathlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml
from kfp import compiler

from components.check.settings import check_gpus
from components.core.errors import PipelineError, shown, without_secrets
from components.core.settings import refuse_places_here
from components.core.start_place import named_version
from components.download.places import places_of, public, scheme_of
from pipeline.images.lookup import with_digest
from pipeline.images.names import image
from pipeline.keras_side.check import check_model
from pipeline.parameters.parameters import Parameters
from pipeline.parameters.pipeline import Pipeline
from pipeline.parameters.prediction import PredictionParameters
from pipeline.parameters.sweep import Sweep
from pipeline.placement import gpu_steps
from pipeline.prediction import prediction_pipeline
from pipeline.revision import version_of
from pipeline.training import STEPS, SWEEP_STEPS, is_looked_at, training_pipeline

# KFP hands its first driver all tasks as one argument, the trials of a sweep among them; Linux takes 128 KiB as one.
LARGEST_TRIALS = 96 * 1024
# Argo keeps a run's state in 1 MiB, compressed, and ends a larger one. Of a sweep of nine trials it has 0.2 MiB at the
# start and 12.5 kB a trial; a pod that is made again adds to it.
MOST_TRIALS = 50
# What Kubeflow's reader of YAML, yaml.v3, takes for a number or a date, and PyYAML for text: 09, 08_2026, 4839e27.
NUMBER_OR_DATE = re.compile(
    r"[-+]?([.]?[0-9_]+|[0-9_]+[.][0-9_]*)([eE][-+]?[0-9_]+)?$|[-+]?0[bBoOxX][0-9a-fA-F_]+$|[0-9]{4}-[0-9]"
)


def compile_pipeline(pipeline: Pipeline, path: pathlib.Path, as_manifest: bool = False) -> None:
    """Writes the compiled pipeline to `path`, whole or not at all. The same code and defaults give the same bytes.

    Args:
        as_manifest: whether to write the pipeline and this version of it as Kubernetes objects, for GitOps.

    Raises:
        PipelineError: what would fail or be lost on a cluster: a place on this machine, a GPU count that is none,
            layers that don't fit; a digest that is asked for and can't be had.
    """
    defaults, sweep = pipeline.defaults, pipeline.sweep
    check_places(defaults)
    _check_texts([*defaults, *(("grid", trial) for trial in (sweep.trials if sweep else ()))])
    if isinstance(defaults, Parameters):
        check_gpus(defaults.gpus, defaults.nodes, defaults.accelerator)
        if sweep is None or "architecture" not in sweep.names:
            check_model(defaults)
    if sweep:
        _check_trials(sweep)
    images = dict(step_images(pipeline))
    if pipeline.cluster.digests:
        images = {step: with_digest(image) for step, image in images.items()}
    if isinstance(defaults, PredictionParameters):
        graph = prediction_pipeline(defaults, images.__getitem__, pipeline.cluster)
    else:
        of_source = pipeline.configuration.origins["model_name"] == "source"
        graph = training_pipeline(defaults, images.__getitem__, pipeline.cluster, sweep, of_source)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two that compile at once have a file each; the last one to end is kept. The compiler goes by the ending.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".compiled-") as own, _numbers_in_quotes():
        compiled = pathlib.Path(own) / "pipeline.yaml"
        compiler.Compiler().compile(graph, str(compiled))
        if as_manifest:
            version = version_of(compiled)
            options = compiler.KubernetesManifestOptions(
                pipeline_name=pipeline.name,
                pipeline_version_name=f"{pipeline.name}-{version}",
                pipeline_version_display_name=version,
                include_pipeline_manifest=True,
            )
            compiler.Compiler().compile(
                graph, str(compiled), kubernetes_manifest_options=options, kubernetes_manifest_format=True
            )
        compiled.replace(path)


@contextlib.contextmanager
def _numbers_in_quotes() -> Iterator[None]:
    """Has the compiler's PyYAML put text in quotes that is a number to another reader: a model called 09, as the folder
    of a month may be, would be the model 9 on the Pipelines page."""
    yaml.Dumper.add_implicit_resolver("number or date", NUMBER_OR_DATE, list("-+.0123456789"))
    try:
        yield
    finally:
        del yaml.Dumper.yaml_implicit_resolvers  # its own, a copy of what it inherits


def _check_texts(values: Iterable[tuple[str, Any]]) -> None:
    """Refuses what Kubernetes changes in the arguments of a container: $$ becomes $, and $(NAME) a variable's value."""
    for name, value in values:
        if isinstance(value, str) and ("$$" in value or "$(" in value):
            raise PipelineError(
                f"{name}: expected a value without $$ and $(, which Kubernetes puts something in the place of, "
                f"received {shown(value)}; rename what it names"
            )


def check_places(parameters: Parameters | PredictionParameters) -> None:
    """Refuses paths on this machine: to a pod they mean its own file system, which vanishes with it.

    Raises:
        PipelineError: names the parameter.
    """
    if isinstance(parameters, PredictionParameters):
        refuse_places_here(parameters)
        return
    for name, places in {"source": places_of(parameters.source), "labels": [parameters.labels]}.items():
        if here := [place for place in places if place and scheme_of(place) == "file"]:
            raise PipelineError(
                f"{name}: expected a URI that the cluster's pods can fetch, received {here[0]!r}, a path on this "
                "machine; put it into a bucket or behind http(s)://"
            )
    refuse_secrets(parameters.model_dump())
    refuse_places_here(parameters, parameters.trained_places())
    if named_version(parameters.start_from) and not parameters.publish_uri:
        raise PipelineError(
            f"start_from: expected a registry for {parameters.start_from}, received none; give PUBLISH_URI="
        )


def refuse_secrets(values: Mapping[str, Any]) -> None:
    """Refuses a URL that lets in whoever reads it: all who may see a pipeline or its runs do.

    Raises:
        PipelineError: names the parameter.
    """
    for name in ("source", "labels"):
        for place in places_of(values.get(name, "")):
            if "http" in scheme_of(place) and without_secrets(place) != place:
                raise PipelineError(
                    f"{name}: expected a URL without a user, password or signature, as a pipeline is read by all who "
                    f"may see its runs, received one for {public(place)}; put it into a bucket"
                )


def _check_trials(sweep: Sweep) -> None:
    if len(sweep.trials) > MOST_TRIALS:
        raise PipelineError(
            f"grid: expected at most {MOST_TRIALS} trials on a cluster, as Argo keeps a run's state in 1 MiB, received "
            f"{len(sweep.trials)}; give TRIALS={MOST_TRIALS} of them"
        )
    size = len(json.dumps(json.dumps(sweep.trials)))  # as it is in the tasks' JSON, itself text
    if size > LARGEST_TRIALS:
        raise PipelineError(
            f"grid: expected trials of at most {LARGEST_TRIALS:,} bytes in all, which a driver of Kubeflow's takes, "
            f"received {size:,} in {len(sweep.trials)}; give TRIALS= of them or shorter values"
        )


def step_images(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Each step and its image, that of the look at the source, if there is one to look at, and that of the nodes, if
    the pipeline is compiled for several.

    Steps on GPU nodes have the GPU image if the pipeline is compiled for a GPU or more.
    """
    defaults, cluster = pipeline.defaults, pipeline.cluster
    if isinstance(defaults, PredictionParameters):
        yield "predict", image("predict")
        if cluster.webhook_secret:
            yield "notify", image("notify")
        return
    on_gpu = gpu_steps(cluster) if int(defaults.gpus) else set()
    if defaults.nodes > 1:
        on_gpu -= {"train"}  # which then only has nodes train
        yield "node", image("train", "jax")
    yield "check", image("check")
    if is_looked_at(defaults):
        yield "look", image("download")
    steps = SWEEP_STEPS if pipeline.sweep else STEPS
    for step in (*steps, "notify") if cluster.webhook_secret else steps:
        by_jax = step == "train" and defaults.backend == "jax" and defaults.nodes == 1
        yield step, image(step, "jax" if by_jax else "gpu" if step in on_gpu else "cpu")
