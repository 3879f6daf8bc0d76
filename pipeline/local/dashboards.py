"""TensorBoard over the runs of this machine, without what it says to its own developers."""

import logging
import pathlib
import socket
import sys

from components.core.errors import PipelineError
from pipeline.console import option


def serve(directory: pathlib.Path, port: int) -> int:
    """Shows a directory of event files until Ctrl-C; TensorBoard prints the address, or why there is none.

    Returns:
        The exit code.

    Raises:
        PipelineError: something answers at the port.
    """
    if port and _is_taken(port):
        raise PipelineError(
            f"expected a free port, received {port}, where something answers, such as an earlier make tensorboard; see "
            f"http://localhost:{port}, or give another: {option('port', str(port + 1 if port < 65535 else 0))}"
        )
    # It would load TensorFlow for names of types, with 4 s and a screen of chatter. The cluster's has none either.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import tensorboard.default
    import tensorboard.program as program  # the module; `from tensorboard` comes a stand-in

    directory.mkdir(parents=True, exist_ok=True)
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)  # it prints its errors too
    program._DATA_SERVER_ADVISORY_MESSAGE = ""  # the reader of event files that it has taken since 2021
    board = program.TensorBoard(plugins=tensorboard.default.get_plugins())
    board.configure(("tensorboard", "--logdir", str(directory), "--port", str(port)))
    return board.main()


def _is_taken(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("localhost", port)) == 0
