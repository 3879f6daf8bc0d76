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
        PipelineError: nobody can listen at the port.
    """
    if refused := _refused(port):
        raise PipelineError(
            f"expected a port to listen at, received {port}: {refused}; another is given as "
            f"{option('port', str(port + 1 if 1024 <= port < 65535 else 6006))}"
        )
    # It would load TensorFlow for names of types, with 4 s and a screen of chatter. The cluster's has none either.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import tensorboard.default
    import tensorboard.program as program  # the module; `from tensorboard` comes a stand-in

    directory.mkdir(parents=True, exist_ok=True)
    if not any(directory.iterdir()):
        print(f"no runs in {directory.parent} yet; what runs from now on will be shown", flush=True)
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)  # it prints its errors too
    program._DATA_SERVER_ADVISORY_MESSAGE = ""  # the reader of event files that it has taken since 2021
    board = program.TensorBoard(plugins=tensorboard.default.get_plugins())
    # The host is the default; given, it is not advised to pass --bind_all, which make has no word for.
    board.configure(("tensorboard", "--logdir", str(directory), "--host", "localhost", "--port", str(port)))
    return board.main()


def _refused(port: int) -> str:
    """Why nobody can listen there; empty if one can."""
    with socket.socket() as asking, socket.socket() as listening:
        if port and asking.connect_ex(("localhost", port)) == 0:
            return f"something answers there, such as an earlier make tensorboard (http://localhost:{port})"
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("localhost", port))
        except OSError as error:  # ports below 1024 are root's on some machines
            return (error.strerror or str(error)).lower()
    return ""
