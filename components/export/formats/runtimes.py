"""Runs an exported file by its own runtime: TensorFlow, Keras, onnxruntime or the LiteRT interpreter."""

import pathlib
from collections.abc import Callable

import numpy as np

from components.core.artifacts.model import load_model
from components.core.artifacts.served_model import load_answering
from components.core.errors import PipelineError, one_line
from components.core.machine import usable_cores

# uint8 [n, height, width, channels] -> float32 probabilities [n, classes]
Answer = Callable[[np.ndarray], np.ndarray]


def open_runtime(name: str, path: str | pathlib.Path) -> Answer:
    """Loads the file or directory of format `name`.

    Raises:
        PipelineError: it can't be loaded.
    """
    openers = {
        "saved_model": load_answering,
        "keras": _keras,
        "onnx": _onnx,
        "litert": _litert,
        "litert_int8": _litert,
    }
    try:
        return openers[name](str(path))
    except PipelineError:
        raise
    except Exception as error:  # each runtime has its own kinds
        reason = one_line(error, 300)
        raise PipelineError(f"expected a {name} model in {path}, received one that can't be loaded: {reason}") from None


def _keras(path: str) -> Answer:
    return load_model(path).predict_on_batch


def _onnx(path: str) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = usable_cores()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pictures: session.run(["probabilities"], {"images": pictures})[0]


def _litert(path: str) -> Answer:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=usable_cores())
    [images], [probabilities] = interpreter.get_input_details(), interpreter.get_output_details()
    prepared = 0

    def answer(pictures: np.ndarray) -> np.ndarray:
        nonlocal prepared
        if len(pictures) != prepared:
            interpreter.resize_tensor_input(images["index"], pictures.shape)
            interpreter.allocate_tensors()
            prepared = len(pictures)
        interpreter.set_tensor(images["index"], pictures)
        interpreter.invoke()
        return interpreter.get_tensor(probabilities["index"])

    return answer
