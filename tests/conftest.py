"""A small dataset artifact of real digits, a model trained on it, its evaluation and its export."""

import contextlib
import fcntl
import functools
import gc
import multiprocessing
import os
import pathlib
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaml

import components.export.fresh
from components.core.errors import PipelineError
from components.core.pictures.decode import Decoded
from components.preprocess.identity import identity
from pipeline import ROOT
from tests.datasets import write_dataset
from tests.warm import importing, shared_by_workers

# Where the files lie that take ten seconds of a core and more.
LONGEST = ("tests/end_to_end/", "tests/components/train/", "tests/soak/", "tests/docker/test_install.py", "tests/test_")

# Two thirds of XLA's compiling is what makes its code fast: worth nothing for networks of a few thousand weights. Nor
# is it worth a sixth of the rest to compile by many threads. test_jax_backend.py has a training without these flags.
QUICK_TO_COMPILE = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)


def pytest_configure(config: pytest.Config) -> None:
    """What JAX compiles is kept for the next process: each training by JAX is one of its own, half of it compiling.

    A shell's background job ignores Ctrl-C, and so would all that the tests start; they are about a terminal's.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("MAKELEVEL", "MAKEFLAGS", "MAKEOVERRIDES"):  # `make test` is not how the tests type their commands
        os.environ.pop(name, None)
    os.environ["PYTHONIOENCODING"] = "utf-8"  # as the command line sets it: else no step could be forked from `warm`
    os.environ.setdefault("XLA_FLAGS", QUICK_TO_COMPILE)
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / "build" / "jax-cache"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # KFP's client reads a compiled pipeline by PyYAML's slow half, 0.2 s for each that a test submits.
    yaml.safe_load_all = functools.partial(yaml.load_all, Loader=yaml.CSafeLoader)
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        ends = contextlib.ExitStack()
        ends.enter_context(shared_by_workers())
        config.add_cleanup(ends.close)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """What has been imported by now stays: to look through all of it again and again took 2 to 5 % of a worker."""
    gc.freeze()
    # To rewrite a graph before it runs costs a tenth of a training of a few steps; steps of their own process do so.
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture(scope="session", autouse=True)
def errors_of_one_line() -> None:
    """An error is one line (CONTRIBUTING.md, rule 7): no test has to ask that of the one it looks at."""

    def made(self: PipelineError, *said: object) -> None:
        Exception.__init__(self, *said)
        assert "\n" not in str(self), f"an error of several lines: {self}"

    PipelineError.__init__ = made


@pytest.fixture(scope="session")
def warm() -> Iterator[str]:
    """The place of a process that has imported TensorFlow, from which programs are forked (tests/warm.py)."""
    with importing("tensorflow") as place:
        yield place


@pytest.fixture(scope="session")
def warm_jax() -> Iterator[str]:
    """The same, of a process that has imported JAX instead."""
    with importing("jax") as place:
        yield place


@pytest.fixture(autouse=True)
def _left_by_no_step() -> Iterator[None]:
    """What a step sets for its own process, where it runs in the tests' one: programs forked later must not have it."""
    before = {name: os.environ.get(name) for name in ("JAX_PLATFORMS", "KERAS_BACKEND", "XLA_FLAGS")}
    yield
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(scope="session", autouse=True)
def forked_proofs() -> None:
    """An export in a test's process, where TensorFlow has run, is proved in one forked from soak/warm.py."""
    components.export.fresh.OTHERWISE = "forkserver"
    multiprocessing.set_forkserver_preload(["tests.soak.warm"])


class Trained(NamedTuple):
    """Paths of a dataset artifact and of a model artifact trained on it."""

    dataset: str
    model: str


def hashes_of(pictures: np.ndarray) -> np.ndarray:
    """A hash for each picture, as preprocess would give it."""
    opened = (Decoded(picture, *picture.shape[:2], "greyscale", ()) for picture in pictures)
    return np.frombuffer(b"".join(identity(b"", picture) for picture in opened), "<u8")


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory) -> pathlib.Path:
    """A folder that is the same one for all workers of a run."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def once(place: pathlib.Path, make: Callable[[], Any]) -> Any:
    """Has the first worker that needs it make what lies at `place`; the others wait. Gives what `make` gave."""
    with pathlib.Path(f"{place}.made").open("a+b") as made:
        fcntl.flock(made, fcntl.LOCK_EX)
        made.seek(0)
        if not (given := made.read()):
            given = pickle.dumps(make())
            made.write(given)
    return pickle.loads(given)


@pytest.fixture(scope="session")
def digits_with_test(of_all_workers) -> str:
    """1,000 real digits to train on, 297 to validate, 500 to test, as a dataset artifact."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    pictures = np.round(bundle.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bundle.target.astype(np.int64)
    chosen = {"train": slice(0, 1000), "validation": slice(1000, 1297), "test": slice(1297, None)}
    place = of_all_workers / "digits_with_test"
    made = once(
        place,
        lambda: write_dataset(
            place,
            {split: (pictures[part], labels[part]) for split, part in chosen.items()},
            hashes=hashes_of(pictures),
            dataset="digits",
            title="pen strokes",
            class_names=[str(digit) for digit in range(10)],
            mean=[0.3],
            std=[0.4],
            resize="resize",
            split_seed=0,
            source_uri="package:digits",
        ),
    )
    return str(made)


@pytest.fixture(scope="session")
def trained(digits_with_test, of_all_workers) -> Trained:
    """The article's network after three epochs: good enough to be right mostly, and wrong sometimes."""
    from components.train.run import train
    from components.train.settings import TrainSettings

    place = of_all_workers / "trained"
    settings, outputs = TrainSettings(epochs=3, verbose="0"), (str(place / "model"), str(place / "board"))
    once(place, lambda: train(settings, digits_with_test, *outputs))
    return Trained(digits_with_test, outputs[0])


def evaluated(dataset: str, model: str, place: pathlib.Path, **settings: Any) -> str:
    """Evaluates a model below `place` and gives the evaluation artifact's path."""
    from components.evaluate.run import evaluate
    from components.evaluate.settings import EvaluateSettings

    paths = [str(place / name) for name in ("evaluation", "report", "board")]
    evaluate(EvaluateSettings(**settings), dataset, model, *paths)
    return paths[0]


@pytest.fixture(scope="session")
def evaluation(trained, of_all_workers) -> str:
    """The evaluation artifact of the model `trained`."""
    place = of_all_workers / "evaluated"
    return once(place, lambda: evaluated(trained.dataset, trained.model, place))


@pytest.fixture(scope="session")
def exported(trained, evaluation, of_all_workers):
    """An export of `trained` in the default formats: its manifest, and where it lies."""
    from components.export.run import export
    from components.export.settings import ExportSettings

    place = of_all_workers / "default" / "exported"
    given = trained.dataset, trained.model, evaluation, str(place)
    return once(place.parent, lambda: export(ExportSettings(model_version=7), *given)), place
