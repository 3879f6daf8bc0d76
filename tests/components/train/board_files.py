"""Reads event files back as TensorBoard does."""

import pathlib
from typing import Any

import numpy as np


def accumulated(directory: pathlib.Path) -> Any:
    """A run as TensorBoard's own reader has it; nothing is sampled away."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(directory), size_guidance={"tensors": 0})
    events.Reload()
    return events


def tensors(directory: pathlib.Path) -> dict[str, dict[int, np.ndarray]]:
    """The values of a run by tag and step; fails where a step was written twice."""
    from tensorboard.util.tensor_util import make_ndarray

    events = accumulated(directory)
    found: dict[str, dict[int, np.ndarray]] = {}
    for tag in events.Tags()["tensors"]:
        written = [(event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        found[tag] = dict(written)
        assert len(found[tag]) == len(written), f"{tag}: a step was written twice"
    return found


def hyperparameters(directory: pathlib.Path) -> Any:
    """What a run says it was given, for the HParams tab."""
    from tensorboard.plugins.hparams import metadata

    return metadata.parse_session_start_info_plugin_data(plugin_data(directory, metadata.SESSION_START_INFO_TAG))


def plugin_data(directory: pathlib.Path, tag: str) -> bytes:
    """What a tag of the run carries for its plug-in."""
    return accumulated(directory).SummaryMetadata(tag).plugin_data.content
