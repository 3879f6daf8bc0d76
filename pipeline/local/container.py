"""What the containers of a local run are given of this machine: the logins, proxies, certificates and folders that a
plain process has. Credentials can be read there, not written."""

import json
import os
import pathlib
import re
import urllib.parse
from collections.abc import Iterable, Mapping

from components.download.places import path_behind

# The containers' home folder: a tmpfs of their own.
HOME = "/tmp"  # noqa: S108
# What the object stores' clients and HTTP read, handed on if it is set here. Never logged.
PREFIXES = ("AWS_", "GOOGLE_", "MINIO_", "MLFLOW_")
VARIABLES = {
    "STORAGE_EMULATOR_HOST",
    "GCLOUD_PROJECT",
    "GCE_METADATA_HOST",
    "GCE_METADATA_IP",
    "GCE_METADATA_ROOT",
    "NO_GCE_CHECK",
    *(spelled for name in ("http", "https", "all", "no") for spelled in (f"{name}_proxy", f"{name}_proxy".upper())),
}
GOOGLE_CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
# Variables that name a file or a folder, which is mounted where it lies.
FILES = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "CURL_CA_BUNDLE",
    GOOGLE_CREDENTIALS,
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "NETRC",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)
# What `gcloud auth application-default login` leaves, and `aws configure` or `aws sso login`.
GCLOUD_LOGIN = "application_default_credentials.json"
AWS_LOGIN = ".aws"
# Who an HTTP server's user is, by its host: requests reads it.
HTTP_LOGIN = ".netrc"
# A container has a loopback of its own.
LOOPBACK = re.compile(r"^(localhost|127(\.\d+){3}|::1)$")


def variables(environment: Mapping[str, str], home: pathlib.Path) -> dict[str, str]:
    """The variables that a container is given: this process's, and those of the logins in the user's home folder.

    A home that this user may not look into, as `sudo -u` leaves one, has none: pathlib raises PermissionError there.
    """
    given = {
        name: str(path_behind(value)) if name in FILES and value else value
        for name, value in environment.items()
        if name.startswith(PREFIXES) or name in VARIABLES or name in FILES
    }
    login = path_behind(environment.get("CLOUDSDK_CONFIG") or str(home / ".config/gcloud")) / GCLOUD_LOGIN
    return {GOOGLE_CREDENTIALS: str(login), **given} if os.access(login, os.R_OK) else given


def mounts(
    given: Mapping[str, str], home: pathlib.Path, read: Iterable[pathlib.Path], written: Iterable[pathlib.Path]
) -> dict[str, tuple[pathlib.Path, bool]]:
    """The mounts of a container: by the place there, the path here, and whether it is writable; then it is made."""
    files = [pathlib.Path(given[name]) for name in FILES if given.get(name)]
    files += [token for file in files if (token := _federated_token(file))]
    seen = {str(path): (path, False) for path in (*files, *read)}
    seen |= {f"{HOME}/{login}": (home / login, False) for login in (AWS_LOGIN, HTTP_LOGIN)}
    seen = {place: (path, writable) for place, (path, writable) in seen.items() if os.access(path, os.F_OK)}
    for path in written:
        path.mkdir(parents=True, exist_ok=True)
        seen[str(path)] = (path, True)
    return seen


def names_this_machine(values: Iterable[object]) -> bool:
    """Whether one of these values is the URL of a server on this machine's loopback: a proxy, an emulator, a source."""
    return any(
        LOOPBACK.match(urllib.parse.urlsplit(value).hostname or "")
        for value in values
        if isinstance(value, str) and re.match(r"https?://[^\s\[]|https?://\[::1\]", value)
    )


def _federated_token(file: pathlib.Path) -> pathlib.Path | None:
    """The file that Google's credentials take another provider's token from (workload identity federation)."""
    try:
        return path_behind(json.loads(file.read_bytes())["credential_source"]["file"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
