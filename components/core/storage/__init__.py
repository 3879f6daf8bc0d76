"""Objects in gs://, s3://, minio:// and local directories, behind one interface.

store = open_store("gs://bucket/prefix")
store.upload_directory("model", "models/digits")
store.write_bytes("champion.json", data, if_generation=store.read("champion.json")[1].generation)

obstore 0.12, one client for these and Azure, was tried in their place (S3, 26 November 2026). It takes a fifth to two
thirds of the CPU time, and can't keep what is promised here: a byte that changes on the way is taken, down and up; a
write with a condition whose answer is lost fails instead of being looked after; and named AWS profiles, SSO and
Google's workload identity still take boto3 and google-auth.
"""

from components.core.storage.backend import Limits, Stored
from components.core.storage.errors import (
    BucketMissing,
    Corrupted,
    Denied,
    NotFound,
    PreconditionFailed,
    StorageError,
    Unreachable,
)
from components.core.storage.store import Store, open_store

__all__ = [
    "BucketMissing",
    "Corrupted",
    "Denied",
    "Limits",
    "NotFound",
    "PreconditionFailed",
    "StorageError",
    "Store",
    "Stored",
    "Unreachable",
    "open_store",
]
