"""Event files, as TensorBoard's own reader has them."""

import numpy as np

from components.core.board.events import Events, empty
from tests.components.train.board_files import tensors


def write(directory, steps: int) -> None:
    events = Events(directory)
    for step in range(1, steps + 1):
        events.scalar("loss", 1 / step, step)
    events.close()


def test_a_tensorboard_that_is_open_while_a_run_is_resumed_draws_its_history_once(tmp_path, monkeypatch):
    """The curve ran to where the run was killed, back to its first epoch, and on."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator  # the server's
    from tensorboard.summary.writer import event_file_writer

    # Files of one second are told apart by their number in this process, of which 100 sorts before 99.
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(1))
    write(tmp_path, 3)
    board = EventAccumulator(str(tmp_path))
    board.Reload()
    empty(tmp_path)
    write(tmp_path, 5)
    board.Reload()
    assert [point.step for point in board.Tensors("loss")] == [1, 2, 3, 4, 5]


def test_what_tensorboard_keeps_in_its_memory_is_small_and_sharp_where_it_can_be(tmp_path):
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images[0][:384, :640]
    digits = np.kron(np.random.default_rng(0).integers(0, 2, (48, 80), np.uint8) * 255, np.ones((8, 8), np.uint8))
    events = Events(tmp_path)
    events.image("photographs", photographs, 1)
    events.image("digits", np.stack([digits] * 3, axis=-1), 1)
    events.close()
    kept = {tag: bytes(values[1][2]) for tag, values in tensors(tmp_path).items()}
    assert kept["photographs"][:3] == b"\xff\xd8\xff" and len(kept["photographs"]) < 120_000  # 418 kB as PNG
    assert kept["digits"][:4] == b"\x89PNG"
