"""A small cluster to examine, and a check of it."""

from pipeline.cluster.doctor import kubernetes_side, room, workloads
from pipeline.cluster.doctor.check import Check, Setup
from pipeline.cluster.doctor.examine import guarded

TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
TOLERATION = '[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]'


def node(name: str, gpus: int = 0, labels: dict | None = None, taints: list | None = None) -> dict:
    allocatable = {"cpu": "8", "memory": "32Gi", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": allocatable},
    }


def check(name: str, *settings: str, webhook_secret: str = "") -> Check:
    setup = Setup(settings=settings, webhook_secret=webhook_secret)
    return guarded(name, (kubernetes_side.CHECKS | room.CHECKS | workloads.CHECKS)[name], setup)
