"""Compiles the pipeline to the YAML that Kubeflow runs."""
import pathlib
import re

from kfp import compiler

from components.core.files import whole_file
from pipeline import images
from pipeline.parameters import Parameters
from pipeline.preflight import check_architecture
from pipeline.training import training_pipeline


def compile_pipeline(defaults: Parameters, path: pathlib.Path) -> None:
    """Writes the compiled pipeline to `path`, whole or not at all. The same code and defaults give the same bytes."""
    check_architecture(defaults)
    gpu = defaults.gpus not in ("", "0")
    pipeline = training_pipeline(defaults, lambda step: images.image(step, "gpu" if gpu and step == "train" else "cpu"))
    with whole_file(path) as partial:
        # The compiler goes by the ending.
        yaml = partial.with_name(f"{partial.name}.yaml")
        compiler.Compiler().compile(pipeline, str(yaml))
        yaml.replace(partial)


def mask_images(compiled: str) -> str:
    """The compiled text without the image tags, which change with every line of code: for the golden file."""
    return re.sub(r"(image: \S+:[a-z]+(?:-gpu)?)-[0-9a-f]{12}", r"\1-<hash>", compiled)
