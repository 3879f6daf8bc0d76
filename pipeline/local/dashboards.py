"""TensorBoard over the runs of this machine, without what it says to its own developers."""

import logging
import pathlib
import sys


def show_dashboards(directory: pathlib.Path, port: int) -> int:
    """Shows a directory of event files until Ctrl-C; TensorBoard prints the address, or why there is none."""
    # It would load TensorFlow for names of types, with 4 s and a screen of chatter. The cluster's has none either.
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    import tensorboard.default
    import tensorboard.program as program  # the module; `from tensorboard` comes a stand-in

    directory.mkdir(parents=True, exist_ok=True)
    if not any(directory.iterdir()):
        print(f"no runs in {directory.parent} yet; new runs will appear", flush=True)
    logging.getLogger("tensorboard").setLevel(logging.CRITICAL)  # it prints its errors too
    program._DATA_SERVER_ADVISORY_MESSAGE = ""  # the reader of event files that it has taken since 2021
    board = program.TensorBoard(plugins=tensorboard.default.get_plugins())
    # The host is the default; given, it is not advised to pass --bind_all, which make has no word for.
    board.configure(("tensorboard", "--logdir", str(directory), "--host", "localhost", "--port", str(port)))
    return board.main()
