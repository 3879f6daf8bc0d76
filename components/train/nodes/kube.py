"""The few requests to the Kubernetes API that a training on several nodes takes, from inside the cluster."""

import os
import pathlib
from typing import Any

import requests
import tenacity

from components.core.errors import PipelineError, one_line

# Where Kubernetes puts a pod's identity.
IDENTITY = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
CORE = "/api/v1"
TIMEOUT_S = (10, 30)
PATIENCE_S = 600.0


class ApiRefusedError(Exception):
    """The API's own answer that something can't be: its HTTP status, and what it says."""

    def __init__(self, status: int, message: str, by_api: bool):
        super().__init__(message)
        self.status, self.by_api = status, by_api


class TryAgainError(Exception):
    """An answer worth another try."""


class Kube:
    """The Kubernetes API at `url`, in one namespace.

    Args:
        identity: a directory with `token` and, for https, `ca.crt`.
        patience_s: how long an API that doesn't answer is asked again; it may be away for a while (an upgrade).
    """

    def __init__(self, url: str, namespace: str, identity: pathlib.Path = IDENTITY, patience_s: float = PATIENCE_S):
        self.url, self.namespace, self.identity, self.patience_s = url.rstrip("/"), namespace, identity, patience_s
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy for the outside world doesn't lead here

    def get(self, group: str, path: str, **query: Any) -> Any:
        """The object at `path` below the namespace's; `group` begins as CORE does."""
        return self._ask("GET", group, path, query)

    def log(self, pod: str, **query: Any) -> str:
        """A pod's log, asked for once; empty if it can't be had now.

        The API fetches it from the pod's machine, and answers 500 if that is gone: no reason to wait.
        """
        try:
            return str(self._once("GET", self._url(CORE, f"pods/{pod}/log"), query, None))
        except (ApiRefusedError, TryAgainError, requests.RequestException):
            return ""

    def create(self, group: str, collection: str, thing: dict[str, Any]) -> Any:
        """Creates an object."""
        return self._ask("POST", group, collection, {}, thing)

    def delete(self, group: str, path: str) -> None:
        """Deletes an object after all that it owns; one that is gone already is no error."""
        try:
            self._ask("DELETE", group, path, {"propagationPolicy": "Foreground"})
        except ApiRefusedError as refused:
            if refused.status != 404:
                raise

    def _ask(self, method: str, group: str, path: str, query: dict[str, Any], body: Any = None) -> Any:
        try:
            return tenacity.Retrying(
                # All of requests' own: an answer that ends in its middle is no ConnectionError there.
                retry=tenacity.retry_if_exception_type((TryAgainError, requests.RequestException)),
                stop=tenacity.stop_after_delay(self.patience_s),
                wait=tenacity.wait_random_exponential(multiplier=min(1.0, self.patience_s / 10), max=20),
                reraise=True,
            )(self._once, method, self._url(group, path), query, body)
        except (TryAgainError, requests.RequestException) as error:
            words = one_line(error, 200)
            raise PipelineError(
                f"expected the Kubernetes API at {self.url} to answer, received nothing of use for "
                f"{self.patience_s:.0f} s: {words}; check the cluster, and the network policies of the run's pods"
            ) from None

    def _url(self, group: str, path: str) -> str:
        return f"{self.url}{group}/namespaces/{self.namespace}/{path}"

    def _once(self, method: str, url: str, query: dict[str, Any], body: Any) -> Any:
        # The token is read each time: Kubernetes replaces it every hour.
        token, authority = self.identity / "token", self.identity / "ca.crt"
        answer = self.session.request(
            method,
            url,
            params=query,
            json=body,
            headers={"Authorization": f"Bearer {token.read_text().strip()}"} if token.exists() else {},
            verify=str(authority) if authority.exists() else True,
            timeout=TIMEOUT_S,
        )
        is_json = "json" in answer.headers.get("Content-Type", "")
        if answer.status_code == 429 or answer.status_code >= 500:
            raise TryAgainError(f"{answer.status_code} {answer.text[:200]}")
        if not answer.ok:
            message = answer.json().get("message", "") if is_json else answer.text
            raise ApiRefusedError(answer.status_code, one_line(message, 300), is_json)
        return answer.json() if is_json else answer.text


def in_cluster(identity: pathlib.Path = IDENTITY) -> Kube:
    """The API of the cluster that this pod runs in.

    Raises:
        PipelineError: this is no pod of a cluster, or one without an identity.
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host:
        raise PipelineError("nodes: several nodes need a Kubernetes cluster, and this runs on none; give nodes=1")
    if not (identity / "namespace").exists():
        raise PipelineError(
            f"expected this pod's service account in {identity}, found none; submit with "
            "SERVICE_ACCOUNT=conv2d-runner, and leave its automountServiceAccountToken on"
        )
    host = f"[{host}]" if ":" in host else host
    return Kube(f"https://{host}:{port or 443}", (identity / "namespace").read_text().strip(), identity)
