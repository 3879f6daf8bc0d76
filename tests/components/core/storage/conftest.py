"""Places for objects, in real servers."""

from tests.servers.fixtures import bucket, gcs, gcs_server, place, s3, s3_server  # noqa: F401
