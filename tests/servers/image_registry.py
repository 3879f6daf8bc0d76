"""A real image registry on a free port of this machine; it needs no Docker engine."""

import contextlib
import hashlib
import json
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import requests

BINARY = shutil.which("docker-registry") or shutil.which("registry")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIGURATION = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {directory}}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@contextlib.contextmanager
def serving(place: pathlib.Path) -> Iterator[str]:
    """Yields host:port of a registry that keeps its images below `place`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = place / "registry.yml"
    configuration.write_text(CONFIGURATION.format(directory=place / "registry", port=port))
    with (place / "registry.log").open("wb") as log:
        process = subprocess.Popen([BINARY, "serve", configuration], stdout=log, stderr=log)
    try:
        for _ in range(200):
            with contextlib.suppress(requests.ConnectionError):
                if requests.get(f"http://127.0.0.1:{port}/v2/", timeout=1).ok:
                    break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def put_image(host: str, path: str, tag: str, content: str) -> str:
    """Gives the registry an image without layers, whose configuration holds `content`; returns its digest."""
    configuration = json.dumps({"architecture": "amd64", "os": "linux", "comment": content}).encode()
    named = f"sha256:{hashlib.sha256(configuration).hexdigest()}"
    begun = requests.post(f"http://{host}/v2/{path}/blobs/uploads/", timeout=10)
    requests.put(begun.headers["Location"], params={"digest": named}, data=configuration, timeout=10).raise_for_status()
    described = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(configuration)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described | {"digest": named}, "layers": []}
    url = f"http://{host}/v2/{path}/manifests/{tag}"
    put = requests.put(url, json=manifest, headers={"Content-Type": MANIFEST}, timeout=10)
    put.raise_for_status()
    return put.headers["Docker-Content-Digest"]
