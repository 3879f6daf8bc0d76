"""The formats a model can be exported in: what each is called, where it lies, and which packages it takes."""

import dataclasses
import importlib.util

from components.core.artifacts.model import MODEL_FILE
from components.core.errors import PipelineError, nearest
from components.core.wording import names_in

SERVED = "saved_model"


@dataclasses.dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        path: below the export artifact; {version} and {name} stand for the model's.
        runtime: the package whose version decides how it is run.
        packages: import names of what writes and runs it, beyond TensorFlow and Keras.
        exact: it must give the evaluated probabilities but for rounding; otherwise about the same accuracy.
    """

    path: str
    runtime: str
    packages: tuple[str, ...] = ()
    exact: bool = True


FORMATS = {
    SERVED: Format("saved_model/{version}", "tensorflow"),
    "keras": Format(MODEL_FILE, "keras"),
    "onnx": Format("onnx/{name}/1/model.onnx", "onnxruntime", ("tf2onnx", "onnx", "onnxruntime")),
    "litert": Format("model.tflite", "ai-edge-litert", ("ai_edge_litert",)),
    "litert_int8": Format("model_int8.tflite", "ai-edge-litert", ("ai_edge_litert",), exact=False),
}


def parse_formats(text: str) -> list[str]:
    """The formats named in a comma-separated list, in the order of FORMATS, each once.

    Raises:
        PipelineError: an unknown name, or saved_model is not among them.
    """
    chosen = set(names_in(text.lower()))
    for name in sorted(chosen):
        if name not in FORMATS:
            raise PipelineError(f"unknown format {name!r}; {nearest(name, list(FORMATS))}")
    if SERVED not in chosen:
        raise PipelineError(f"expected {SERVED} among the formats, as it is what is served")
    return [name for name in FORMATS if name in chosen]


def require_packages(formats: list[str]) -> None:
    """Refuses a format whose packages are not installed, before any work is done.

    Raises:
        PipelineError: names the first such format, its packages, and the extra that brings them.
    """
    for name in formats:
        missing = [package for package in FORMATS[name].packages if importlib.util.find_spec(package) is None]
        if missing:
            raise PipelineError(
                f"expected {' and '.join(missing)} to be installed for the format {name}, received none; install this "
                f"project's extra 'formats', or leave {name} out of formats"
            )
