"""The evaluation in TensorBoard: its figures, the confusion matrix, and the pictures it got wrong.

They lie in test/, and are drawn into the charts of training. The HParams tab gets none of them: its views leave out
runs that lack a figure which others have, and all trials of a sweep but the best lack these.
"""

import pathlib

from components.core.board.drawing import confusion_picture, picture_sheet
from components.core.board.events import Events, empty
from components.evaluate.report.facts import EvaluationFacts, Example


def write_board(path: str, facts: EvaluationFacts, epoch: int) -> None:
    """Writes event files to `path`.

    Args:
        epoch: the step they are shown at: the epoch whose weights were measured.
    """
    empty(pathlib.Path(path) / "test")
    events = Events(f"{path}/test")
    events.scalar("accuracy", facts.accuracy, epoch)
    if facts.balanced:
        events.scalar("balanced accuracy", facts.balanced_accuracy, epoch)
    events.scalar("loss", facts.loss, epoch)
    for name, score in zip(facts.class_names, facts.per_class, strict=True):
        if score.support:
            events.scalar(f"recall by class/{name}", score.recall, epoch)
    events.image("confusion matrix", confusion_picture(facts.confusion, facts.class_names), epoch)
    for title, examples in (
        ("mistakes, most confident first", facts.mistakes),
        ("right, least confident first", facts.uncertain_successes),
    ):
        if examples:
            events.image(title, _sheet(examples, facts.class_names), epoch)
    events.close()


def _sheet(examples: list[Example], names: list[str]):
    captions = [
        f"{names[e.predicted]} {e.probability:.0%}" + ("" if e.true == e.predicted else f", is {names[e.true]}")
        for e in examples
    ]
    return picture_sheet([e.picture for e in examples], captions, [e.true == e.predicted for e in examples])
