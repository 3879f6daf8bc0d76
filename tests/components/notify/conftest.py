"""Fixtures: buckets in real servers."""

from tests.servers.fixtures import bucket, gcs_server, s3_server  # noqa: F401
