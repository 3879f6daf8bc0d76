"""Answers the test pictures with every exported file, in a fresh process and by the file's own runtime.

The process (fresh.py) is started before the export is written, and proves each file while the next is being converted.
It is sent a format's name and path for each file, then None; it sends one answer for each file, a FormatProof's fields
or {"error"}, when all have come: latencies are taken then, with nothing else going on.
"""

import contextlib
import importlib.metadata
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Self

import numpy as np
import pydantic

from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.artifacts.dataset_reading import batches
from components.core.artifacts.evaluation import read_probabilities
from components.core.errors import PipelineError, one_line
from components.core.framework import load_keras
from components.core.machine import MOST_AT_ONCE
from components.export.formats.formats import FORMATS
from components.export.fresh import start_fresh

if TYPE_CHECKING:
    from components.export.formats.runtimes import Answer

SMOKE_PICTURES = 8
TIMED_CALLS = 30


class FormatProof(pydantic.BaseModel):
    """How an exported file answered test pictures, beside the answers that evaluate measured."""

    runtime: str
    pictures: int
    accuracy: float
    evaluated_accuracy: float = pydantic.Field(description="Accuracy of the evaluated model on the same pictures")
    agreement: float = pydantic.Field(description="share of the pictures given the same class as evaluate saw")
    largest_difference: float = pydantic.Field(description="between probabilities, over all pictures and classes")
    latency_ms: float = pydantic.Field(description="Median time of one picture alone")
    batch_latency_ms: float = pydantic.Field(
        description=f"Time of a picture among up to {MOST_AT_ONCE} that come together"
    )
    smoke: list[str] = pydantic.Field(default=[], description="what was asked in the serving smoke test")


class Verifier:
    """The fresh process, from the side of who started it. Leaving the context ends it."""

    def __init__(self, dataset: str, evaluation: str, pictures: int):
        self.asked: list[str] = []
        self.log = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed on leaving the context
        self.process, self.connection = start_fresh(_prove, self.log.name, dataset, evaluation, pictures)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()
        self.log.close()

    def check(self, name: str, path: pathlib.Path) -> None:
        """Has format `name` at `path` checked; does not wait."""
        self.asked.append(name)
        self._send((name, str(path)))

    def proofs(self) -> dict[str, FormatProof]:
        """Waits for all that was asked.

        Raises:
            PipelineError: a file can't be loaded or run; names its format.
        """
        self._send(None)
        proofs = {}
        for name in self.asked:
            try:
                answer = self.connection.recv()
            except (EOFError, ConnectionError):  # it has ended
                raise PipelineError(
                    f"expected the {name} export to run in a fresh process, which ended: {self._end()}; nothing was "
                    "exported"
                ) from None
            if "error" in answer:
                raise PipelineError(f"the {name} export failed its check: {answer['error']}; nothing was exported")
            proofs[name] = FormatProof.model_validate(answer)
        return proofs

    def _send(self, message: tuple[str, str] | None) -> None:
        with contextlib.suppress(ConnectionError):  # it has ended: proofs() tells why
            self.connection.send(message)

    def _end(self) -> str:
        """The last line that the process wrote, else how it ended."""
        self.process.join()
        said = pathlib.Path(self.log.name).read_text(errors="replace").strip().splitlines()
        return said[-1] if said else f"exit code {self.process.exitcode}"


def _prove(connection: Connection, log: str, dataset: str, evaluation: str, pictures: int) -> None:
    """The fresh process itself. What it writes goes to the file `log`."""
    with pathlib.Path(log).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    load_keras()
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)  # as evaluate measured
    info = read_info(dataset)
    measured = read_probabilities(evaluation)
    limit = min(pictures or len(measured), len(measured))
    checked = [_checked(name, path, dataset, info, measured[:limit]) for name, path in _asked(connection)]
    for finished in checked:
        connection.send(finished())


def _asked(connection: Connection) -> Iterator[tuple[str, str]]:
    """What is to be checked, as it comes; the end of whoever asks ends it."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "started by another process"
    while connection in wait([connection, parent.sentinel]) and (message := connection.recv()):
        yield message


def _checked(name: str, path: str, dataset: str, info: DatasetInfo, measured: np.ndarray) -> Callable[[], dict]:
    """Proves one file; what it returns takes the latencies, and gives the answer."""
    try:
        return _work(name, path, dataset, info, measured)
    except Exception as error:
        said = str(error) if isinstance(error, PipelineError) else f"{type(error).__name__}: {one_line(error, 300)}"
        return lambda: {"error": said}


def _work(name: str, path: str, dataset: str, info: DatasetInfo, measured: np.ndarray) -> Callable[[], dict]:
    from components.export.formats.runtimes import open_runtime
    from components.export.smoke import smoke_test

    answer = open_runtime(name, path)
    batch = np.empty(0)
    labels: list[np.ndarray] = []
    answers: list[np.ndarray] = []
    # As many at once as evaluate asks: the same batch sums in the same order.
    for pictures, classes in _first(batches(dataset, info, "test"), len(measured)):
        batch = batch if len(batch) else pictures
        labels.append(classes)
        answers.append(np.asarray(answer(pictures), np.float32))
    probabilities, truth = np.concatenate(answers), np.concatenate(labels)
    largest = float(np.abs(probabilities - measured).max())
    if not np.isfinite(largest):
        raise PipelineError("expected finite probabilities, received NaN or infinity")
    given, wanted = probabilities.argmax(axis=1), measured.argmax(axis=1)
    few = batch[:SMOKE_PICTURES]
    smoke = smoke_test(path, few) if name == "saved_model" else []
    package = FORMATS[name].runtime

    def finished() -> dict:
        alone = statistics.median(_seconds(answer, few[:1]) for _ in range(TIMED_CALLS))
        proof = FormatProof(
            runtime=f"{package} {package_version(package)}",
            pictures=len(truth),
            accuracy=float((given == truth).mean()),
            evaluated_accuracy=float((wanted == truth).mean()),
            agreement=float((given == wanted).mean()),
            largest_difference=largest,
            latency_ms=round(1e3 * alone, 3),
            batch_latency_ms=round(1e3 * _seconds(answer, batch) / len(batch), 3),
            smoke=smoke,
        )
        return proof.model_dump()

    return finished


def _seconds(answer: "Answer", pictures: np.ndarray) -> float:
    """How long an answer takes."""
    began = time.perf_counter()
    answer(pictures)
    return time.perf_counter() - began


def _first(found: Iterator[tuple[np.ndarray, np.ndarray]], count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches until `count` pictures were given."""
    for pictures, labels in found:
        yield pictures[:count], labels[:count]
        count -= len(labels)
        if count <= 0:
            return


def package_version(package: str) -> str:
    """The installed version of a package."""
    if package == "tensorflow":  # its distribution has another name on each platform
        import tensorflow as tf

        return tf.__version__
    return importlib.metadata.version(package)
