"""What a user chooses about a cluster when a pipeline is compiled, and files of placement settings."""

import dataclasses
import pathlib
import re
from typing import Literal

from components.check.settings import LABEL_VALUE
from components.core.errors import PipelineError
from components.core.storage import location


@dataclasses.dataclass(frozen=True)
class ClusterOptions:
    """The choices that are fixed when the pipeline is compiled for a cluster, as commands/options.py names them.

    Without a webhook's secret nobody is told, and no pod is started for it. Of the proxy of conv2d-site and that which
    Kubeflow's API server hands on itself a pod has one: with both Kubernetes refuses it.
    """

    evaluate_on: Literal["cpu", "gpu"] = "cpu"
    queue: str = ""
    priority: str = ""
    webhook_secret: str = ""
    cached: bool = True
    digests: bool = False
    proxy: Literal["site", "kubeflow"] = "site"

    def __post_init__(self) -> None:
        for option in ("queue", "priority"):
            if not LABEL_VALUE.fullmatch(getattr(self, option)):
                raise PipelineError(f"expected a Kubernetes name for the {option}, received {getattr(self, option)!r}")
        if not re.fullmatch(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?", self.webhook_secret):
            raise PipelineError(
                "expected the name of a Kubernetes secret for the webhook, which holds its URL: "
                "kubectl create secret generic conv2d-webhook --from-literal=url=..."
            )


def placement_file(path: str | pathlib.Path) -> list[str]:
    """The NAME=VALUE settings of a file of them, such as k8s/overlays/gke/runs.env; `#` begins a comment line.

    The file is written so that `kfp run create` takes its lines too, which reads values as JSON: there a GPU count is
    "1" in quotes, since KFP refuses a number for text. Here the quotes are taken off.

    Raises:
        PipelineError: there is no such file, or a line that is no setting.
    """
    try:
        lines = location.local_path(str(path)).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise PipelineError(
            f"expected a file of NAME=VALUE lines, received {str(path)!r}, which can't be read"
        ) from None
    settings = []
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            quoted = re.fullmatch(r'"([^"\\]*)"', value)
            settings.append(f"{name}={quoted[1]}" if quoted else line)
    return settings
