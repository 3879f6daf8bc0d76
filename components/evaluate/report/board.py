"""The evaluation in TensorBoard: its figures, the confusion matrix, and the pictures it got wrong.

They lie in test/, and are drawn into the charts of training. The HParams tab gets none of them: its views leave out
runs that lack a figure which others have, and all trials of a sweep but the best lack these.
"""

import pathlib

from components.core.board.drawing import AXES, Shown, confusion_picture, drawn_names, picture_sheet
from components.core.board.events import Events, empty
from components.evaluate.report.facts import EvaluationFacts


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
    names, legend = drawn_names(facts.class_names)
    events.image("confusion matrix", confusion_picture(facts.confusion, names), epoch, f"{AXES} {legend}")
    for title, examples in (
        ("mistakes, most confident first", facts.mistakes),
        ("right, least confident first", facts.uncertain_successes),
    ):
        if examples:
            shown = [Shown(e.picture, names[e.predicted], e.probability, names[e.true]) for e in examples]
            events.image(title, picture_sheet(shown), epoch, legend)
    events.close()
