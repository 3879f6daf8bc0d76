"""The process that loads Keras and answers one question of ask.py: `python -m pipeline.keras_side.answer`."""

import json
import sys
from collections.abc import Callable
from typing import Any

from components.core.errors import one_line_errors


def main() -> None:
    """Answers the question on standard input with the last line of standard output, or fails with one line."""
    with one_line_errors():
        from pipeline.keras_side.check import check
        from pipeline.keras_side.describe import facts_of

        asked = json.load(sys.stdin)
        answers: dict[str, Callable[..., Any]] = {"check": check, "describe": facts_of}
        print(json.dumps(answers[asked["question"]](**asked["about"])))


if __name__ == "__main__":
    main()
