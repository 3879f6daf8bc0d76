"""Real digits, prepared by the real steps, and a champion that answers them: a softmax regression in a SavedModel."""

import json
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from components.core.artifacts.dataset import DatasetInfo, read_info
from components.core.artifacts.reference import REFERENCE_FILE
from components.core.errors import PipelineError
from components.core.registry import Registry
from components.core.storage import open_store
from components.predict.run import predict
from components.predict.settings import PredictSettings
from tests.datasets import load_split

# Elsewhere it is the same, which the first test shows.
in_a_bucket = pytest.mark.parametrize("place", ["gs"], indirect=True)


class Digits(NamedTuple):
    """A dataset artifact, and its pictures and labels by split."""

    path: str
    info: DatasetInfo
    splits: dict[str, tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> Digits:
    """A third to train on, a third to validate, a third to test."""
    from components.download.run import download
    from components.download.settings import DownloadSettings
    from components.preprocess.run import preprocess
    from components.preprocess.settings import PreprocessSettings

    top = tmp_path_factory.mktemp("digits")
    download(DownloadSettings(), str(top / "raw"))
    settings = PreprocessSettings(test_split=0.33, validation_split=0.5)
    preprocess(settings, str(top / "raw"), str(top / "dataset"), str(top / "report.html"))
    info = read_info(top / "dataset")
    return Digits(
        str(top / "dataset"), info, {split: load_split(top / "dataset", info, split) for split in info.splits}
    )


class Made(NamedTuple):
    """A SavedModel of `digits`, and the reference that export would write beside it."""

    saved_model: pathlib.Path
    reference: pathlib.Path

    def publish(self, uri: str, reference: bool = True) -> Registry:
        """Makes it the champion of `digits` in a registry."""
        registry = Registry(uri)
        extras = {REFERENCE_FILE: self.reference} if reference else {}
        registry.promote("digits", registry.publish("digits", self.saved_model, extras).number)
        return registry


@pytest.fixture(scope="session")
def made(digits, tmp_path_factory) -> Callable[..., Made]:
    """Makes a model; the data set is described as it is, but for `changes`."""
    from sklearn.linear_model import LogisticRegression

    from components.core.framework import load_keras
    from components.export.formats.saved_model import write_saved_model
    from components.export.reference import reference_of

    keras = load_keras()
    pictures, labels = digits.splits["train"]
    fitted = LogisticRegression(max_iter=300).fit(pictures.reshape(len(pictures), -1) / 255, labels)
    images = keras.Input((8, 8, 1), dtype="uint8")
    classes = keras.layers.Dense(10, activation="softmax")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    model = keras.Model(images, classes(flat))
    classes.set_weights([fitted.coef_.T, fitted.intercept_])
    ready: dict[str, Made] = {}

    def make(**changes) -> Made:
        key = json.dumps(changes)
        if key not in ready:
            top = tmp_path_factory.mktemp("made")
            info = DatasetInfo.model_validate(digits.info.model_dump() | changes)
            write_saved_model(model, info, top / "1")
            probabilities = model.predict(digits.splits["test"][0], verbose=0)
            np.savez(top / "predictions.npz", labels=digits.splits["test"][1], probabilities=probabilities)
            reference = reference_of(digits.path, info, str(top), examples=3)
            (top / REFERENCE_FILE).write_text(reference.model_dump_json())
            ready[key] = Made(top / "1", top / REFERENCE_FILE)
        return ready[key]

    return make


def write_pictures(folder: pathlib.Path, pictures: np.ndarray, first: int = 0) -> pathlib.Path:
    """Writes pictures as PNG files, numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(pictures, first):
        Image.fromarray(pixels.squeeze(2)).save(folder / f"{number:04d}.png")
    return folder


@pytest.fixture
def inbox(tmp_path, digits) -> Callable[..., pathlib.Path]:
    """Writes pictures to be answered into a folder on this machine: the first so many, or all."""
    return lambda count=None: write_pictures(tmp_path / "new", digits.splits["validation"][0][:count])


@pytest.fixture
def here(made, tmp_path) -> Callable[..., PredictSettings]:
    """Makes settings for pictures on this machine, and a champion in a registry beside them."""
    made().publish(str(tmp_path / "registry"))

    def make(source: str | pathlib.Path, **changes) -> PredictSettings:
        places = {"registry": str(tmp_path / "registry"), "out": str(tmp_path / "answers")}
        return PredictSettings(**{"model": "digits@champion", "source": str(source), **places, **changes})

    return make


@pytest.fixture
def settings(place, made, tmp_path, digits):
    """Makes settings for 36 pictures in the place, and a champion in a registry beside them."""
    made().publish(f"{place.uri}/registry")
    folder = write_pictures(tmp_path / "sent", digits.splits["validation"][0][:36])
    (folder / "damaged.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture")
    open_store(place.uri).upload_directory(folder, "new/today")

    def make(**changes) -> PredictSettings:
        given = {
            "model": "digits@champion",
            "registry": f"{place.uri}/registry",
            "source": f"{place.uri}/new",
            "out": f"{place.uri}/answers",
        }
        return PredictSettings.checked(**{**given, **changes})

    return make


def rows(uri: str, folder: str = "digits-1") -> list[dict]:
    """The answers below a place."""
    store = open_store(f"{uri}/answers")
    found = [stored.key for stored in store.files(folder) if "answers-" in stored.key]
    return [json.loads(line) for key in found for line in store.read_bytes(key).decode().splitlines()]


def refusal(settings: PredictSettings) -> str:
    """The one line with which predict refuses."""
    with pytest.raises(PipelineError) as refused:
        predict(settings)
    return str(refused.value)
