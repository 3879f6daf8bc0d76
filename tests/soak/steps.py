"""The five steps on next to nothing, as their components call them."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Task:
    """What a step is given.

    Attributes:
        inputs: the folder with the artifacts of the steps before.
        outputs: the folder for its own.
        source: the pictures.
        checkpoints: where training keeps its checkpoints.
        environment: what it takes to reach a store.
    """

    inputs: str
    outputs: str
    source: str = ""
    checkpoints: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)


def download(task: Task) -> None:
    from components.download.run import download
    from components.download.settings import DownloadSettings

    download(DownloadSettings.checked(dataset="image_folder", source=task.source), f"{task.outputs}/raw")


def preprocess(task: Task) -> None:
    from components.preprocess.run import preprocess
    from components.preprocess.settings import PreprocessSettings

    settings = PreprocessSettings.checked(image_size="8", test_split=0.2)
    preprocess(settings, f"{task.inputs}/raw", f"{task.outputs}/dataset", f"{task.outputs}/data_report.html")


def train(task: Task) -> None:
    """A checkpoint after each epoch: as soon as the one before is written, instead of 30 seconds later."""
    import components.train.callbacks
    from components.train.run import train
    from components.train.settings import TrainSettings

    components.train.callbacks.EVERY_S = 0
    settings = TrainSettings.checked(epochs=3, deterministic=True, verbose="2", checkpoints=task.checkpoints)
    train(settings, f"{task.inputs}/dataset", f"{task.outputs}/model", f"{task.outputs}/tensorboard")


def evaluate(task: Task) -> None:
    from components.evaluate.run import evaluate
    from components.evaluate.settings import EvaluateSettings

    made = (f"{task.outputs}/{name}" for name in ("evaluation", "report.html", "tensorboard"))
    evaluate(EvaluateSettings(), f"{task.inputs}/dataset", f"{task.inputs}/model", *made)


def export(task: Task) -> None:
    from components.export.run import export
    from components.export.settings import ExportSettings

    given = (f"{task.inputs}/{name}" for name in ("dataset", "model", "evaluation"))
    export(ExportSettings(), *given, f"{task.outputs}/exported")


STEPS: dict[str, Callable[[Task], None]] = {
    step.__name__: step for step in (download, preprocess, train, evaluate, export)
}
