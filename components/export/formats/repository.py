"""The folder around an ONNX file that servers of the open inference protocol read, Triton and OpenVINO among them.

onnx/NAME/1/model.onnx     the model; a server is pointed at onnx/, and finds NAME there, version 1
onnx/NAME/config.pbtxt     Triton's description of it
onnx/NAME/labels.txt       the classes' names, a line each, in the order of the probabilities

Triton would guess the description, and then take four pictures in a request at most.
"""

import pathlib

from components.core.artifacts.dataset import DatasetInfo

LARGEST_BATCH = 256
CONFIG, LABELS = "config.pbtxt", "labels.txt"


def write_repository(model: pathlib.Path, info: DatasetInfo) -> None:
    """Writes what lies beside onnx/NAME/1/model.onnx.

    Args:
        model: that file's path.
    """
    folder = model.parent.parent
    height, width, channels = info.image_shape
    # Requests that come at once are answered together, after a millisecond at most.
    config = f'''backend: "onnxruntime"
max_batch_size: {LARGEST_BATCH}
dynamic_batching {{ max_queue_delay_microseconds: 1000 }}
input {{ name: "images" data_type: TYPE_UINT8 dims: [ {height}, {width}, {channels} ] }}
output {{ name: "probabilities" data_type: TYPE_FP32 dims: [ {len(info.class_names)} ] label_filename: "{LABELS}" }}
'''
    (folder / CONFIG).write_text(config, encoding="utf-8")
    # A line break in a name would shift all names behind it.
    names = (" ".join(name.splitlines()) for name in info.class_names)
    (folder / LABELS).write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
