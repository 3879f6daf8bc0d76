"""What a machine lacks, in words: room on a disk, rights to a file, memory. No defect of ours, wherever it comes up."""

import re

from components.core import disk

DISK_FULL = "no space left on device"
# TensorFlow's, XLA's and CUDA's words; what follows says how much was asked for.
OUT_OF_MEMORY = re.compile(
    r"(OOM when allocating[^\n]*|RESOURCE_EXHAUSTED[^\n]*|Out of memory[^\n]*|Unable to allocate [^\n]*)", re.IGNORECASE
)
LONGEST = 200


def lack(error: Exception) -> str | None:
    """One line on what the machine lacks, and what to try; None for any other error."""
    text = str(error)
    # Exceptions of packages that derive from OSError (requests' do) have words of their own.
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.errno is not None:
        where = ascii(error.filename) if error.filename else "files"
        said = disk.trouble(error, "free some space and run again", "check its owner and rights and run again")
        return f"expected to read and write {where}, but {said or (error.strerror or text).lower()}"
    if "CA certificate bundle" in text:  # requests'
        return "expected a file of certificates behind REQUESTS_CA_BUNDLE, received a path to none"
    if DISK_FULL in text.lower():  # of TensorFlow's and HDF5's own kinds
        return "expected to write files, but the disk is full; free some space and run again"
    found = OUT_OF_MEMORY.search(text)
    if isinstance(error, MemoryError) or found:
        asked = f" ({' '.join(found[0].split())[:LONGEST]})" if found else ""
        return f"out of memory{asked}; try a smaller batch_size or image_size, or a machine with more memory"
    return None
