"""The evaluation in TensorBoard: its figures, the confusion matrix, and the pictures it got wrong."""

from components.core.drawing import confusion_picture, picture_sheet
from components.evaluate.facts import EvaluationFacts, Example


def write_board(path: str, facts: EvaluationFacts, epoch: int) -> None:
    """Writes event files to `path`.

    Args:
        epoch: the step they are shown at: the epoch whose weights were measured.
    """
    import tensorflow as tf

    writer = tf.summary.create_file_writer(f"{path}/test")
    with writer.as_default(step=epoch):
        tf.summary.scalar("accuracy", facts.accuracy)
        tf.summary.scalar("loss", facts.loss)
        for name, score in zip(facts.class_names, facts.per_class, strict=True):
            if score.support:
                tf.summary.scalar(f"recall by class/{name}", score.recall)
        tf.summary.image("confusion matrix", confusion_picture(facts.confusion, facts.class_names)[None])
        for title, examples in (
            ("mistakes, most confident first", facts.mistakes),
            ("right, least confident first", facts.uncertain_successes),
        ):
            if examples:
                tf.summary.image(title, _sheet(examples, facts.class_names)[None])
    writer.close()


def _sheet(examples: list[Example], names: list[str]):
    captions = [
        f"{names[e.predicted]} {e.probability:.0%}" + ("" if e.true == e.predicted else f", is {names[e.true]}")
        for e in examples
    ]
    return picture_sheet([e.picture for e in examples], captions, [e.true == e.predicted for e in examples])
