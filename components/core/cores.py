"""How many cores there are to work with."""

import contextlib
import os
import pathlib

CGROUP = pathlib.Path("/sys/fs/cgroup")
# Where a container's limit stands, by the version of cgroups. Nodes of EKS with Amazon Linux 2 have the first still.
LIMITS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
NO_LIMIT = ("max", "-1")


def usable_cores() -> int:
    """The cores this process may use: of the machine, of its CPU mask, or of its container's limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in LIMITS:
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join((CGROUP / file).read_text(encoding="ascii") for file in files).split()
            return cores if quota in NO_LIMIT else max(1, min(cores, round(int(quota) / int(period))))
    return cores
