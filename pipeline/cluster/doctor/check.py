"""What is examined, and one finding."""

import dataclasses
import functools
import os
from typing import TYPE_CHECKING, Literal

from pipeline.cluster.kubeflow import (
    ENDPOINT_VARIABLES,
    NAMESPACE_VARIABLE,
    Endpoint,
    connect,
    find_endpoint,
    first_set,
    has_cluster,
)
from pipeline.cluster.pods import kubernetes_api
from pipeline.parameters.cluster_options import placement_file
from pipeline.parameters.parameters import Configuration, Parameters, configure

if TYPE_CHECKING:
    import kfp
    from kubernetes import client


State = Literal["ok", "warning", "failed", "skipped"]


@dataclasses.dataclass(frozen=True)
class Check:
    """`found` says what is, `fix` what to do if that is not right; the name is given by examine.py."""

    name: str = dataclasses.field(default="", kw_only=True)
    state: State
    found: str
    fix: str = ""


ok = functools.partial(Check, "ok")
warning = functools.partial(Check, "warning")  # not right for everybody, or not certain
failed = functools.partial(Check, "failed")
skipped = functools.partial(Check, "skipped")


@dataclasses.dataclass(frozen=True)
class Setup:
    """What to check against, as the `doctor` command's options name it, and what leads to it."""

    url: str = ""
    namespace: str = ""
    profile: str = "quickstart"
    placement: str = ""
    bucket: str = ""
    webhook_secret: str = ""
    service_account: str = "conv2d-runner"
    settings: tuple[str, ...] = ()

    @property
    def names_a_cluster(self) -> bool:
        return bool(self.url or first_set(os.environ, ENDPOINT_VARIABLES)) or has_cluster()

    @property
    def pods_in(self) -> str:
        """The namespace that runs are in."""
        return self.namespace or os.environ.get(NAMESPACE_VARIABLE) or "kubeflow"

    @functools.cached_property
    def configuration(self) -> Configuration[Parameters]:
        lines = placement_file(self.placement) if self.placement else []
        return configure(self.profile, [*lines, *self.settings])

    @property
    def parameters(self) -> Parameters:
        return self.configuration.parameters

    @property
    def endpoint(self) -> Endpoint:
        return find_endpoint(self.url, self.namespace)

    @functools.cached_property
    def kubeflow(self) -> "kfp.Client":
        return connect(self.endpoint)

    @functools.cached_property
    def core(self) -> "client.CoreV1Api":
        """The API of the cluster of the kubeconfig, or of the pod this runs in."""
        from kubernetes import client

        return client.CoreV1Api(kubernetes_api())
