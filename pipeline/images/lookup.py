"""Whether images are in their registry, asked by the registry's HTTP API: no Docker engine needed."""

import base64
import dataclasses
import re
import urllib.parse
from collections.abc import Callable, Iterable
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
class ImageName:
    """The parts of an image's name.

    Attributes:
        registry: as people name it, `docker.io` for Docker Hub; empty if the name stays on this machine.
        path: of the repository on that registry.
    """

    registry: str
    path: str
    tag: str

    @property
    def host(self) -> str:
        """Who answers the registry's HTTP API. Docker Hub's own name leads to a web page."""
        from docker import auth

        return f"registry-1.{auth.INDEX_NAME}" if self.registry == auth.INDEX_NAME else self.registry

    @property
    def url(self) -> str:
        """Plain HTTP for this machine only, as Docker has it."""
        scheme = "http" if re.match(r"(localhost|127\.|\[::1\])", self.host) else "https"
        return f"{scheme}://{self.host}/v2/{self.path}/manifests/{self.tag}"


def read_name(image: str) -> ImageName:
    """Reads a name as Docker does: the first part is a registry if it has a dot or a port or is localhost, and `team/x`
    is Docker Hub's. A name of one part is taken as this machine's own: only Docker itself can push one to its Hub."""
    from docker import auth

    name, _, tag = image.rpartition(":")
    if "/" not in name:
        return ImageName("", name, tag)
    registry, path = auth.resolve_repository_name(name)
    return ImageName(registry, path, tag)


def require_images(images: Iterable[str]) -> str:
    """Refuses images that their registry does not have.

    Returns:
        Why it could not be asked: a name without a registry (kind and minikube load such images onto their nodes), a
        registry that only the cluster reaches or has the credentials for. Empty: all are there.

    Raises:
        PipelineError: an image is certainly not there.
    """
    names = sorted(set(images))
    if not read_name(names[0]).registry:  # all are in one repository
        return (
            f"the images ({names[0]}, ...) name no registry: the cluster's nodes must have them already "
            "(kind load docker-image); else set CONV2D_IMAGE_REPOSITORY and push them"
        )
    absent, unasked = [], ""
    for image in names:
        state, _ = look_up(read_name(image))
        if state == "absent":
            absent.append(image)
        elif state != "present":
            unasked = f"could not ask for {image}: {state}"
            break
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        # A target's push sends the images of that target alone.
        made_for = [re.search(r":[a-z]+-(gpu|jax)-", image) for image in absent]
        targets = sorted({found[1] if found else "cpu" for found in made_for})
        how = " and ".join(f"make images ACTION=push TARGET={target}" for target in targets)
        raise PipelineError(f"expected {absent[0]}{more} in the registry, received none; try {how}")
    return unasked


def with_digest(image: str) -> str:
    """`name:tag@sha256:...`, which no later push can change the meaning of.

    Raises:
        PipelineError: the registry does not say it.
    """
    state, digest = look_up(read_name(image))
    if state != "present" or not digest:
        raise PipelineError(
            f"expected the digest of {image} from its registry: {state}; push it (make images ACTION=push), or leave "
            "DIGESTS= out"
        )
    return f"{image}@{digest}"


def look_up(name: ImageName) -> tuple[str, str]:
    """`present`, `absent`, or why it can't be told; and the digest, `sha256:...`, that the registry gives."""
    import requests

    with requests.Session() as session:
        session.headers["Accept"] = ACCEPTED
        try:
            answer = _asked(session, session.head, name.url, name, "pull")
        except requests.RequestException as error:
            return f"{name.host} does not answer here ({type(error).__name__})", ""
    return _state(answer, name), answer.headers.get("Docker-Content-Digest", "") if answer.ok else ""


def _state(answer: "requests.Response", name: ImageName) -> str:
    if answer.status_code == 200:
        return "present"
    if answer.status_code == 404:
        return "absent"
    if answer.status_code in (401, 403):
        return f"{name.host} wants credentials that are not here (docker login)"
    if answer.is_redirect:  # of a web page in front of the registry; its 404 would say nothing about the image
        return f"{name.host} sends us elsewhere ({answer.headers['Location']}) instead of answering as a registry"
    return f"{name.host} answered {answer.status_code}"


def may_push(name: ImageName) -> str:
    """Nothing if an upload may begin, else why not. The upload is given up at once; nothing is stored."""
    import requests

    url = name.url.replace(f"/manifests/{name.tag}", "/blobs/uploads/")
    with requests.Session() as session:
        try:
            answer = _asked(session, session.post, url, name, "pull,push")
            if answer.status_code == 202:
                upload = urllib.parse.urljoin(url, answer.headers.get("Location", ""))
                # Credentials stay with the registry, wherever it keeps its uploads.
                if urllib.parse.urlsplit(upload).netloc == name.host:
                    session.delete(upload, timeout=TIMEOUT_S)
                return ""
        except requests.RequestException as error:
            return f"{name.host} does not answer here ({type(error).__name__})"
    return f"{name.host} does not let us write {name.path} ({answer.status_code})"


def _asked(
    session: "requests.Session", ask: "Callable[..., requests.Response]", url: str, name: ImageName, actions: str
) -> "requests.Response":
    """The answer to a request, which is made again with what authorizes `actions` if the registry wants that."""
    answer = ask(url, timeout=TIMEOUT_S)
    if answer.status_code == 401 and (authorization := _authorization(session, answer, name, actions)):
        session.headers["Authorization"] = authorization
        answer = ask(url, timeout=TIMEOUT_S)
    return answer


def _authorization(
    session: "requests.Session", refused: "requests.Response", name: ImageName, actions: str
) -> str | None:
    """What the registry wants to see: the user's docker login, or a token that it hands out for asking."""
    login = _docker_login(name.registry)
    challenge = refused.headers.get("WWW-Authenticate", "")
    if challenge.lower().startswith("basic"):
        return f"Basic {login}" if login else None
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = fields.get("realm", "")
    if not realm.startswith(("https://", name.url.split("/v2/")[0])):
        return None
    query = {"service": fields.get("service", ""), "scope": f"repository:{name.path}:{actions}"}
    headers = {"Authorization": f"Basic {login}"} if login else {}
    answer = session.get(realm, params=query, timeout=TIMEOUT_S, headers=headers)
    if answer.status_code != 200:
        return None
    try:
        token = answer.json().get("token") or answer.json().get("access_token")
    except (ValueError, AttributeError):
        return None
    return f"Bearer {token}" if token else None


def _docker_login(registry: str) -> str | None:
    """What `docker login` left for a registry, read by Docker's own code: in its file, or with the helper that it names
    (gcloud, ecr-login)."""
    from docker import auth, errors

    try:
        login = auth.load_config().resolve_authconfig(registry)
    except (errors.DockerException, OSError, ValueError):  # a helper that is not there or fails, a file that is no JSON
        return None
    # A helper's answer is spelled otherwise than the file's. An identity token in place of a password is for Docker.
    known = {key.lower(): value for key, value in (login or {}).items()}
    if not known.get("username") or not known.get("password"):
        return None
    return base64.b64encode(f"{known['username']}:{known['password']}".encode()).decode()
