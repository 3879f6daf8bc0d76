"""What the model trains on, and in which arithmetic.

Under TensorFlow a process may have several GPUs (`tf.distribute.MirroredStrategy`). Under JAX (KERAS_BACKEND=jax) it
may besides be one of several processes, each on a node of its own (`keras.distribution.DataParallel`); node.py makes
them known to each other.
"""

import contextlib
import dataclasses
import functools
import os
import pathlib
import platform
import re
from collections.abc import Iterator
from typing import Any

from components.core.errors import PipelineError
from components.core.framework import load_keras
from components.train.data import ALL, Share

# The names, in JAX's errors, of what carries sums between nodes.
LOST_NODE = re.compile("gloo|nccl|coordination", re.IGNORECASE)
GPU_STEPS_A_CALL = 10


class NodeLostError(PipelineError):
    """Another node of this training went away; new ones can go on from the last checkpoint."""


@dataclasses.dataclass(frozen=True)
class Device:
    """`name` for people, `gpus` of this node, `arithmetic` the precisions that it does fast, best first, `share` what
    this process is fed."""

    name: str
    gpus: int
    arithmetic: tuple[str, ...]
    share: Share = ALL

    @functools.cached_property
    def strategy(self) -> Any:
        """How the model's copies are spread, for the block `with device.strategy.scope()`: a whole one on each GPU,
        with the batch divided among them; on several logical CPU devices likewise, which is how this is tested."""
        keras = load_keras()
        if keras.backend.backend() == "jax":
            # data.py hands out the shares.
            return keras.distribution.DataParallel(auto_shard_dataset=False) if self.share.devices > 1 else NoStrategy()
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return (
            tf.distribute.MirroredStrategy([each.name for each in devices])
            if len(devices) > 1
            else tf.distribute.get_strategy()
        )

    @property
    def steps_a_call(self) -> int:
        """Steps that the device takes before Python hears of them. A GPU would wait for it between the steps of a small
        model; on a CPU they are long enough."""
        return GPU_STEPS_A_CALL if self.gpus else 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.share.process == 0


class NoStrategy:
    """One device: nothing is spread."""

    scope = staticmethod(contextlib.nullcontext)


def find_device(asked: str) -> Device:
    """The GPUs of this process where there are any, else its CPU. GPU memory is taken as it is needed.

    Args:
        asked: the number of GPUs the user asked for, of each node; "" or "auto": whatever is there.

    Raises:
        PipelineError: another number of GPUs is there than was asked for.
    """
    if load_keras().backend.backend() == "jax":
        return _find_by_jax(asked)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    _compare(asked, len(gpus))
    if not gpus:
        name, flags = _cpu()
        fast = ("bfloat16",) if {"avx512_bf16", "amx_bf16"} & flags else ()
        return Device(name, 0, (*fast, "float32"))
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    details = tf.config.experimental.get_device_details(gpus[0])
    arithmetic = _gpu_arithmetic(details.get("compute_capability", (0, 0)))
    return Device(_counted(len(gpus), details.get("device_name", "GPU")), len(gpus), arithmetic)


def _find_by_jax(asked: str) -> Device:
    import jax
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # TensorFlow only reads the pictures here
    local = jax.local_devices()
    gpus = [device for device in local if device.platform == "gpu"]
    _compare(asked, len(gpus))
    if gpus:
        version = str(getattr(gpus[0], "compute_capability", "0.0"))
        arithmetic = _gpu_arithmetic(tuple(int(part) for part in version.split(".")))
        name = _counted(len(gpus), gpus[0].device_kind)
    else:
        name, arithmetic = _counted(len(local), _cpu()[0]), ("float32",)  # XLA on a CPU is no faster in bfloat16
    share = Share(jax.process_index(), jax.process_count(), jax.device_count())
    name = f"{share.processes} nodes, each {name}" if share.processes > 1 else name
    return Device(name, len(gpus), arithmetic, share)


def _compare(asked: str, found: int) -> None:
    if asked not in ("", "auto") and int(asked) != found:
        raise PipelineError(
            f"expected {asked} GPUs as asked for, received {found}; give gpus={found} or "
            "auto, or check the node's driver, the pod's resource limits and that the image is the GPU one"
        )


def _gpu_arithmetic(capability: tuple[int, ...]) -> tuple[str, ...]:
    """What a GPU of that CUDA compute capability has fast units for."""
    fast = ("bfloat16",) if capability >= (8, 0) else ("float16",) if capability >= (7, 0) else ()
    return (*fast, "float32")


def _counted(count: int, name: str) -> str:
    return f"{count} x {name}" if count > 1 else name


def make_deterministic() -> None:
    """Same bits run after run; to be called before the device is looked at."""
    keras = load_keras()
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    if keras.backend.backend() == "jax":
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()


def choose_policy(precision: str, device: Device) -> str:
    """The Keras dtype policy for a precision; "auto" takes the fastest that the device does well."""
    if precision == "auto":
        precision = device.arithmetic[0]
    return "float32" if precision == "float32" else f"mixed_{precision}"


@contextlib.contextmanager
def device_errors(batch_size: int) -> Iterator[None]:
    """Says in one line what TensorFlow's and JAX's own errors mean while it trains: memory, a damaged shard, a missing
    kernel, a lost node."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise _too_big(batch_size, error) from None
    except (RuntimeError, ValueError) as error:  # JAX's own errors are either
        if "RESOURCE_EXHAUSTED" in str(error):
            raise _too_big(batch_size, error) from None
        if not LOST_NODE.search(str(error)):
            raise
        raise NodeLostError(
            f"another node was lost, and the training with it; that node's log says why ({_first_line(error)[:200]})"
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


def _too_big(batch_size: int, error: Exception) -> PipelineError:
    return PipelineError(
        f"expected a batch of {batch_size} to fit into the device's memory, received: {_first_line(error)[:300]}; "
        "try a smaller batch_size"
    )


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
