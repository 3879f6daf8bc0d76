"""What a person types and what Kubeflow is given: the graph, its parameters, runs here and on a cluster."""

import importlib
import pathlib
import sys

# The checkout: the folder that holds components/, docker/ and k8s/; of an installed copy its site-packages.
ROOT = pathlib.Path(__file__).resolve().parent.parent


def docker_folder(root: pathlib.Path = ROOT) -> pathlib.Path:
    """What images are built from: a checkout's docker/, which a wheel carries as pipeline/docker."""
    checkout = root / "docker"
    return checkout if (checkout / "Dockerfile").is_file() else root / "pipeline" / "docker"


def conv2d() -> None:
    """The command `conv2d`: the same as `python -m pipeline`."""
    try:
        command_line = importlib.import_module("pipeline.__main__")
    except ModuleNotFoundError as missing:
        sys.exit(f"error: expected the package {missing.name}, found none; try: pip install '.[local]' in the checkout")
    command_line.run()
