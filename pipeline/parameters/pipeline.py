"""What is to be compiled for a cluster."""

import dataclasses
import hashlib
import re

from pipeline.parameters.cluster_options import ClusterOptions
from pipeline.parameters.parameters import Configuration, Parameters
from pipeline.parameters.prediction import PredictionParameters
from pipeline.parameters.sweep import Sweep

# Kubernetes' names have 253 characters, those of the versions and of what KFP makes of them among them.
LONGEST = 45


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """What is to be compiled: a training, a sweep or a prediction."""

    configuration: Configuration
    cluster: ClusterOptions = ClusterOptions()
    sweep: Sweep | None = None

    @property
    def defaults(self) -> Parameters | PredictionParameters:
        """The values that the parameters have if a run gives none."""
        return self.configuration.parameters

    @property
    def kind(self) -> str:
        if isinstance(self.defaults, PredictionParameters):
            return "prediction"
        return "sweep" if self.sweep else "training"

    @property
    def name(self) -> str:
        """The name that KFP finds it by. A sweep is a pipeline of its own, since it takes other parameters."""
        plain = name_for_kubernetes(self.configuration.title)
        return f"{plain}-sweep" if self.sweep else plain


def name_for_kubernetes(title: str) -> str:
    """A name of digits, letters and dashes for what a user named.

    If letters are lost by that, or it would be too long, eight digits of the title's hash keep two pipelines apart.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    if len(plain) > LONGEST or not title.isascii() or not plain:
        digest = hashlib.sha256(title.encode()).hexdigest()[:8]
        return f"{plain[:LONGEST].strip('-') or 'training'}-{digest}"
    return plain
