"""What the registry's tests publish, and another process that does."""

import os
import pathlib
import subprocess
import sys

from components.core.registry import Registry
from pipeline import ROOT
from tests.servers.small import SMALL

MODEL = {
    "saved_model.pb": b"the graph",
    "fingerprint.pb": b"its print",
    "variables/variables.index": b"where what is",
    "variables/variables.data-00000-of-00001": os.urandom(SMALL.part + 1),  # in two parts
}


def publish(registry: Registry, saved_model: pathlib.Path, champions: int, staged: int = 0) -> None:
    """Publishes versions of `digits`, the first of which are made champion one after another."""
    for number in range(1, champions + staged + 1):
        registry.publish("digits", saved_model)
        if number <= champions:
            registry.promote("digits", number)


def keys(registry: Registry, below: str = "") -> list[str]:
    """The keys below a place in the registry's store."""
    return [stored.key for stored in registry.store.list(below)]


def publisher(place, saved_model, name="digits", times=1) -> subprocess.Popen:
    """Another process that publishes."""
    code = (
        "import sys; from components.core.registry import Registry; from tests.servers.small import SMALL\n"
        "from components.core.storage import Limits\n"
        "registry = Registry(sys.argv[1], Limits(**{**vars(SMALL), 'stall_s': 60}))\n"
        "for _ in range(int(sys.argv[4])): print(registry.publish(sys.argv[2], sys.argv[3]).number, flush=True)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, place.uri, name, str(saved_model), str(times)],
        cwd=ROOT,
        env={**os.environ, **place.environment},
        stdout=subprocess.PIPE,
        text=True,
    )
