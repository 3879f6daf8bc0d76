"""The training pipeline. Read it from top to bottom: it is the story of a model."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.choose.component import choose
from components.download.component import download
from components.evaluate.component import evaluate
from components.export.component import export
from components.preprocess.component import preprocess
from components.train.component import train
from pipeline.parameters.parameters import Parameters
from pipeline.parameters.placement_settings import ClusterOptions
from pipeline.parameters.sweep import Sweep
from pipeline.placement import GpuNodes, Placement, Webhook

STEPS = ("download", "preprocess", "train", "evaluate", "export")
SWEEP_STEPS = ("download", "preprocess", "train", "choose", "evaluate", "export")


def training_pipeline(
    defaults: Parameters,
    image: Callable[[str], str],
    cluster: ClusterOptions | None = None,
    sweep: Sweep | None = None,
) -> BaseComponent:
    """Builds the pipeline.

    Args:
        defaults: the values its parameters have where a run gives none.
        image: the container image of a step, by the step's name.
        cluster: what is fixed about a cluster at compile time; None: the pipeline is for kfp.local.
        sweep: what to try where the best of several trainings is wanted.

    Returns:
        A KFP pipeline: call it to run it under kfp.local, or hand it to the KFP compiler.
    """

    @dsl.pipeline(
        name="sweep" if sweep else "training",
        display_name="Image classifier sweep" if sweep else "Image classifier training",
        description="Download pictures, preprocess them, train a Conv2D classifier"
        f"{' several times, choose the best' if sweep else ''}, evaluate it, "
        "export it if it is good enough and better than the champion.",
    )
    def training(
        # What to learn from.
        dataset: str = defaults.dataset,
        source: str = defaults.source,
        source_sha256: str = defaults.source_sha256,
        mirror: str = defaults.mirror,
        source_version: str = defaults.source_version,
        # How the pictures are prepared and split.
        image_size: str = defaults.image_size,
        resize: str = defaults.resize,
        color: str = defaults.color,
        validation: str = defaults.validation,
        validation_split: float = defaults.validation_split,
        test_split: float = defaults.test_split,
        max_unreadable: float = defaults.max_unreadable,
        # What is trained, and how.
        architecture: str = defaults.architecture,
        epochs: int = defaults.epochs,
        batch_size: int = defaults.batch_size,
        learning_rate: float = defaults.learning_rate,
        schedule: str = defaults.schedule,
        warmup: float = defaults.warmup,
        optimizer: str = defaults.optimizer,
        label_smoothing: float = defaults.label_smoothing,
        augment_flip: bool = defaults.augment_flip,
        augment_shift: int = defaults.augment_shift,
        average_mirrored: bool = defaults.average_mirrored,
        precision: str = defaults.precision,
        early_stopping_patience: int = defaults.early_stopping_patience,
        deterministic: bool = defaults.deterministic,
        gpus: str = defaults.gpus,
        nodes: int = defaults.nodes,
        memory_mb: int = defaults.memory_mb,
        checkpoints: str = defaults.checkpoints,
        tensorboard_uri: str = defaults.tensorboard_uri,
        histograms: int = defaults.histograms,
        profile_steps: str = defaults.profile_steps,
        verbose: str = defaults.verbose,
        seed: int = defaults.seed,
        # How it must behave, when it is exported, under which name, and as what.
        behaviour: str = defaults.behaviour,
        behaviour_kept: float = defaults.behaviour_kept,
        behaviour_certain: float = defaults.behaviour_certain,
        behaviour_mirrored: str = defaults.behaviour_mirrored,
        min_accuracy: float = defaults.min_accuracy,
        gate: str = defaults.gate,
        min_improvement: float = defaults.min_improvement,
        significance: float = defaults.significance,
        model_name: str = defaults.model_name,
        model_version: int = defaults.model_version,
        publish_uri: str = defaults.publish_uri,
        formats: str = defaults.formats,
        int8_tolerance: float = defaults.int8_tolerance,
        proof_pictures: int = defaults.proof_pictures,
        # Where it is trained, on a cluster.
        train_cpu: str = defaults.train_cpu,
        train_memory: str = defaults.train_memory,
        accelerator: str = defaults.accelerator,
        node_selector: dict = defaults.node_selector,
        tolerations: list = defaults.tolerations,
        node_affinity: dict = defaults.node_affinity,
    ):
        where = GpuNodes(gpus, accelerator, node_selector, tolerations, node_affinity, train_cpu, train_memory)
        placement = Placement(image, cluster, where, on_nodes=defaults.nodes > 1)
        place, webhook = placement.place, Webhook(placement)

        with webhook.on_failure():
            fetched = download(
                dataset=dataset,
                source=source,
                source_sha256=source_sha256,
                mirror=mirror,
                source_version=source_version,
            ).set_display_name("Download")
            place(fetched, "download")

            prepared = preprocess(
                raw=fetched.outputs["raw"],
                image_size=image_size,
                resize=resize,
                color=color,
                validation=validation,
                validation_split=validation_split,
                test_split=test_split,
                max_unreadable=max_unreadable,
                seed=seed,
            ).set_display_name("Preprocess")
            place(prepared, "preprocess")

            with each_trial(sweep) as trial:
                fitted = train(
                    dataset=prepared.outputs["dataset"],
                    architecture=architecture,
                    epochs=epochs,
                    batch_size=batch_size,
                    learning_rate=learning_rate,
                    schedule=schedule,
                    warmup=warmup,
                    optimizer=optimizer,
                    label_smoothing=label_smoothing,
                    augment_flip=augment_flip,
                    augment_shift=augment_shift,
                    average_mirrored=average_mirrored,
                    precision=precision,
                    early_stopping_patience=early_stopping_patience,
                    deterministic=deterministic,
                    gpus=gpus,
                    nodes=nodes,
                    memory_mb=memory_mb,
                    checkpoints=checkpoints,
                    tensorboard_uri=tensorboard_uri,
                    histograms=histograms,
                    profile_steps=profile_steps,
                    verbose=verbose,
                    seed=seed,
                    trial=trial,
                ).set_display_name("Train")
                place(fitted, "train")
            model = fitted.outputs["model"]

            if sweep:
                chosen = choose(models=dsl.Collected(model)).set_display_name("Choose")
                place(chosen, "choose")
                model = chosen.outputs["model"]

            measured = evaluate(
                dataset=prepared.outputs["dataset"],
                model=model,
                behaviour=behaviour,
                behaviour_kept=behaviour_kept,
                behaviour_certain=behaviour_certain,
                behaviour_mirrored=behaviour_mirrored,
                min_accuracy=min_accuracy,
                gate=gate,
                min_improvement=min_improvement,
                significance=significance,
                model_name=model_name,
                publish_uri=publish_uri,
            ).set_display_name("Evaluate")
            # The champion may be another one tomorrow: with a registry, the decision is taken anew in every run.
            measured.set_caching_options(not defaults.publish_uri)
            place(measured, "evaluate")

            with dsl.If(measured.outputs["Output"] == "export", name="Passes the gate"):
                exported = export(
                    dataset=prepared.outputs["dataset"],
                    model=model,
                    evaluation=measured.outputs["evaluation"],
                    model_name=model_name,
                    model_version=model_version,
                    publish_uri=publish_uri,
                    formats=formats,
                    int8_tolerance=int8_tolerance,
                    proof_pictures=proof_pictures,
                ).set_display_name("Export")
                place(exported, "export")
                webhook.tell(exported.outputs["Output"], measured.outputs["evaluation"])
            webhook.tell_otherwise("not exported", measured.outputs["evaluation"])

    return training


@contextlib.contextmanager
def each_trial(sweep: Sweep | None) -> Iterator[Any]:
    """Runs the steps in its body once a trial, each with what that trial changes; without a sweep once, as they are."""
    if sweep is None:
        yield ""
        return
    with dsl.ParallelFor(list(sweep.trials), name="Trials", parallelism=sweep.parallel) as trial:
        yield trial
