"""What this machine has, cores and memory for pictures, and what it lacks, in a line: room on a disk, rights to a file,
memory. None of these is a defect of ours.
"""

import contextlib
import errno
import os
import pathlib
import re

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EFBIG: "the file grew too large"}
REFUSED = {errno.EROFS: "it is read-only", errno.EACCES: "no permission", errno.EPERM: "no permission"}
# What TensorFlow and HDF5 say, and NumPy, whose error has no number.
DISK_FULL = re.compile(r"no space left on device|\d+ requested and \d+ written", re.IGNORECASE)
# The words of TensorFlow, XLA, CUDA, cuDNN, NumPy and C++; what follows on the line says how much was asked for.
OUT_OF_MEMORY = re.compile(
    r"(OOM when allocating|RESOURCE_EXHAUSTED|Out of memory|CUDA_ERROR_OUT_OF_MEMORY|ALLOC_FAILED|Unable to allocate |"
    r"Failed to allocate memory|Cannot allocate memory|(std::)?bad_alloc).*",
    re.IGNORECASE,
)
LONGEST = 200
MOST_AT_ONCE, MOST_PIXELS = 256, 1 << 20
CGROUP = pathlib.Path("/sys/fs/cgroup")
# Where a container's limit of CPUs stands, by the version of cgroups. EKS with Amazon Linux 2 has the first still.
CPU_LIMITS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
NO_LIMIT = ("max", "-1")


def usable_cores() -> int:
    """The cores this process may use: of the machine, of its CPU mask, or of its container's limit."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for files in CPU_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            quota, period = " ".join((CGROUP / file).read_text(encoding="ascii") for file in files).split()
            return cores if quota in NO_LIMIT else max(1, min(cores, round(int(quota) / int(period))))
    return cores


def at_once(image_shape: tuple[int, ...]) -> int:
    """How many pictures a model is asked at once: enough to keep two cores or a GPU busy, and fewer of large ones, as
    what the layers give grows with the pixels. The article's convolutions take 1 GB then, whatever the pictures' size;
    for 256 of 224 x 224 they took 12.

    Args:
        image_shape: height, width, channels.
    """
    height, width = image_shape[:2]
    return max(1, min(MOST_AT_ONCE, MOST_PIXELS // (height * width)))


def lack(error: Exception) -> str | None:
    """One line on what the machine lacks, and what to try; None for any other error."""
    text = str(error)
    asked = out_of_memory(error)
    if asked is not None:
        said = f" ({asked})" if asked else ""
        return f"out of memory{said}; try a smaller batch_size or image_size, or a machine with more memory"
    # Exceptions of packages that derive from OSError (requests' do) have words of their own.
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.errno is not None:
        where = repr(error.filename) if error.filename else "files"
        return f"expected to read and write {where}, but {_trouble(error)}"
    if "CA certificate bundle" in text:  # requests'
        return "expected a file of certificates behind REQUESTS_CA_BUNDLE, received a path to none"
    if "can't start new thread" in text:  # a container's limit of processes, more often than ulimit's
        return "expected to start a thread, but a limit of processes or memory is reached; raise it (pids, ulimit -u)"
    if DISK_FULL.search(text):
        return "expected to write files, but the disk is full; free some space and run again"
    return None


def out_of_memory(error: Exception) -> str | None:
    """The amount asked for when memory ran out, empty if the error does not say it; None for any other error."""
    if DISK_FULL.search(str(error)):  # TensorFlow calls that exhausted too
        return None
    found = OUT_OF_MEMORY.search(str(error))
    if found:
        return " ".join(found[0].split())[:LONGEST]
    return "" if isinstance(error, MemoryError) or "ResourceExhausted" in type(error).__name__ else None


def _trouble(error: OSError) -> str:
    if error.errno in FULL:
        return f"{FULL[error.errno]}; free some space and run again"
    if error.errno in REFUSED:
        return f"{REFUSED[error.errno]}; check its owner and rights and run again"
    return (error.strerror or str(error)).lower()
