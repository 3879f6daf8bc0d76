"""Evaluations to export from: of the small digits model, and of one trained in bfloat16."""

import pytest

from components.evaluate.run import evaluate
from components.evaluate.settings import EvaluateSettings


def evaluated(dataset: str, model: str, place, **settings) -> str:
    """Evaluates a model below `place` and gives the evaluation artifact's path."""
    paths = [str(place / name) for name in ("evaluation", "report", "board")]
    evaluate(EvaluateSettings(**settings), dataset, model, *paths)
    return paths[0]


@pytest.fixture(scope="session")
def evaluation(trained, tmp_path_factory) -> str:
    """Of the model `trained`."""
    return evaluated(trained.dataset, trained.model, tmp_path_factory.mktemp("evaluated"))
