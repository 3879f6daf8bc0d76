import pytest

from components.core.errors import PipelineError
from components.train.network.architecture import EXAMPLE
from components.train.network.augmentation import parse_augmentation
from components.train.optimizer_spec import OPTIMIZERS, parse_optimizer
from components.train.settings import TrainSettings


def test_the_defaults_are_the_articles() -> None:
    settings = TrainSettings()
    assert (settings.architecture, settings.optimizer, settings.learning_rate) == ("article", "adam", 0.001)
    assert (settings.epochs, settings.batch_size, settings.early_stopping_patience) == (25, 50, 0)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("epochs", 0, "epochs: input should be greater than or equal to 1; received 0"),
        ("epochs", 10**15, "epochs: input should be less than or equal to 1000000; received 1000000000000000"),
        ("batch_size", -1, "batch_size: input should be greater than or equal to 1; received -1"),
        ("batch_size", "1" + 20 * "0", "batch_size: expected at most 9,007,199,254,740,992; received '1000"),
        ("seed", -(2**60), "seed: "),
        ("learning_rate", float("nan"), "learning_rate: "),
        ("learning_rate", float("inf"), "learning_rate: "),
        ("learning_rate", 0, "learning_rate: input should be greater than 0; received 0"),
        ("optimizer", "adamm", "optimizer: unknown optimizer 'adamm'; did you mean 'adam'?"),
        (
            "optimizer",
            "{Muon: {exclude_layers: conv2d}}",
            "optimizer: exclude_layers: expected a list of names, received",
        ),
        (
            "optimizer",
            "{SGD: {learning_rate: 1}}",
            "optimizer: expected the learning rate as the parameter learning_rate",
        ),
        ("verbose", "3", "verbose: input should be 'auto', '0', '1' or '2'; received '3'"),
        ("gpus", "two", "gpus: expected a number of GPUs, or auto; received 'two'"),
        ("architecture", "artikle", "architecture: unknown architecture 'artikle'; did you mean 'article'?"),
        ("epoch", 3, "unknown parameter 'epoch'; did you mean 'epochs'?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name: str, value: object, said: str) -> None:
    with pytest.raises(PipelineError) as refused:
        TrainSettings.checked(**{name: value})
    assert str(refused.value).startswith(said)


def test_an_optimizer_that_divides_by_the_rate_takes_no_schedule_that_ends_at_0() -> None:
    assert TrainSettings.checked(optimizer="ftrl", warmup=0.1).schedule == "constant"
    for schedule in ("linear", "cosine"):
        with pytest.raises(
            PipelineError, match="^schedule: expected constant with optimizer=ftrl, received " + schedule
        ):
            TrainSettings.checked(optimizer='{"Ftrl": {"beta": 0.1}}', schedule=schedule)


def test_an_architecture_that_is_none_is_told_in_one_sentence() -> None:
    with pytest.raises(PipelineError) as refused:
        TrainSettings.checked(architecture="resnet")
    assert str(refused.value) == (
        "architecture: unknown architecture 'resnet'; known: article, deep, fast, wide, or a list of layers such as "
        f"{EXAMPLE}"
    )
    with pytest.raises(PipelineError, match="unknown architecture 'artikle'; did you mean 'article'[?]$"):
        TrainSettings.checked(architecture="artikle")


def test_numbers_with_an_exponent_are_numbers_in_json_and_in_yaml() -> None:
    for text in ('{"SGD": {"weight_decay": 5e-4}}', "{SGD: {weight_decay: 5e-4}}"):
        assert parse_optimizer(text) == ("sgd", {"weight_decay": 0.0005})
    for text in ('[{"RandomZoom": {"height_factor": 1e-1}}]', "[{RandomZoom: {height_factor: 1e-1}}]"):
        assert parse_augmentation(text)[0].arguments == {"height_factor": 0.1}


def test_the_known_optimizers_are_kerass() -> None:
    import keras

    helpers = {"multioptimizer", "lossscaleoptimizer", "optimizer", "optimizermap"}
    refused = {"schedulefreeadamw"}
    classes = {name.lower() for name, value in vars(keras.optimizers).items() if isinstance(value, type)}
    assert set(OPTIMIZERS) == classes - helpers - refused
    with pytest.raises(PipelineError, match="optimizer: ScheduleFreeAdamW trains an average .* try AdamW"):
        parse_optimizer('{"ScheduleFreeAdamW": {"warmup_steps": 5}}')


def test_several_gpus_by_tensorflow_are_refused_by_name() -> None:
    with pytest.raises(
        PipelineError, match="^gpus: expected at most 1 with backend=tensorflow, received 2; use backend=jax"
    ):
        TrainSettings.checked(gpus="2")
    assert TrainSettings.checked(gpus="2", backend="jax").gpus == "2"
    assert TrainSettings.checked(gpus="2", nodes=2).nodes == 2
