"""The compiled pipelines as golden files, by which a change of them is seen in review: `make golden` renews them.

Left out is what stands elsewhere: the tags of the images, the source of the components (their component.py), and of a
sweep all that a training has too.
"""

import functools
import pathlib
import re
from typing import Any

import yaml

from pipeline.parameters.pipeline import Pipeline
from pipeline.parameters.prediction import configure_prediction
from tests.pipeline.pipelines import documents, training

GRID = "learning_rate=0.001,0.003 batch_size=50,250"
KINDS = ("training", "sweep", "prediction")


@functools.cache
def compiled(kind: str) -> list[dict]:
    """A pipeline of that kind, and what Kubernetes is told beside it. Nobody is to change them."""
    if kind == "prediction":
        return documents(Pipeline(configure_prediction((), environment={})))
    return documents(training(grid=GRID if kind == "sweep" else ""))


def golden(kind: str) -> pathlib.Path:
    """The file."""
    return pathlib.Path(__file__).with_name(f"{kind}.golden.yaml")


def shown(kind: str) -> str:
    """What the file is to hold."""
    found = [_without_source(document) for document in compiled(kind)]
    if kind == "sweep":
        usual = [_without_source(document) for document in compiled("training")]
        found = [_beyond(*pair) for pair in zip(found, usual, strict=True)]
    text = yaml.safe_dump_all(found, width=120, default_flow_style=None)
    return re.sub(r"(image: \S+:[a-z]+(?:-gpu|-jax)?)-[0-9a-f]{12}", r"\1-<hash>", text)


def _without_source(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_source(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: each for name, each in value.items() if name != "command" or each[0] != "sh"}
    return {name: _without_source(each) for name, each in kept.items()}


def _beyond(found: dict, usual: dict) -> dict:
    """What is not the same in `usual`; null: what is there alone."""
    return {
        name: _beyond(found[name], usual[name])
        if isinstance(found.get(name), dict) and isinstance(usual.get(name), dict)
        else found.get(name)
        for name in {**usual, **found}
        if found.get(name) != usual.get(name)
    }


if __name__ == "__main__":
    for each in KINDS:
        golden(each).write_text(shown(each))
