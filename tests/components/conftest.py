"""Stores to reach through a proxy that can fail, and a disk that is soon full."""

import subprocess

import pytest

from tests.servers.fixtures import bucket, gcs, gcs_server, place, s3, s3_server  # noqa: F401


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 1 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
