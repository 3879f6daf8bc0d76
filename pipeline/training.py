"""The training pipeline as a graph of steps. Read it from top to bottom: it follows a model from data to export."""

import contextlib
import inspect
import json
from collections.abc import Callable, Iterator
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.check.component import COMPILED, check
from components.choose.component import choose
from components.core.settings import Settings
from components.core.start_place import is_pinned
from components.download.component import download, look
from components.download.look import can_change
from components.download.settings import DownloadSettings
from components.evaluate.component import evaluate
from components.evaluate.settings import EvaluateSettings
from components.export.component import export
from components.export.settings import ExportSettings
from components.preprocess.component import preprocess
from components.preprocess.settings import PreprocessSettings
from components.train.component import train
from components.train.settings import TrainSettings
from pipeline.parameters.cluster_options import ClusterOptions
from pipeline.parameters.parameters import Parameters
from pipeline.parameters.sweep import Sweep
from pipeline.placement import Placement, told_at_its_end

STEPS = ("download", "preprocess", "train", "evaluate", "export")
SWEEP_STEPS = ("download", "preprocess", "train", "choose", "evaluate", "export")


def training_pipeline(
    defaults: Parameters,
    image: Callable[[str], str],
    cluster: ClusterOptions | None = None,
    sweep: Sweep | None = None,
    of_source: bool = False,
) -> BaseComponent:
    """Builds the pipeline. Its parameters are those of Parameters.

    Args:
        defaults: the values that the parameters have if a run gives none.
        image: the container image of a step, by the step's name.
        cluster: what is fixed about a cluster at compile time; None: the pipeline is for kfp.local.
        sweep: what to try if the best of several trainings is wanted.
        of_source: whether the model's name follows from the source.
    """

    def training(*channels: Any) -> None:
        values = dict(zip(Parameters.model_fields, channels, strict=True))

        def of(settings: type[Settings]) -> dict[str, Any]:
            return {name: values[name] for name in settings.model_fields}

        placement = Placement(image, cluster, values, on_nodes=defaults.nodes > 1)
        place = placement.place

        with told_at_its_end(placement):
            if cluster:
                # Whoever starts a run by hand may give it anything, and export would refuse its part after hours.
                given = {name: values[name] for name in check.component_spec.inputs if name != COMPILED}
                fixed = compiled_for(defaults, sweep, of_source)
                checked = check(**{COMPILED: fixed}, **given).set_display_name("Check")
                place(checked, "check")

            if is_looked_at(defaults):
                # Not cached: what follows is, as long as it all looks the same. A local run has looked already.
                start = ("start_from", "start_sha256", "start_version", "publish_uri")
                seen = {name: values[name] for name in ("source", "source_version", "labels", *start)}
                looked = look(**seen if can_change(defaults) else {**seen, "source": ""})
                place(looked.set_display_name("Look").set_caching_options(False), "look")
                values.update(looked.outputs)

            fetched = download(**of(DownloadSettings)).set_display_name("Download")
            place(fetched, "download")

            prepared = preprocess(raw=fetched.outputs["raw"], **of(PreprocessSettings)).set_display_name("Preprocess")
            place(prepared, "preprocess")
            dataset = prepared.outputs["dataset"]
            if cluster:
                prepared.after(checked)

            with each_trial(sweep) as trial:
                fitted = train(dataset=dataset, trial=trial, **of(TrainSettings)).set_display_name("Train")
                place(fitted, "train")
            model = fitted.outputs["model"]

            if sweep:
                chosen = choose(models=dsl.Collected(model)).set_display_name("Choose")
                place(chosen, "choose")
                model = chosen.outputs["model"]

            measured = evaluate(dataset=dataset, model=model, **of(EvaluateSettings)).set_display_name("Evaluate")
            # The champion may be another one tomorrow: with a registry, the decision is taken anew in every run. A
            # cluster's run may name one when it starts, so there it always is; that costs evaluate and export again.
            measured.set_caching_options(cluster is None and not defaults.publish_uri)
            place(measured, "evaluate")
            evaluation = measured.outputs["evaluation"]

            # It exports nothing if the gate said no: a condition here would cost each run a pod more.
            exported = export(dataset=dataset, model=model, evaluation=evaluation, **of(ExportSettings))
            place(exported.set_display_name("Export"), "export")

    function: Any = training
    function.__signature__ = signature(defaults)
    return dsl.pipeline(
        name="sweep" if sweep else "training",
        display_name="Image classifier sweep" if sweep else "Image classifier training",
        description="Download pictures, preprocess them, train a Conv2D classifier"
        f"{' several times, choose the best' if sweep else ''}, evaluate it, "
        "export it if it is good enough and better than the champion.",
    )(training)


def is_looked_at(parameters: Parameters) -> bool:
    """Whether a look is taken when a run begins: at the source, or at the model to start from."""
    named = (parameters.start_from, parameters.start_sha256, parameters.start_version)
    return can_change(parameters) or not is_pinned(*named)


def compiled_for(defaults: Parameters, sweep: Sweep | None, of_source: bool = False) -> str:
    """What is fixed in a compiled file, as JSON: check refuses a run that is given another."""
    return json.dumps(
        {
            "backend": defaults.backend,
            "gpus": int(defaults.gpus) > 0,
            "nodes": defaults.nodes > 1,
            "looks": is_looked_at(defaults),
            "called": [defaults.model_name, defaults.dataset, defaults.source if of_source else ""],
            "tried": {name: getattr(defaults, name) for name in (sweep.names if sweep else ())},
        }
    )


@contextlib.contextmanager
def each_trial(sweep: Sweep | None) -> Iterator[Any]:
    """Runs the steps in its body once a trial, each with what that trial changes; without a sweep once, as they are."""
    if sweep is None:
        yield ""
        return
    with dsl.ParallelFor(list(sweep.trials), name="Trials", parallelism=sweep.parallel) as trial:
        yield trial


def signature(defaults: Settings) -> inspect.Signature:
    """The parameters of a pipeline as KFP reads them: each with its default, and that value's type."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [inspect.Parameter(name, kind, default=value, annotation=type(value)) for name, value in defaults]
    )
