"""What TensorBoard shows on request, as it costs time and space: the spread of the weights."""

from components.core.framework import load_keras
from components.train.board.events import EventFiles

keras = load_keras()


class Histograms(keras.callbacks.Callback):
    """The spread of every weight, after every so many epochs. The article's 11 million take a second."""

    def __init__(self, board: EventFiles, every: int):
        super().__init__()
        self.board, self.every = board, every

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if (epoch + 1) % self.every == 0 and self.board.runs:
            for weight in self.model.weights:
                self.board.runs["train"].histogram(weight.path, keras.ops.convert_to_numpy(weight), epoch + 1)
