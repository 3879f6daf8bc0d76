"""The process that loads Keras and answers one question of ask.py: `python -m pipeline.keras_side.answer JSON`."""

import json
import sys
from collections.abc import Callable
from typing import Any

from components.core.errors import one_line_errors


def main() -> None:
    """Prints the answer as its last line, or fails with one line."""
    with one_line_errors():
        from pipeline.keras_side.check import build_all
        from pipeline.keras_side.describe import described

        asked = json.loads(sys.argv[1])
        answers: dict[str, Callable[..., Any]] = {"check": build_all, "describe": described}
        print(json.dumps(answers[asked["question"]](**asked["about"])))


if __name__ == "__main__":
    main()
