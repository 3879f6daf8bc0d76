"""Check: validates a run's parameters on a cluster, where anyone who starts a run may type any value.

python -m components.check.run COMPILED NAME VALUE [NAME VALUE ...]
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from components.check.settings import Parameters, check_gpus
from components.core.catalog import DATASETS
from components.core.errors import PipelineError, one_line_errors, without_secrets
from components.core.settings import refuse_places_here
from components.core.start_place import is_pinned


def check(values: Mapping[str, str], compiled: Mapping[str, Any]) -> None:
    """Reads the parameters of all steps as each of them will.

    Args:
        values: as Kubeflow writes them into an argument: 0.001, true.
        compiled: what images and tasks of the pipeline are made for: its `backend`, whether for `gpus` and several
            `nodes`, whether it `looks` at the model to start from, what a sweep's trials set, with their defaults:
            `tried`, and how the model is `called`, with its data set, and its source if the name follows from that.

    Raises:
        PipelineError: the first value that can't be.
    """
    given = Parameters.checked(**values)
    refuse_places_here(given, given.trained_places())
    check_gpus(given.gpus, given.nodes, given.accelerator)
    given.refuse_classes_not_of(given.dataset, given.source)
    alone = not compiled["nodes"]
    # JAX's image has NVIDIA's libraries, whatever it is compiled for.
    on_cpus = alone and compiled["backend"] == "tensorflow" and not compiled["gpus"]
    name, dataset, source = compiled["called"]
    # A network and a recipe that fit pictures of one's own are chosen when it is compiled.
    known = bool(DATASETS[given.dataset].originals) or given.dataset == dataset
    seen = compiled["looks"] or is_pinned(given.start_from, given.start_sha256, given.start_version)
    for parameter, fits, expected in (
        ("dataset", known, dataset),
        ("nodes", given.nodes == 1 or not alone, "1"),
        ("backend", given.backend == compiled["backend"] or not alone, compiled["backend"]),
        ("gpus", int(given.gpus) == 0 or not on_cpus, "0"),
        ("start_from", seen, "none"),
        *((name, getattr(given, name) == default, default) for name, default in compiled["tried"].items()),
    ):
        if not fits:
            received = values[parameter]
            again = "GRID=" if parameter in compiled["tried"] else f"{parameter.upper()}={received}"
            raise PipelineError(
                f"{parameter}: expected {expected}, for which this pipeline was compiled, received {received}; compile "
                f"it with {again}"
            )
    if given.model_name == name and given.dataset != dataset:
        raise PipelineError(
            f"model_name: expected one for dataset={given.dataset}, received {name}, that of {dataset}, for which this "
            "pipeline was compiled; give model_name, and min_accuracy"
        )
    if given.model_name == name and source not in ("", given.source):
        raise PipelineError(
            f"model_name: expected one for source={without_secrets(given.source)}, received {name}, that of {source}, "
            f"for which this pipeline was compiled; give model_name, or compile it with MODEL_NAME={name} if it is one"
        )


if __name__ == "__main__":
    with one_line_errors():
        check(dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True)), json.loads(sys.argv[1]))
        print("every step can take its parameters", flush=True)
