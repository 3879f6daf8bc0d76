"""Event files for TensorBoard, written by TensorBoard's own library: no tensor goes through TensorFlow for a scalar.

A scalar costs 0.1 ms, against 0.4 ms through tf.summary, and nothing of it meets the device that trains.
One writer a directory: TensorBoard reads one event file at a time of each run, and never goes back to an older one.
"""

import io
import os
import pathlib
import time
from typing import Any

import numpy as np

FLUSH_INTERVAL_S = 20


def empty(directory: pathlib.Path) -> None:
    """Removes the files of an earlier run. The folder stays: another run may be about to open a file in it."""
    for path in directory.rglob("*"):
        if not path.is_dir():
            path.unlink(missing_ok=True)


class Events:
    """One run of TensorBoard: the event file in a directory.

    What is written appears in the file within FLUSH_INTERVAL_S, or at flush().
    """

    def __init__(self, directory: str | os.PathLike):
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.writer = EventFileWriter(str(directory), max_queue_size=100, flush_secs=FLUSH_INTERVAL_S)
        # A TensorBoard that has read an earlier file of this run forgets it: it would draw the history twice.
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self.writer.add_event(event_pb2.Event(wall_time=time.time(), step=0, session_log=start))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """A point of a curve."""
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb

        self._write(scalar_pb(tag, value), step)

    def image(self, tag: str, picture: np.ndarray, step: int, description: str = "") -> None:
        """A picture, uint8 [height, width, 3], stored as PNG or, if that is smaller, as JPEG: a sheet of 24 photographs
        has 126 kB then in place of 674, ten of which each run has, and TensorBoard keeps all of them in its memory."""
        from PIL import Image
        from tensorboard.plugins.image import metadata
        from tensorboard.util.tensor_util import make_tensor_proto

        files = {kind: io.BytesIO() for kind in ("PNG", "JPEG")}
        for kind, file in files.items():
            Image.fromarray(picture).save(file, kind, quality=85)
        smaller = min((file.getvalue() for file in files.values()), key=len)
        height, width = picture.shape[:2]
        # What its plugin reads: width, height, and a file a picture.
        values = [str(width).encode(), str(height).encode(), smaller]
        described = metadata.create_summary_metadata(display_name=None, description=description)
        self._write_value(tag, described, make_tensor_proto(np.array(values, dtype=object)), step)

    def histogram(self, tag: str, values: np.ndarray, step: int) -> None:
        """How values spread, over 30 bins."""
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb

        self._write(histogram_pb(tag, values), step)

    def graph(self, graph: Any) -> None:
        """A graph for the Graphs tab, TensorBoard's GraphDef."""
        from tensorboard.compat.proto import event_pb2

        self.writer.add_event(event_pb2.Event(wall_time=time.time(), graph_def=graph.SerializeToString()))

    def hyperparameters(self, values: dict[str, bool | int | float | str], trial: str) -> None:
        """What a trial was given. The scalars that this run and those below it hold are the trial's results.

        Args:
            trial: runs of the same one share a row of the HParams tab.
        """
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb

        self._write(hparams_pb(values, trial_id=trial), 0)

    def ended(self, succeeded: bool) -> None:
        """How the trial ended; one that never says so counts as running."""
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        # As tensorboard.plugins.hparams.summary.session_end_pb does it, which loads TensorFlow to do so.
        status = api_pb2.STATUS_SUCCESS if succeeded else api_pb2.STATUS_FAILURE
        end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
        said = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
        self._write_value(metadata.SESSION_END_INFO_TAG, said, metadata.NULL_TENSOR, 0)

    def flush(self) -> None:
        """Puts what was written into the file."""
        self.writer.flush()

    def close(self) -> None:
        """Flushes and ends."""
        self.writer.close()

    def _write(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto import event_pb2

        self.writer.add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))

    def _write_value(self, tag: str, described: Any, tensor: Any, step: int) -> None:
        from tensorboard.compat.proto import summary_pb2

        summary = summary_pb2.Summary()
        summary.value.add(tag=tag, metadata=described, tensor=tensor)
        self._write(summary, step)
