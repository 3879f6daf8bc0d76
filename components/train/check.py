"""Checks an architecture before anything else is run: `python -m components.train.check`, in a process of its own.

Reads one JSON line from standard input: {"architecture": text, "image_shape": [h, w, c] or null, "class_count": n}.
Loading Keras takes four seconds; whoever starts this decides when it is worth them.
"""

import json
import sys

from components.core.errors import one_line_errors


def main() -> None:
    """Ends with exit code 0 and no output, or with one line that names the layer."""
    with one_line_errors():
        from components.train.architecture import parse_architecture
        from components.train.model import build_layers, build_model

        request = json.loads(sys.stdin.readline())
        layers = parse_architecture(request["architecture"])
        if request["image_shape"] is None:
            build_layers(layers)
        else:
            build_model(layers, tuple(request["image_shape"]), request["class_count"])


if __name__ == "__main__":
    main()
