"""Compiles the pipeline to the YAML that Kubeflow runs."""

import pathlib
import re
import tempfile
from collections.abc import Iterator

from kfp import compiler

from components.download.look import can_change
from pipeline.images.names import image
from pipeline.keras_side.check import check_model
from pipeline.parameters.parameters import Parameters
from pipeline.parameters.placement_settings import ClusterOptions, check_gpus
from pipeline.parameters.sweep import Sweep
from pipeline.placement import gpu_steps
from pipeline.training import STEPS, SWEEP_STEPS, training_pipeline

NO_OPTIONS = ClusterOptions()


def compile_pipeline(
    defaults: Parameters, path: pathlib.Path, cluster: ClusterOptions = NO_OPTIONS, sweep: Sweep | None = None
) -> None:
    """Writes the compiled pipeline to `path`, whole or not at all. The same code and defaults give the same bytes.

    Args:
        sweep: trials that are fixed in the file; None: it trains once.
    """
    check_gpus(defaults.gpus)
    if sweep is None or "architecture" not in sweep.names:
        check_model(defaults)
    wanted = dict(step_images(defaults, cluster, sweep))
    pipeline = training_pipeline(defaults, wanted.__getitem__, cluster, sweep)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two that compile at once have a file each; the last one to end is kept. The compiler goes by the ending.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".compiled-") as own:
        compiled = pathlib.Path(own) / "pipeline.yaml"
        compiler.Compiler().compile(pipeline, str(compiled))
        compiled.replace(path)


def step_images(defaults: Parameters, cluster: ClusterOptions, sweep: Sweep | None = None) -> Iterator[tuple[str, str]]:
    """Each step and its image, that of the look at the source, if there is one to look at, and that of the nodes, if
    the pipeline is compiled for several.

    Steps on GPU nodes have the GPU image if the pipeline is compiled for a GPU or more.
    """
    on_gpu = gpu_steps(cluster) if int(defaults.gpus) else set()
    if defaults.nodes > 1:
        on_gpu -= {"train"}  # which then only has nodes train
        yield "node", image("train", "jax")
    if can_change(defaults):
        yield "look", image("download")
    steps = SWEEP_STEPS if sweep else STEPS
    for step in (*steps, "notify") if cluster.webhook_secret else steps:
        yield step, image(step, "gpu" if step in on_gpu else "cpu")


def mask_images(compiled: str) -> str:
    """The compiled text without the image tags, which change with every line of code: for the golden file."""
    return re.sub(r"(image: \S+:[a-z]+(?:-gpu)?)-[0-9a-f]{12}", r"\1-<hash>", compiled)
