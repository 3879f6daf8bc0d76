"""The pipelines of the tests, compiled and read back."""

import pathlib
import tempfile

import yaml

from pipeline.cluster.compile import compile_pipeline
from pipeline.parameters.cluster_options import ClusterOptions
from pipeline.parameters.parameters import configure
from pipeline.parameters.pipeline import Pipeline
from pipeline.parameters.sweep import Sweep, plan_sweep


def training(*settings: str, grid: str = "", sweep: Sweep | None = None, **cluster) -> Pipeline:
    """The quickstart's, whatever this machine's environment says."""
    configuration = configure("quickstart", settings, {})
    planned = plan_sweep(configuration.parameters, grid) if grid else sweep
    return Pipeline(configuration, ClusterOptions(**cluster), planned)


def documents(pipeline: Pipeline) -> list[dict]:
    """The compiled pipeline, and what Kubernetes is told beside it."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "pipeline.yaml"
        compile_pipeline(pipeline, path)
        return list(yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader))


def groups(spec: dict) -> list[dict]:
    """Every graph in a compiled pipeline: the root's, and those of loops and exit handlers, each as a component."""
    return [spec["root"], *(component for component in spec["components"].values() if "dag" in component)]


def tasks(spec: dict) -> dict[str, dict]:
    """All its tasks by name."""
    return {name: task for group in groups(spec) for name, task in group["dag"]["tasks"].items()}
