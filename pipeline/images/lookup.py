"""Whether images are in their registry, asked by the registry's HTTP API: no Docker engine needed."""

import base64
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import urllib.parse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from components.core.errors import PipelineError

if TYPE_CHECKING:
    import requests

# An image is a manifest or an index of some, of Docker's kind or OCI's.
ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
TIMEOUT_S = (5, 15)


@dataclasses.dataclass(frozen=True)
class Place:
    """The parts of an image's name; `host` is empty where it names no registry."""

    host: str
    path: str
    tag: str

    @property
    def url(self) -> str:
        """Plain HTTP for this machine only, as Docker has it."""
        scheme = "http" if re.match(r"(localhost|127\.|\[::1\])", self.host) else "https"
        return f"{scheme}://{self.host}/v2/{self.path}/manifests/{self.tag}"


def place_of(image: str) -> Place:
    """Reads a name as Docker does: the first part is a host if it has a dot or a port, or is localhost."""
    name, _, tag = image.rpartition(":")
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return Place(first, rest, tag)
    return Place("", name, tag)


def check_images(images: Iterable[str]) -> list[str]:
    """Refuses images that their registry does not have.

    Returns:
        Notes, in words for a person, about what could not be asked: a name without a registry (kind and minikube load
        such images onto their nodes), a registry that only the cluster reaches or has the credentials for.

    Raises:
        PipelineError: an image is certainly not there.
    """
    wanted = sorted(set(images))
    if not wanted:
        return []
    hosts = {place_of(image).host for image in wanted}
    if hosts == {""}:
        return [
            f"the images ({wanted[0]}, ...) name no registry: the cluster's nodes must have them already "
            "(kind load docker-image); else set CONV2D_IMAGE_REPOSITORY and push them"
        ]
    absent, notes = [], []
    for image in wanted:
        state = look_up(place_of(image))
        if state == "absent":
            absent.append(image)
        elif state != "present":
            notes.append(f"could not ask for {image}: {state}")
            break  # the others are in the same registry
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise PipelineError(
            f"expected the registry to have {absent[0]}{more}, it has not; try make images ACTION=push"
            f"{' TARGET=gpu' if any('-gpu-' in image for image in absent) else ''}"
        )
    return notes


def look_up(place: Place) -> str:
    """`present`, `absent`, or why it can't be told."""
    import requests

    with requests.Session() as session:
        session.headers["Accept"] = ACCEPTED
        try:
            answer = session.head(place.url, timeout=TIMEOUT_S, allow_redirects=True)
            if answer.status_code == 401:
                authorization = _authorization(session, answer, place)
                if authorization:
                    answer = session.head(place.url, timeout=TIMEOUT_S, headers={"Authorization": authorization})
        except requests.RequestException as error:
            return f"{place.host} does not answer here ({type(error).__name__})"
    if answer.status_code == 200:
        return "present"
    if answer.status_code == 404:
        return "absent"
    if answer.status_code in (401, 403):
        return f"{place.host} wants credentials that are not here (docker login)"
    return f"{place.host} answered {answer.status_code}"


def may_push(place: Place) -> str:
    """Nothing where an upload may begin, else why not. The upload is given up at once; nothing is stored."""
    import requests

    url = place.url.replace(f"/manifests/{place.tag}", "/blobs/uploads/")
    with requests.Session() as session:
        try:
            answer = session.post(url, timeout=TIMEOUT_S)
            if answer.status_code == 401:
                authorization = _authorization(session, answer, place, "pull,push")
                if authorization:
                    session.headers["Authorization"] = authorization
                    answer = session.post(url, timeout=TIMEOUT_S)
            if answer.status_code == 202:
                upload = urllib.parse.urljoin(url, answer.headers.get("Location", ""))
                # Credentials stay with the registry, wherever it keeps its uploads.
                if urllib.parse.urlsplit(upload).netloc == place.host:
                    session.delete(upload, timeout=TIMEOUT_S)
                return ""
        except requests.RequestException as error:
            return f"{place.host} does not answer here ({type(error).__name__})"
    return f"{place.host} does not let us write {place.path} ({answer.status_code})"


def _authorization(
    session: "requests.Session", refused: "requests.Response", place: Place, actions: str = "pull"
) -> str | None:
    """What the registry wants to see: the user's docker login, or a token that it hands out for asking."""
    login = _docker_login(place.host)
    challenge = refused.headers.get("WWW-Authenticate", "")
    if challenge.lower().startswith("basic"):
        return f"Basic {login}" if login else None
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.get("realm", "")
    if not realm.startswith(("https://", place.url.split("/v2/")[0])):
        return None
    query = {"service": fields.get("service", ""), "scope": f"repository:{place.path}:{actions}"}
    headers = {"Authorization": f"Basic {login}"} if login else {}
    answer = session.get(realm, params=query, timeout=TIMEOUT_S, headers=headers)
    if answer.status_code != 200:
        return None
    try:
        token = answer.json().get("token") or answer.json().get("access_token")
    except (ValueError, AttributeError):
        return None
    return f"Bearer {token}" if token else None


def _docker_login(host: str) -> str | None:
    """What `docker login` left for the host: in its file, or with the helper that it names (gcloud, ecr-login)."""
    directory = pathlib.Path(os.environ.get("DOCKER_CONFIG") or pathlib.Path.home() / ".docker")
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        helper = config.get("credHelpers", {}).get(host) or config.get("credsStore")
        if helper and re.fullmatch(r"[\w.-]+", helper):
            said = subprocess.run(
                [f"docker-credential-{helper}", "get"],
                input=host,
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            ).stdout
            answer = json.loads(said)
            return base64.b64encode(f"{answer['Username']}:{answer['Secret']}".encode()).decode()
        entry = config["auths"][host]["auth"]
        base64.b64decode(entry, validate=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, subprocess.SubprocessError):
        return None
    return entry
