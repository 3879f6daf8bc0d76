"""The check of a run's parameters on a cluster, where whoever starts a run may give any.

python -m components.check.run COMPILED NAME VALUE [NAME VALUE ...]
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from components.check.settings import PlacementSettings, check_gpus
from components.core.catalog import DATASETS
from components.core.errors import PipelineError, one_line_errors
from components.core.settings import Settings, refuse_places_here
from components.core.start_place import is_pinned
from components.download.settings import DownloadSettings
from components.evaluate.settings import EvaluateSettings
from components.export.settings import ExportSettings
from components.preprocess.settings import PreprocessSettings
from components.train.settings import TrainSettings

STEPS: list[type[Settings]] = [
    DownloadSettings, PreprocessSettings, TrainSettings, EvaluateSettings, ExportSettings, PlacementSettings,
]  # fmt: skip


def check(values: Mapping[str, str], compiled: Mapping[str, Any]) -> None:
    """Reads the parameters of all steps as each of them will.

    Args:
        values: as Kubeflow writes them into an argument: 0.001, true.
        compiled: what images and tasks of the pipeline are made for: its `backend`, whether for `gpus` and several
            `nodes`, whether it `looks` at the model to start from, what a sweep's trials set, with their defaults:
            `tried`, and how the model of its data set is `called`.

    Raises:
        PipelineError: the first value that can't be.
    """
    for settings in STEPS:
        refuse_places_here(settings.among(values))
    train = TrainSettings.among(values)
    refuse_places_here(train, train.trained_places())
    check_gpus(train.gpus, train.nodes, values["accelerator"])
    train.refuse_classes_not_of(values["dataset"], values["source"])
    alone = not compiled["nodes"]
    # JAX's image has NVIDIA's libraries, whatever it is compiled for.
    on_cpus = alone and compiled["backend"] == "tensorflow" and not compiled["gpus"]
    dataset, name = compiled["called"]
    # A network and a recipe that fit pictures of one's own are chosen when it is compiled.
    known = bool(DATASETS[values["dataset"]].originals) or values["dataset"] == dataset
    seen = compiled["looks"] or is_pinned(train.start_from, train.start_sha256, train.start_version)
    for parameter, fits, expected in (
        ("dataset", known, dataset),
        ("nodes", train.nodes == 1 or not alone, "1"),
        ("backend", train.backend == compiled["backend"] or not alone, compiled["backend"]),
        ("gpus", int(train.gpus) == 0 or not on_cpus, "0"),
        ("start_from", seen, "none"),
        *((name, getattr(train, name) == default, default) for name, default in compiled["tried"].items()),
    ):
        if not fits:
            received = values[parameter]
            again = "GRID=" if parameter in compiled["tried"] else f"{parameter.upper()}={received}"
            raise PipelineError(
                f"{parameter}: expected {expected}, for which this pipeline was compiled, received {received}; compile "
                f"it with {again}"
            )
    if values["dataset"] != dataset and values["model_name"] == name:
        raise PipelineError(
            f"model_name: expected one for dataset={values['dataset']}, received {name}, that of {dataset}, for which "
            "this pipeline was compiled; give model_name, and min_accuracy"
        )


if __name__ == "__main__":
    with one_line_errors():
        check(dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True)), json.loads(sys.argv[1]))
        print("every step can take its parameters", flush=True)
