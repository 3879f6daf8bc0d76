"""How many cores there are to work with."""

import os
import pathlib

CGROUP_CPU = pathlib.Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """The cores this process may use: of the machine, of its CPU mask, or of its container's limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CGROUP_CPU.read_text(encoding="ascii").split()
        return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores
