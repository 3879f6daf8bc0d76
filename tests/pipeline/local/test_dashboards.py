"""`tensorboard`: the address, and nothing that is not for its user."""

import signal
import socket
import subprocess
import sys

from pipeline import ROOT


def test_it_prints_its_address_and_shows_the_runs(tmp_path):
    command = [sys.executable, "-m", "pipeline", "tensorboard", "--outputs", str(tmp_path), "--port"]
    # Port 0 is any that is free.
    with subprocess.Popen(
        [*command, "0"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as board:
        try:
            told = []
            while not told or (told[-1] and "Press CTRL+C" not in told[-1]):
                told.append(board.stdout.readline())
        finally:
            board.send_signal(signal.SIGINT)
    nothing_yet, address = told  # and no advice to pass --bind_all, which make takes for no option
    assert nothing_yet == f"no runs in {tmp_path} yet; new runs will appear\n"
    assert address.startswith("TensorBoard ") and " at http://localhost:" in address
    assert (tmp_path / "tensorboard").is_dir()


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "pipeline", "tensorboard", "--outputs", str(tmp_path), "--port", port]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode
    assert ended.stderr == f"ERROR: TensorBoard could not bind to port {port}, it was already in use\n"
