"""What the containers of a local run are given of this machine: the logins, proxies, certificates and folders that a
plain process has. Credentials can be read there, not written."""

import json
import pathlib
from collections.abc import Iterable, Mapping

from components.download.places import local_path

# The containers' home folder: a tmpfs of their own.
HOME = "/tmp"  # noqa: S108
# What the object stores' clients and HTTP read, handed on if it is set here. Never logged.
PREFIXES = ("AWS_", "GOOGLE_", "MINIO_")
VARIABLES = {
    "STORAGE_EMULATOR_HOST",
    "GCLOUD_PROJECT",
    "GCE_METADATA_HOST",
    *(spelled for name in ("http", "https", "all", "no") for spelled in (f"{name}_proxy", f"{name}_proxy".upper())),
}
GOOGLE_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
# Variables that name a file, which is mounted where it lies.
FILES = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "CURL_CA_BUNDLE",
    GOOGLE_CREDENTIALS,
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
)
# What `gcloud auth application-default login` leaves, and `aws configure` or `aws sso login`.
GCLOUD_LOGIN = "application_default_credentials.json"
AWS_LOGIN = ".aws"


def variables(environment: Mapping[str, str], home: pathlib.Path) -> dict[str, str]:
    """The variables that a container is given.

    Args:
        environment: this process's.
        home: the user's home folder, with their logins.
    """
    given = {
        name: str(local_path(value)) if name in FILES and value else value
        for name, value in environment.items()
        if name.startswith(PREFIXES) or name in VARIABLES or name in FILES
    }
    login = local_path(environment.get("CLOUDSDK_CONFIG") or str(home / ".config/gcloud")) / GCLOUD_LOGIN
    return {GOOGLE_CREDENTIALS: str(login), **given} if login.is_file() else given


def mounts(
    given: Mapping[str, str], home: pathlib.Path, read: Iterable[pathlib.Path], written: Iterable[pathlib.Path]
) -> dict[str, tuple[pathlib.Path, bool]]:
    """What a container sees of this machine's files: by its place there, what it is here, and whether it is writable.

    Args:
        given: the container's variables.
        home: the user's home folder, with their logins.
        read: files and folders to read from.
        written: folders to write to; they are made.
    """
    files = [pathlib.Path(given[name]) for name in FILES if given.get(name)]
    files += [token for file in files if (token := _federated_token(file))]
    seen = {str(path): (path, False) for path in (*files, *read)} | {f"{HOME}/{AWS_LOGIN}": (home / AWS_LOGIN, False)}
    seen = {place: (path, writable) for place, (path, writable) in seen.items() if path.exists()}
    for path in written:
        path.mkdir(parents=True, exist_ok=True)
        seen[str(path)] = (path, True)
    return seen


def _federated_token(file: pathlib.Path) -> pathlib.Path | None:
    """The file that Google's credentials take another provider's token from (workload identity federation)."""
    try:
        return local_path(json.loads(file.read_bytes())["credential_source"]["file"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
