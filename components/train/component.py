"""The KFP face of train."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="train", install_kfp_package=False)
def train(
    dataset: Input[Dataset],
    model: Output[Model],
    tensorboard: Output[Artifact],
    metrics: Output[Metrics],
    architecture: str,
    start_from: str,
    start_sha256: str,
    start_version: str,
    freeze: str,
    freeze_epochs: int,
    unfreeze_rate: float,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    schedule: str,
    warmup: float,
    optimizer: str,
    label_smoothing: float,
    augment_flip: bool,
    augment_shift: int,
    augmentation: str,
    class_weight: str,
    average_mirrored: bool,
    backend: str,
    precision: str,
    gate_metric: str,
    early_stopping_patience: int,
    end_below: str,
    deterministic: bool,
    gpus: str,
    nodes: int,
    checkpoints: str,
    tensorboard_uri: str,
    histograms: int,
    verbose: str,
    seed: int,
    trial: str,
):
    """Fits the convolutional network and keeps the weights that did best on the validation pictures.

    As a trial of a sweep, with some settings changed, `learning_rate=0.003 batch_size=50`, it also succeeds where
    training fails, and says why in the model artifact.
    """
    given = dict(locals())
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.core.kfp_metrics import log_metrics
        from components.train.nodes.launch import is_for_nodes, train_on_nodes
        from components.train.run import train
        from components.train.settings import TrainSettings
        from components.train.start import refuse_unseen_start
        from components.train.trial import run_trial

        settings = TrainSettings.among(given)
        refuse_unseen_start(settings)
        paths = dataset.path, model.path, tensorboard.path
        stored = {"tensorboard_artifact": tensorboard.uri, "keep_checkpoint": "://" in model.uri}
        if trial:
            result = run_trial(settings, trial, *paths, **stored)
        elif is_for_nodes(settings):
            result = train_on_nodes(
                settings, dataset.uri, model.path, model.uri, tensorboard.path, tensorboard_uri=tensorboard.uri
            )
        else:
            result = train(settings, *paths, **stored)
        # KFP shows numbers only; without a validation split there are no figures of it.
        figures = result.model_dump(exclude={"device", "precision"}, exclude_none=True) if result else {}
        log_metrics(metrics, figures)
