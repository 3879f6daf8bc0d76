"""Files of the model for other runtimes: ONNX, and LiteRT (TensorFlow Lite) in float32 or int8.

All take `images`, uint8 [batch, height, width, channels], and give float32 probabilities [batch, classes], as the
model itself does. For the article's model on one core: ONNX takes 10 s, LiteRT 2 s, int8 5 s.
"""

import contextlib
import logging
import pathlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.core.errors import PipelineError, one_line
from components.core.framework import standard_error_held

ANYTHING = re.compile(b"")
ONNX_OPSET = 18


def write_onnx(model: Any, path: pathlib.Path) -> None:
    """Writes `model` (a keras.Model) as ONNX, which onnxruntime and most others run.

    Raises:
        PipelineError: it has a layer that can't be converted.
    """
    import tf2onnx

    with _conversion("onnx"):
        function = _function(model)
        tf2onnx.convert.from_function(
            function, input_signature=function.input_signature, opset=ONNX_OPSET, output_path=str(path)
        )


def write_plain(model: Any, path: pathlib.Path) -> None:
    """Writes `model` as a SavedModel of probabilities alone, without class names: LiteRT has no text.

    The converter reads it in a third of the time that it takes over the same model in memory, which it would copy
    several times in Python.
    """
    import tensorflow as tf

    plain = tf.Module()
    plain.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(plain, str(path), signatures=_function(model))


def write_litert(plain: pathlib.Path, path: pathlib.Path, calibration: np.ndarray | None = None) -> None:
    """Writes a model for the LiteRT interpreter, with its built-in operations only.

    Args:
        plain: what `write_plain` wrote.
        calibration: uint8 [n, height, width, channels], a hundred pictures or more from the training split: makes an
            int8 model, whose ranges of values are those seen on these pictures. None: float32.

    Raises:
        PipelineError: it has a layer that can't be converted.
    """
    import tensorflow as tf

    with _conversion("litert" if calibration is None else "litert_int8"):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(plain))
        if calibration is None:
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        else:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([picture[None]] for picture in calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        path.write_bytes(converter.convert())


def _function(model: Any) -> Any:
    import tensorflow as tf

    signature = [tf.TensorSpec([None, *model.input_shape[1:]], tf.uint8, name="images")]
    return tf.function(
        lambda images: {"probabilities": model(images, training=False)}, input_signature=signature, autograph=False
    )


@contextlib.contextmanager
def _conversion(name: str) -> Iterator[None]:
    """One line for what a converter can't do, and silence about what it can: they say 30 lines for every model."""
    loggers = [logging.getLogger(name) for name in ("absl", "tensorflow", "tf2onnx")]
    levels = [logger.level for logger in loggers]
    with standard_error_held(ANYTHING), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        except Exception as error:  # converters raise many kinds
            reason = one_line(error, 300)
            raise PipelineError(
                f"expected a model that can be converted to {name}, received one that can't: {reason}; leave {name} "
                "out of formats"
            ) from None
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
