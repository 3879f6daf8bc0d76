"""What the model trains on, and in which arithmetic.

TensorFlow trains on one device. JAX trains on all that there are, of this process and of its fellows on other nodes
(node.py makes them known to each other): the model lies on each, every process brings the whole of each batch, and the
devices divide it. What is computed is what one device would compute, for whatever size of batch: normalisation over
the whole batch, other random numbers for every picture. The devices divide it best if their number divides it.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import platform
import random
import re
from collections.abc import Iterator
from typing import Any

from components.core.errors import PipelineError, one_line
from components.core.framework import load_keras
from components.core.machine import out_of_memory
from components.train.errors import SettingsError, TooLittleMemoryError

GPU_STEPS_A_CALL = 10
DEVICES = pathlib.Path("/dev")
# How Keras begins what a layer refuses as it is called. Some do so only as they train: Dropout, its noise_shape. And
# how TensorFlow says that it can't train what stands before one: Resizing by area.
IN_A_LAYER = ("Exception encountered when calling", "gradient registry has no entry")


class NodeLostError(PipelineError):
    """Another node of this training went away; new ones can go on from the last checkpoint."""


@dataclasses.dataclass(frozen=True)
class Device:
    """The devices that train one model.

    Attributes:
        name: for people.
        gpus: how many this node has; 0: it trains on its CPU.
        arithmetic: the precisions that it does fast, best first.
        count: devices, of all processes together.
        process: the place of this process among those that train the model.
        processes: how many they are.
        memory: bytes that each device has; None: not known.
    """

    name: str
    gpus: int
    arithmetic: tuple[str, ...]
    count: int = 1
    process: int = 0
    processes: int = 1
    memory: int | None = None

    def scope(self) -> contextlib.AbstractContextManager:
        """The block in which the model is built and trained."""
        return _divided().scope() if self.count > 1 else contextlib.nullcontext()

    @property
    def steps_a_call(self) -> int:
        """Steps that the device takes before Python hears of them. A GPU would wait for it between the steps of a small
        model; on a CPU they are long enough."""
        return GPU_STEPS_A_CALL if self.gpus else 1

    def has_room_for(self, pictures: int) -> bool:
        """Whether so many bytes of pictures may lie on the device while it trains: on one GPU, by JAX, which tells how
        much memory it has. A quarter of that is left to them."""
        return bool(self.gpus and self.count == 1) and 4 * pictures <= (self.memory or 0)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.process == 0

    def refuse_unlike(self, epoch: int) -> None:
        """Raises NodeLostError if another process of this training goes on from another epoch, with other weights: a
        run of the same job saved or removed a checkpoint while they looked for one."""
        if self.processes > 1:
            from jax.experimental import multihost_utils

            if len(epochs := {int(each) for each in multihost_utils.process_allgather(epoch)}) > 1:
                raise NodeLostError(f"the nodes found checkpoints of different epochs, {sorted(epochs)}")


def _divided() -> Any:
    """Keras's way of training on several devices, made to divide batches that their number doesn't divide."""
    keras = load_keras()
    base: Any = keras.distribution.DataParallel

    class Divided(base):
        def get_data_layout(self, data_shape: tuple) -> Any:
            """A batch as it comes in: the whole on every device, as one that doesn't divide could come in no other way.
            Pictures are bytes then, a quarter of what they are a layer later."""
            return keras.distribution.TensorLayout([], self.device_mesh)

        def get_tensor_layout(self, path: str) -> Any:
            """What a layer gives: each device's pictures on that device, uneven shares too."""
            return keras.distribution.TensorLayout([self.batch_dim_name], self.device_mesh)

    return Divided(auto_shard_dataset=False)


def find_device(asked: str) -> Device:
    """The GPUs of this process if there are any, else its CPU. TensorFlow takes GPU memory as it needs it, JAX three
    quarters at once.

    Args:
        asked: the number of GPUs the user asked for, of each node; "" or "auto": whatever is there.

    Raises:
        PipelineError: another number of GPUs is there than was asked for, or more than the backend trains on.
    """
    if load_keras().backend.backend() == "jax":
        return _find_by_jax(asked)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    _compare(asked, len(gpus))
    if not gpus:
        name, vendor, flags = _cpu()
        return Device(name, 0, _cpu_arithmetic(vendor, flags), memory=processors_memory())
    if len(gpus) > 1:
        raise PipelineError(
            f"gpus: expected one GPU to train on by TensorFlow, received {len(gpus)}; use backend=jax, which trains on "
            "all of them, or show one: CUDA_VISIBLE_DEVICES=0"
        )
    details = tf.config.experimental.get_device_details(gpus[0])
    arithmetic = _gpu_arithmetic(details.get("compute_capability", (0, 0)))
    return Device(details.get("device_name", "GPU"), 1, arithmetic)


def _find_by_jax(asked: str) -> Device:
    import jax

    if not any(DEVICES.glob("nvidia*")):
        # With NVIDIA's libraries, as in the jax image, and without their driver it logs a traceback.
        logging.getLogger("jax._src.xla_bridge").setLevel(logging.CRITICAL)
    try:
        local = jax.local_devices()
    except RuntimeError as error:
        raise PipelineError(
            f"expected GPUs that JAX can use, received: {one_line(error, 200)}; check that nvidia-smi shows them, "
            "and a driver of 525 or newer, or set JAX_PLATFORMS=cpu to train without"
        ) from None
    gpus = [device for device in local if device.platform == "gpu"]
    _compare(asked, len(gpus))
    if gpus:
        memory = (gpus[0].memory_stats() or {}).get("bytes_limit")
        version = str(getattr(gpus[0], "compute_capability", "0.0"))
        arithmetic = _gpu_arithmetic(tuple(int(part) for part in version.split(".")))
        name = _counted(len(gpus), gpus[0].device_kind)
    else:
        memory = processors_memory()
        name, arithmetic = _counted(len(local), _cpu()[0]), ("float32",)  # XLA on a CPU is no faster in bfloat16
    nodes = jax.process_count()
    name = f"{nodes} nodes, each {name}" if nodes > 1 else name
    return Device(name, len(gpus), arithmetic, jax.device_count(), jax.process_index(), nodes, memory)


