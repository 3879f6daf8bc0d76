"""Objects in gs://, s3://, minio:// and local directories, behind one interface.

store = open_store("gs://bucket/prefix")
store.upload_directory("model", "models/digits")
store.write_bytes("champion.json", data, if_generation=store.read("champion.json")[1].generation)
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
