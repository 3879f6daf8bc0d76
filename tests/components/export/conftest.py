"""Evaluations to export from: of the small digits model, and of one trained in bfloat16."""

import pytest

from components.evaluate.run import evaluate
from components.evaluate.settings import EvaluateSettings
from components.export.run import export
from components.export.settings import ExportSettings


def evaluated(dataset: str, model: str, place, **settings) -> str:
    """Evaluates a model below `place` and gives the evaluation artifact's path."""
    paths = [str(place / name) for name in ("evaluation", "report", "board")]
    evaluate(EvaluateSettings(**settings), dataset, model, *paths)
    return paths[0]


@pytest.fixture(scope="session")
def evaluation(trained, tmp_path_factory) -> str:
    """Of the model `trained`."""
    return evaluated(trained.dataset, trained.model, tmp_path_factory.mktemp("evaluated"))


@pytest.fixture(scope="session")
def exported(trained, evaluation, tmp_path_factory):
    """An export of `trained` in the default formats: its manifest, and where it lies."""
    place = tmp_path_factory.mktemp("default") / "exported"
    return export(ExportSettings(model_version=7), trained.dataset, trained.model, evaluation, str(place)), place
