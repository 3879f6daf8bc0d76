"""Where objects live: gs://bucket/prefix, s3://bucket/prefix, minio://bucket/prefix, a local path or file://."""

import dataclasses
import pathlib
import re
import urllib.parse

from components.core.errors import nearest
from components.core.storage.errors import StorageError

BUCKET_SCHEMES = ("gs", "s3", "minio")
SCHEMES = (*BUCKET_SCHEMES, "file")
# The strictest of the stores: GCS and S3 both end at 1,024 bytes of UTF-8.
MAX_KEY_BYTES = 1024
BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,220}[A-Za-z0-9]")


@dataclasses.dataclass(frozen=True)
class Location:
    """A bucket (or `""` for local files) and a prefix inside it, without slashes at its end.

    A local prefix is an absolute path. Keys are taken as they are written: no percent-decoding, and `?` and `#` are
    characters like any other, so that every object that a store can hold can be named.
    """

    scheme: str
    bucket: str
    prefix: str

    def key(self, name: str) -> str:
        """The whole key of `name` below this location."""
        return "/".join(part for part in (self.prefix, name) if part)

    def uri(self, name: str = "") -> str:
        """How to write `name` below this location. Never holds credentials: they are refused by `parse`."""
        key = self.key(name)
        return key if self.scheme == "file" else f"{self.scheme}://{self.bucket}/{key}".rstrip("/")


def parse(uri: str) -> Location:
    """Reads a URI or a local path.

    Raises:
        StorageError: unknown scheme, no bucket, an impossible bucket name, credentials in the URI, a key too long.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator and uri.lower().startswith("file:/"):
        scheme, separator, rest = uri.partition(":")
    if not separator:
        if (begun := uri.partition(":")[0].lower()) in SCHEMES and ":" in uri:
            raise StorageError(f"expected {begun}://, received {uri!r}; for a local path write ./{uri}")
        return Location("file", "", str(local_path(uri)))
    scheme = scheme.lower()
    if scheme == "file":
        path = urllib.parse.unquote(rest.removeprefix("localhost"))
        if not path.startswith("/") or not path.strip("/"):  # nobody means all of this machine; $DIR may be empty
            raise StorageError(f"expected file:///an/absolute/path, received {uri!r}")
        return Location("file", "", str(local_path(path)))
    if scheme not in BUCKET_SCHEMES:
        raise StorageError(
            f"expected a local path or one of {', '.join(f'{known}://' for known in SCHEMES)}, "
            f"received the scheme {scheme!r}; {nearest(scheme, list(SCHEMES))}"
        )
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        # Not repeated in the message: what stands before the @ may be a secret.
        raise StorageError(f"expected {scheme}://bucket/prefix, received one with credentials in it; set them outside")
    if not bucket:
        raise StorageError(f"expected {scheme}://bucket/prefix, received {uri!r} without a bucket")
    if not BUCKET_NAME.fullmatch(bucket):
        raise StorageError(f"expected a bucket name of 3 letters, digits, '-', '_', '.' or more, received {bucket!r}")
    prefix = prefix.rstrip("/")
    if prefix:
        check_key(prefix)
    return Location(scheme, bucket, prefix)


def local_path(path: str) -> pathlib.Path:
    """The absolute path, without `..`: what lies there has one name. `~` is the home folder, a link keeps its own name.

    Raises:
        StorageError: the home folder of a user that is not known here, or a zero byte.
    """
    if "\0" in path:
        raise StorageError(f"expected a path without zero bytes, received {path!a}")
    try:
        found = pathlib.Path(path).expanduser().absolute()
    except RuntimeError:
        raise StorageError(f"expected a path, received {path!a}, the home folder of a user not known here") from None
    above, dots, below = f"{found}/".rpartition("/../")
    return pathlib.Path(f"{above}/..").resolve() / below if dots else found


def is_url(text: str) -> bool:
    """Whether it is http://host or https://host, perhaps with a port and with what follows."""
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # [ without ], a port that is no number
        return False


def check_key(key: str) -> str:
    """Returns `key` where every store could hold it, else raises StorageError.

    Stores refuse such keys too, but each in its own way, some of them only after the upload.
    """
    shown = repr(key if len(key) <= 60 else f"{key[:60]}...")
    if not key:
        raise StorageError("expected the key of an object, received an empty one")
    size = len(key.encode("utf-8", errors="surrogatepass"))
    if size > MAX_KEY_BYTES:
        raise StorageError(f"expected a key of at most {MAX_KEY_BYTES} bytes, received {size} bytes: {shown}")
    if any(ord(character) < 32 or 0xD800 <= ord(character) < 0xE000 or ord(character) == 127 for character in key):
        raise StorageError(f"expected a key without control characters, received {shown}")
    return key


def local_parts(key: str) -> list[str]:
    """The path of `key` below a local directory, piece by piece.

    Raises:
        StorageError: the key would lead outside the directory, or has no place in one.
    """
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in key:
        raise StorageError(f"expected a key that can be a local file, received {key!r}; rename that object")
    return parts
