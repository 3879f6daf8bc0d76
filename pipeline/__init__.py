"""What a person types and what Kubeflow is given: the graph, its parameters, runs here and on a cluster."""

import importlib
import io
import os
import pathlib
import sys

# The checkout: the folder that holds components/, docker/ and k8s/; of an installed copy its site-packages.
ROOT = pathlib.Path(__file__).resolve().parent.parent


def docker_folder(root: pathlib.Path = ROOT) -> pathlib.Path:
    """The folder that images are built from: a checkout's docker/, which a wheel carries as pipeline/docker."""
    checkout = root / "docker"
    return checkout if (checkout / "Dockerfile").is_file() else root / "pipeline" / "docker"


def conv2d() -> None:
    """The command line, `conv2d` and `python -m pipeline`; what goes wrong before click is there is a line too."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # what a terminal of another encoding has no sign for is escaped
        sys.stdout.reconfigure(errors="backslashreplace")
    os.environ["PYTHONIOENCODING"] = "utf-8"  # what steps and other processes of ours write is read as that
    try:
        command_line = importlib.import_module("pipeline.commands.main")
    except ModuleNotFoundError as missing:
        sys.exit(f"error: expected the package {missing.name}, found none; try: pip install '.[local]' in the checkout")
    except KeyboardInterrupt:  # the imports take half a second
        sys.exit("Aborted!")
    command_line.run()
