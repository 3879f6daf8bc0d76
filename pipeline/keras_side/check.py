"""Checks layers and optimizer before anything else is run: `python -m pipeline.keras_side.check`, in its own process.

Reads one JSON line from standard input:
{"architecture": text, "optimizer": text, "image_shape": [h, w, c] or null, "class_count": n}.
Loading Keras takes four seconds; whoever starts this decides when it is worth them.
"""

import json
import sys

from components.core.errors import one_line_errors


def main() -> None:
    """Ends with exit code 0 and no output, or with one line that names the layer or the optimizer."""
    with one_line_errors():
        from components.train.architecture import parse_architecture
        from components.train.model import build_layers, build_model
        from components.train.optimizer import make_optimizer
        from components.train.settings import TrainSettings

        request = json.loads(sys.stdin.readline())
        layers = parse_architecture(request["architecture"])
        if request["image_shape"] is None:
            build_layers(layers)
        else:
            build_model(layers, tuple(request["image_shape"]), request["class_count"])
        make_optimizer(TrainSettings.checked(optimizer=request["optimizer"]), steps=1)


if __name__ == "__main__":
    main()
