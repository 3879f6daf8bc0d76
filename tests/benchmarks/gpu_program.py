"""Tells what an H100 is given for one step of the profile cifar10-fast, without a GPU, as XLA compiles without one too.

    uv venv build/gpu && uv pip install --python build/gpu -r docker/requirements/jax.txt      # 5 GB
    PYTHONPATH=. build/gpu/bin/python tests/benchmarks/gpu_program.py [ARCHITECTURE] [PICTURES]

It counts kernels, and the bytes that they read and write: no time, but what a change adds to one or takes away. The
least time is those bytes at the card's bandwidth. Which of its ways cuDNN takes is decided on a card.
"""

import collections
import math
import os
import re
import sys

from tests.benchmarks.bench_gpu import RECIPE, model_to_train, recipe

BANDWIDTH = 3.35e12  # bytes a second, of an H100 SXM: NVIDIA's data sheet
SIDE = 32
# What XLA asks about a card, from CUDA's table of compute capability 9.0 and NVIDIA's H100 white paper.
H100 = f"""
gpu_device_info {{
  name: "NVIDIA H100 80GB HBM3"  device_vendor: "NVIDIA Corporation"
  cuda_compute_capability {{ major: 9 }}
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98  threads_per_warp: 32
  threads_per_block_limit: 1024  threads_per_core_limit: 2048
  thread_dim_limit_x: 1024  thread_dim_limit_y: 1024  thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  shared_memory_per_block: 49152  shared_memory_per_core: 233472  shared_memory_per_block_optin: 232448
  memory_bandwidth: {BANDWIDTH:.0f}  l2_cache_size: 52428800  device_memory_size: 84942979072  device_address_bits: 64
  driver_version: "13.0.0"  runtime_version: "12.9.0"  compile_time_toolkit_version: "12.9.0"  dnn_version: "9.10.0"
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
"""
WIDTHS = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
NO_KERNELS = {"parameter", "get-tuple-element", "bitcast", "tuple", "constant"}


def main() -> None:
    architecture, pictures = (*sys.argv[1:], "fast", str(RECIPE["batch_size"]))[:2]
    compiled = compile_step(architecture, int(pictures))
    kernels, traffic = count(compiled.as_text())
    memory = compiled.memory_analysis()
    held = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    print(f"{architecture}, {pictures} pictures a step, bfloat16, compiled for an H100")
    print(f"{sum(kernels.values())} kernels: {', '.join(f'{number} {name}' for name, number in kernels.most_common())}")
    least = traffic / BANDWIDTH * 1e3
    print(f"{traffic / 1e9:.2f} GB read and written, {least:.2f} ms at the least; {held / 1e6:.0f} MB held")


def compile_step(architecture: str, pictures: int):
    """The step of a training, as XLA's executable."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    from components.core.framework import load_keras

    load_keras("jax")
    import jax
    from jax.experimental import topologies

    from components.train.network.architecture import parse_architecture

    shape = SIDE, SIDE, 3
    model = model_to_train(recipe(), parse_architecture(architecture), shape, "mixed_bfloat16", steps=1000, a_call=1)
    batch = jax.numpy.zeros((pictures, *shape), "uint8"), jax.numpy.zeros(pictures, "int32")
    model._symbolic_build(data_batch=batch)

    card = topologies.get_topology_desc("H100", platform="cuda", target_config=H100, topology="1x1x1")
    there = jax.sharding.SingleDeviceSharding(card.devices[0])
    given = jax.tree.map(
        lambda value: jax.ShapeDtypeStruct(value.shape, value.dtype, sharding=there),
        (model._get_jax_state(True, True, True, True), batch),
    )
    return jax.jit(model.train_step, donate_argnums=0).trace(*given).lower(lowering_platforms=("cuda",)).compile()


def count(text: str) -> tuple[collections.Counter, int]:
    """The kernels of a program by kind, and the bytes of what they are given and give."""
    kernels: collections.Counter = collections.Counter()
    sizes: dict[str, int] = {}
    traffic = 0
    for line in text[text.index("\nENTRY") :].splitlines():
        found = re.match(r"\s+(?:ROOT )?%([\w.-]+) = (.*?) ([a-z][\w-]*)\((.*?)\)(?:, |$)", line)
        if not found:
            continue
        name, given, kind, arguments = found.groups()
        sizes[name] = sum(
            WIDTHS.get(type_, 0) * math.prod(int(side) for side in sides.split(",") if side)
            for type_, sides in re.findall(r"(\w+)\[([\d,]*)\]", given)
        )
        if kind in NO_KERNELS:
            continue
        target = re.search(r'custom_call_target="_*([^"]*)"', line)
        kernels[target[1] if target else kind] += 1
        traffic += sizes[name] + sum(sizes.get(argument, 0) for argument in re.findall(r"%([\w.-]+)", arguments))
    return kernels, traffic


if __name__ == "__main__":
    main()
