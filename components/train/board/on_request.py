"""What TensorBoard shows on request, as it costs time and space: the spread of the weights, and a profile of steps."""

from components.core.framework import load_keras
from components.train.board.events import EventFiles
from components.train.settings import TrainSettings

keras = load_keras()


def on_request(board: EventFiles, settings: TrainSettings) -> list["keras.callbacks.Callback"]:
    """The callbacks that the settings ask for."""
    asked = [Histograms(board, settings.histograms)] if settings.histograms else []
    if settings.profile_steps:
        first, last = settings.profile_steps.split(",")
        asked.append(Profile(board, int(first), int(last)))
    return asked


class Histograms(keras.callbacks.Callback):
    """The spread of every weight, after every so many epochs. The article's 11 million take a second."""

    def __init__(self, board: EventFiles, every: int):
        super().__init__()
        self.board, self.every = board, every

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if (epoch + 1) % self.every == 0 and self.board.runs:
            for weight in self.model.weights:
                self.board.runs["train"].histogram(weight.path, keras.ops.convert_to_numpy(weight), epoch + 1)


class Profile(keras.callbacks.Callback):
    """What runs when, on processor and GPU, from one step to another, as the backend's own profiler sees it.

    Steps are counted from this process's first; the first few trace and compile. TensorBoard shows it with the
    plug-in tensorboard-plugin-profile.
    """

    def __init__(self, board: EventFiles, first: int, last: int):
        super().__init__()
        self.board, self.first, self.last = board, first, last
        self.step, self.running = 0, False

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        if not self.running and self.first <= self.step + 1 <= self.last:
            start, _ = _profiler()
            start(str(self.board.directory / "train"))
            self.running = True

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.step += 1
        if self.step >= self.last:
            self._stop()

    def on_train_end(self, logs: dict | None = None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.running:
            _, stop = _profiler()
            stop()
            self.running = False


def _profiler() -> tuple:
    if keras.backend.backend() == "jax":
        import jax

        return jax.profiler.start_trace, jax.profiler.stop_trace
    import tensorflow as tf

    return tf.profiler.experimental.start, tf.profiler.experimental.stop
