"""Which task runs where: image, CPU, memory, time limit.

KFP's local runners ignore all of it but the image.
"""
import dataclasses

from kfp import dsl


@dataclasses.dataclass(frozen=True)
class Place:
    """What one task gets on a cluster. Memory in Kubernetes notation."""

    cpu: str
    memory: str


# Requests equal limits, so that a node that takes the pod also keeps it.
PLACES = {
    "download": Place(cpu="1", memory="1Gi"),
    "preprocess": Place(cpu="2", memory="2Gi"),
    "train": Place(cpu="2", memory="6Gi"),
    "evaluate": Place(cpu="2", memory="4Gi"),
    "export": Place(cpu="2", memory="4Gi"),
}


def place(task: dsl.PipelineTask, name: str, image: str) -> None:
    """Gives a task its image and its share of a node."""
    where = PLACES[name]
    task.set_container_image(image)
    task.set_cpu_request(where.cpu).set_cpu_limit(where.cpu)
    task.set_memory_request(where.memory).set_memory_limit(where.memory)
