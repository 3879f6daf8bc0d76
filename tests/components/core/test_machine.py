"""What a machine lacks is told in one line, whoever finds out: Python, TensorFlow, HDF5."""

import errno
import mmap
import os

import numpy as np
import pytest

from components.core.errors import PipelineError, one_line_errors
from components.core.machine import lack

TENSORFLOW = """Graph execution error:

Detected at node sequential/dense/MatMul defined at (most recent call last):
  File "/app/components/train/run.py", line 120, in train

OOM when allocating tensor with shape[200000,100000] and type float on /job:localhost/replica:0/task:0/device:CPU:0
\t [[{{node sequential/dense/MatMul}}]]
Hint: ..."""


class TensorFlowError(Exception):
    """Stands in for tensorflow.errors.ResourceExhaustedError, which costs four seconds to import."""


class ResourceExhaustedError(Exception):
    """And for that very one, which TensorFlow raises for a full disk too."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/out/model.keras"),
            "write '/out/model.keras', but the disk is",
        ),
        (OSError("[Errno 28] Can't write data (message = 'No space left on device')"), "the disk is full"),
        (TensorFlowError("events.v2; No space left on device"), "the disk is full"),
        (OSError("115008 requested and 24576 written"), "the disk is full"),  # NumPy's
        (PermissionError(errno.EACCES, "Permission denied", "/out"), "'/out', but no permission"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/in/training.json"), "no such file"),
        (TensorFlowError(TENSORFLOW), "out of memory (OOM when allocating tensor with shape[200000,100000] and type"),
        (
            TensorFlowError("RESOURCE_EXHAUSTED: Out of memory allocating 80 bytes."),
            "out of memory (RESOURCE_EXHAUSTED",
        ),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 40000 bytes."),
            "(RESOURCE_EXHAUSTED: Out of",
        ),  # JAX
        (RuntimeError("INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory"), "out of memory (CUDA_ERROR_OUT_OF_MEMORY"),
        (RuntimeError("CUDNN_STATUS_ALLOC_FAILED in x.cc(3)"), "out of memory (ALLOC_FAILED"),
        (RuntimeError("std::bad_alloc"), "out of memory (std::bad_alloc); try a smaller batch_size"),
        (MemoryError("Unable to allocate 728. TiB for an array"), "(Unable to allocate 728. TiB for an array)"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "out of memory (Cannot allocate memory)"),
        (ResourceExhaustedError("/out/events.v2; No space left on device"), "the disk is full"),
        (ResourceExhaustedError("failed"), "out of memory; try"),
        (OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /x"), "REQUESTS_CA_BUNDLE"),
        (MemoryError(), "out of memory; try a smaller batch_size"),
        (RuntimeError("can't start new thread"), "but a limit of processes or memory is reached; raise"),  # Python's
        (KeyError("a defect"), None),
        (ValueError("a defect"), None),
    ],
)
def test_the_lack_is_named_and_a_defect_is_not(error, said):
    told = lack(error)
    assert (told is None) is (said is None)
    if said:
        assert said in told
        assert "\n" not in told
        assert "File " not in told


def test_numpy_and_python_really_say_so():
    for allocate in (lambda: np.ones((10**7, 10**7)), lambda: mmap.mmap(-1, 1 << 50), lambda: bytearray(1 << 60)):
        with pytest.raises((MemoryError, OSError)) as raised:
            allocate()
        assert lack(raised.value).startswith("out of memory")


def test_a_name_with_a_line_break_makes_no_second_line(capsys):
    odd = PipelineError()
    odd.args = ("expected an export, received a\nb",)
    with pytest.raises(SystemExit), one_line_errors():
        raise odd
    assert capsys.readouterr().err == "error: expected an export, received a b\n"


def test_the_process_ends_with_that_line(capsys):
    with pytest.raises(SystemExit), one_line_errors():
        open("/no/such/file").close()  # noqa: PTH123, SIM115
    assert capsys.readouterr().err == (
        "error: expected to read and write '/no/such/file', but no such file or directory\n"
    )
    with pytest.raises(KeyError), one_line_errors():
        raise KeyError("a defect keeps its traceback")
