"""Brightness, contrast and detail of pictures, read from their pixels alone, so that they are known of all."""

import numpy as np

LOOKS = {
    "brightness": "the mean pixel value; 0 % is black, 100 % white",
    "contrast": "the standard deviation of the grey values, in percent of white",
    "detail": "the mean difference between neighbouring pixels, in percent of white",
}

# Sizes are counted by quarters of an octave, from 8 to 16,384 pixels a side.
SIZE_EDGES = [quarter / 4 for quarter in range(12, 57)]


def looks_of(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """What each picture looks like, float32 [n] by the names of LOOKS, as shares of white, 0 to 1.

    Args:
        pictures: uint8 [n, height, width, channels].
    """
    channels = pictures.shape[3]
    summed = sum(pictures[..., channel].astype(np.uint16) for channel in range(channels))  # NumPy's sum takes 4 times
    grey = np.asarray(summed).astype(np.float32) / (255 * channels)
    steps = np.concatenate([np.abs(np.diff(grey, axis=axis)).reshape(len(grey), -1) for axis in (1, 2)], axis=1)
    return {
        "brightness": grey.mean(axis=(1, 2)),
        "contrast": grey.std(axis=(1, 2)),
        "detail": steps.mean(axis=1) if steps.shape[1] else np.zeros(len(grey), np.float32),
    }


def log_side(heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """The size of pictures [n] of these sides in pixels: log2 of the side of a square with as many pixels."""
    return (np.log2(heights.astype(np.float64)) + np.log2(widths.astype(np.float64))) / 2
