"""What the model trains on, and in which arithmetic."""

import contextlib
import dataclasses
import pathlib
import platform
from collections.abc import Iterator
from typing import Any

from components.core.errors import PipelineError
from components.core.framework import load_keras


@dataclasses.dataclass(frozen=True)
class Device:
    """`name` for people, `gpus` counted, `arithmetic` the precisions that it does fast, best first."""

    name: str
    gpus: int
    arithmetic: tuple[str, ...]

    def strategy(self) -> Any:
        """How the model's copies are spread: a whole one on each GPU, with the batch divided among them; on several
        logical CPU devices likewise, which is how this is tested without GPUs."""
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return (
            tf.distribute.MirroredStrategy([each.name for each in devices])
            if len(devices) > 1
            else tf.distribute.get_strategy()
        )


def find_device(asked: str) -> Device:
    """The GPUs of this process where there are any, else its CPU. GPU memory is taken as it is needed.

    Args:
        asked: the number of GPUs the user asked for; "" or "auto": whatever is there.

    Raises:
        PipelineError: another number of GPUs is there than was asked for.
    """
    load_keras()
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if asked not in ("", "auto") and int(asked) != len(gpus):
        raise PipelineError(
            f"expected {asked} GPUs as asked for, received {len(gpus)}; give gpus={len(gpus)} or "
            "auto, or check the node's driver, the pod's resource limits and that the image is the GPU one"
        )
    if not gpus:
        name, flags = _cpu()
        fast = ("bfloat16",) if {"avx512_bf16", "amx_bf16"} & flags else ()
        return Device(name, 0, (*fast, "float32"))
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    fast = ("bfloat16",) if capability >= (8, 0) else ("float16",) if capability >= (7, 0) else ()
    name = details.get("device_name", "GPU")
    return Device(f"{len(gpus)} x {name}" if len(gpus) > 1 else name, len(gpus), (*fast, "float32"))


def choose_policy(precision: str, device: Device) -> str:
    """The Keras dtype policy for a precision; "auto" takes the fastest that the device does well."""
    if precision == "auto":
        precision = device.arithmetic[0]
    return "float32" if precision == "float32" else f"mixed_{precision}"


@contextlib.contextmanager
def device_errors(batch_size: int) -> Iterator[None]:
    """Says in one line what TensorFlow's own errors mean while it trains: memory, a damaged shard, a missing kernel."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise PipelineError(
            f"expected a batch of {batch_size} to fit into the device's memory, received: {_first_line(error)}; "
            "try a smaller batch_size"
        ) from None
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
        raise PipelineError(
            f"expected whole dataset shards, received: {_first_line(error)}; run preprocess again"
        ) from None
    except tf.errors.UnimplementedError as error:
        raise PipelineError(
            f"expected layers that this device can run, received: {_first_line(error)}; "
            "try data_format channels_last, or another device"
        ) from None


def _first_line(error: Exception) -> str:
    """TensorFlow's messages repeat the graph after the first line."""
    lines = [line.strip() for line in str(getattr(error, "message", error)).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Graph execution error", "Detected at node"))]
    return (told or [type(error).__name__])[0]


def _cpu() -> tuple[str, set[str]]:
    """The processor's name and its instruction sets, as Linux gives them; elsewhere the name alone."""
    path = pathlib.Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine(), set()
    fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    return values.get("model name", platform.machine()), set(values.get("flags", "").split())
