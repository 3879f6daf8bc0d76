"""The set-up that is examined."""

import dataclasses
import functools
import os

from pipeline.cluster.kubeflow import ENDPOINT_VARIABLES, first_set, has_cluster
from pipeline.parameters.cluster_options import placement_file
from pipeline.parameters.parameters import Parameters, configure


@dataclasses.dataclass(frozen=True)
class Setup:
    """What to check against, as the `doctor` command's options name it."""

    url: str = ""
    namespace: str = ""
    profile: str = "quickstart"
    placement: str = ""
    bucket: str = ""
    tensorboard: str = ""
    webhook_secret: str = ""
    service_account: str = "conv2d-runner"
    settings: tuple[str, ...] = ()

    @property
    def names_a_cluster(self) -> bool:
        """Whether there is an endpoint or a kubeconfig."""
        return bool(self.url or first_set(os.environ, ENDPOINT_VARIABLES)) or has_cluster()

    @functools.cached_property
    def parameters(self) -> Parameters:
        """The parameters of the run, for its GPUs, node selector and tolerations."""
        lines = placement_file(self.placement) if self.placement else []
        return configure(self.profile, [*lines, *self.settings]).parameters
