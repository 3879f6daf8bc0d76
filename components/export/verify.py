"""Loads an export in a fresh process, as a server would, and answers the test pictures with it.

Run as `python -m components.export.verify`: started before the export is written, so that its four seconds of
importing TensorFlow overlap with the writing. It then reads one JSON line from standard input, {"saved_model",
"keras_model", "pictures"}: paths of the version directory, the .keras file and an .npy of uint8 pictures, and prints
one JSON line: the probabilities by format, as lists, and the class names answered.
"""
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from components.core.errors import PipelineError


@contextlib.contextmanager
def fresh_process() -> Iterator[subprocess.Popen]:
    """A process that is importing what it needs; hand it to `answers`. Killed on leaving, should it still run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "components.export.verify"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def answers(process: subprocess.Popen, saved_model: str, keras_model: str, pictures: str) -> dict:
    """What the export answers, in the fresh process: {"saved_model": [[..]], "keras": [[..]], "class_names": [..]}.

    Raises:
        PipelineError: the export can't be loaded or called.
    """
    request = json.dumps({"saved_model": saved_model, "keras_model": keras_model, "pictures": pictures})
    output, errors = process.communicate(request + "\n")
    if process.returncode != 0:
        reason = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise PipelineError(f"expected the exported model to load in a fresh process, received: {reason}; nothing was exported")
    return json.loads(output.splitlines()[-1])


def main() -> None:
    """The fresh process itself."""
    import numpy as np

    from components.core.framework import load_keras, load_model

    load_keras()
    import tensorflow as tf

    request = json.loads(sys.stdin.readline())
    pictures = np.load(request["pictures"], allow_pickle=False)
    serve = tf.saved_model.load(request["saved_model"]).signatures["serving_default"]
    served = serve(images=tf.constant(pictures))
    model = load_model(request["keras_model"])
    print(
        json.dumps(
            {
                "saved_model": served["probabilities"].numpy().tolist(),
                "class_names": [name.decode() for name in served["class_name"].numpy()],
                "keras": model.predict(pictures, batch_size=len(pictures), verbose=0).astype("float32").tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