def _compare(asked: str, found: int) -> None:
    if asked in ("", "auto"):
        if not found and any(DEVICES.glob("nvidia[0-9]*")):
            print(
                f"note: this node has a GPU that {load_keras().backend.backend()} can't use, and trains on its CPU; "
                "check the driver and that the image is the GPU one, or give gpus=0",
                flush=True,
            )
    elif int(asked) != found:
        raise PipelineError(
            f"expected {asked} GPUs as requested, received {found}; give gpus={found} or "
            "auto, or check the node's driver, the pod's resource limits and that the image is the GPU one"
        )


def _gpu_arithmetic(capability: tuple[int, ...]) -> tuple[str, ...]:
    """What a GPU of that CUDA compute capability has fast units for."""
    fast = ("bfloat16",) if capability >= (8, 0) else ("float16",) if capability >= (7, 0) else ()
    return (*fast, "float32")


def _counted(count: int, name: str) -> str:
    return f"{count} x {name}" if count > 1 else name


def compiles(model: Any, augmented: bool) -> bool | str:
    """What Keras is told of compiling a model's steps by XLA: it decides by device and layers, but for Keras's layers
    that augment. TensorFlow doesn't compile all of these, JAX does. Keras marks them for both, and JAX would then take
    a step operation by operation, with RandomRotation 3 times slower on a CPU."""
    if load_keras().backend.backend() != "jax":
        return False if augmented else "auto"
    for layer in model._flatten_layers():
        layer.supports_jit = True
    return True


def make_deterministic(backend: str) -> None:
    """Same bits run after run; to be called before the device is looked at, as XLA reads its flags once."""
    if backend == "jax":
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    else:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def set_seed(seed: int) -> None:
    """Has Keras draw the seeds of its layers from numbers of its own. It takes Python's, of which every thread draws
    that asks a store again: one that did while the model was made gave it other first weights."""
    import keras
    from keras.src.random import seed_generator

    keras.utils.set_random_seed(seed)
    seed_generator.python_random = random.Random(seed)  # noqa: S311


def choose_policy(precision: str, device: Device) -> str:
    """The Keras dtype policy for a precision; "auto" takes the fastest that the device does well."""
    if precision == "auto":
        precision = device.arithmetic[0]
    return "float32" if precision == "float32" else f"mixed_{precision}"


@contextlib.contextmanager
def device_errors(batch_size: int) -> Iterator[None]:
    """Says in one line what TensorFlow's and JAX's own errors mean while it trains: memory, a missing kernel. What the
    settings are the cause of becomes a SettingsError; a driver's error stays what it is."""
    try:
        yield
    except Exception as error:
        said = f"{type(error).__name__} {error}"
        asked = out_of_memory(error)
        if asked is not None:
            raise TooLittleMemoryError(
                f"expected a batch of {batch_size} to fit into the device's memory, received: "
                f"{asked or _first_line(error)[:300]}; try a smaller batch_size"
            ) from None
        if "UNIMPLEMENTED" in said or "Unimplemented" in said:
            raise SettingsError(
                f"expected layers that this device can run, received: {_first_line(error)[:300]}; "
                "try data_format channels_last, or another device"
            ) from None
        if isinstance(error, TypeError | ValueError | LookupError) and said.partition(" ")[2].startswith(IN_A_LAYER):
            raise SettingsError(f"expected layers that can train, received: {one_line(error, 300)}") from None
        raise


def _first_line(error: Exception) -> str:
    """TensorFlow's messages repeat the graph after the first line."""
    lines = [line.strip() for line in str(getattr(error, "message", error)).splitlines()]
    told = [line for line in lines if line and not line.startswith(("Graph execution error", "Detected at node"))]
    return (told or [type(error).__name__])[0]


def _cpu() -> tuple[str, str, set[str]]:
    """The processor's name, its vendor and its instruction sets, as Linux gives them; elsewhere the name alone."""
    path = pathlib.Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine(), "", set()
    values = dict(re.findall(r"^(\S[^:\t]*)\s*: (.*)$", path.read_text(), re.MULTILINE))
    flags = set(values.get("flags", "").split())
    return values.get("model name", platform.machine()), values.get("vendor_id", ""), flags


def _cpu_arithmetic(vendor: str, flags: set[str]) -> tuple[str, ...]:
    """The precisions that a processor does well, the fastest first.

    Intel's AVX-512 BF16 does no more than its float32, and the casts come on top: without AMX, which a hypervisor may
    hide, the article's network trained on 238 images/s in place of 365 (bench_train.py, Xeon of the fifth generation).
    """
    twice = "amx_bf16" in flags or ("avx512_bf16" in flags and vendor == "AuthenticAMD")
    return ("bfloat16", "float32") if twice else ("float32",)


def processors_memory() -> int | None:
    """Bytes that this process may have: the machine's, or less if its container's limit says so."""
    try:
        limits = [int(pathlib.Path("/proc/meminfo").read_text().split()[1]) * 1024]  # MemTotal:  16384 kB
    except (OSError, ValueError):
        return None
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = int(pathlib.Path(path).read_text())
        except (OSError, ValueError):  # there is no such file, or it says "max"
            continue
        limits += [limit] if limit < 1 << 60 else []
    return min(limits)
