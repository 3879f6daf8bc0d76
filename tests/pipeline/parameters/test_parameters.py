"""Where parameter values come from, and which are refused."""

import json

import pytest
from click.testing import CliRunner

from components.core.catalog import DATASETS
from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.commands.main import main
from pipeline.parameters.parameters import HOST_VARIABLES, Parameters, configure


def test_precedence_is_command_line_environment_profile_default(tmp_path):
    profile = tmp_path / "mine.yaml"
    profile.write_text("dataset: digits\nepochs: 2\nbatch_size: 3\nseed: 4\n")
    found = configure(str(profile), ["EPOCHS=20"], {"CONV2D_EPOCHS": "30", "CONV2D_BATCH_SIZE": "40", "HOME": "/x"})
    values = found.parameters
    assert (values.epochs, values.batch_size, values.seed, values.optimizer) == (20, 40, 4, "adam")
    assert [found.origins[n] for n in ("epochs", "batch_size", "seed", "optimizer")] == [
        "command line",
        "environment",
        f"profile {profile}",
        "default",
    ]


def test_kerass_own_variable_sets_the_backend():
    found = configure("quickstart", environment={"KERAS_BACKEND": "jax"})
    assert (found.parameters.backend, found.origins["backend"]) == ("jax", "environment")
    both = {"KERAS_BACKEND": "jax", "CONV2D_BACKEND": "tensorflow"}
    assert configure("quickstart", environment=both).parameters.backend == "tensorflow"
    assert configure("quickstart", ["BACKEND=tensorflow"], {"KERAS_BACKEND": "jax"}).parameters.backend == "tensorflow"
    with pytest.raises(PipelineError, match="^backend: .*received 'torch'"):
        configure("quickstart", environment={"KERAS_BACKEND": "torch"})


def test_the_cifar10_profile_is_the_articles_job():
    values = configure("cifar10", environment={}).parameters
    assert (values.dataset, values.architecture, values.optimizer) == ("cifar10", "article", "adam")
    assert (values.batch_size, values.epochs, values.validation_split) == (50, 25, 0.2)
    assert (values.validation, DATASETS["cifar10"].validation) == ("auto", "last")
    assert (values.learning_rate, values.precision) == (0.001, "float32")


def test_a_layer_list_in_a_profile_reaches_the_pipeline_as_text(tmp_path):
    profile = tmp_path / "layers.yaml"
    profile.write_text("dataset: digits\narchitecture:\n- Conv2D: {filters: 4, kernel_size: 3}\n- Flatten:\n")
    found = configure(str(profile), environment={}).parameters.architecture
    assert found == '[{"Conv2D": {"filters": 4, "kernel_size": 3}}, {"Flatten": null}]'


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["EPOCH=3"], "did you mean 'epochs'"),
        (["EPOCHS=0"], "epochs: "),
        (["EPOCHS=many"], "received 'many'"),
        (["BATCH_SIZE=-1"], "batch_size: "),
        (["VALIDATION_SPLIT=1.0"], "validation_split: "),
        (["LEARNING_RATE=nan"], "learning_rate: "),
        (["LEARNING_RATE=0"], "learning_rate: "),
        (["DATASET=cifar11"], "did you mean 'cifar1"),
        (["OPTIMIZER=adm"], "did you mean 'adam'"),
        (["ARCHITECTURE=artikle"], "did you mean 'article'"),
        (["MIN_ACCURACY=62"], "min_accuracy: "),
        (["DATASET=image_folder"], "source"),
        (["MODEL_NAME=../up"], "model_name: expected the like of classifier, "),
        (["epochs"], "expected NAME=VALUE"),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(settings, said):
    with pytest.raises(PipelineError) as error:
        configure("quickstart", settings, {})
    assert said in str(error.value)


def test_a_variable_that_is_no_parameter_is_read_by_somebody():
    """One that nobody reads would be swallowed: set, and of no effect."""
    sources = [path for top in ("pipeline", "components") for path in (ROOT / top).rglob("*.py")]
    code = "".join(path.read_text() for path in sources if path.name != "parameters.py")
    assert [name for name in HOST_VARIABLES if name not in code] == []


def test_an_unknown_environment_variable_is_refused():
    with pytest.raises(PipelineError, match="unknown parameter 'epoch' in environment; did you mean 'epochs'"):
        configure("quickstart", environment={"CONV2D_EPOCH": "3"})


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("quikstart", "did you mean 'quickstart'"),
        ("nowhere.yaml", "does not exist"),
        ("../profiles/quickstart", "unknown profile"),
    ],
)
def test_an_unknown_profile_names_the_nearest(profile, said):
    with pytest.raises(PipelineError, match=said):
        configure(profile, environment={})


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("behaviour: off", "behaviour", "off"),
        ("gpus: 1", "gpus", "1"),
        ("verbose: 0", "verbose", "0"),
        ("source_version: 007", "source_version", "007"),
        ("publish_uri: null", "publish_uri", ""),
        ("mirror: ~", "mirror", ""),
        ("source_version: 'null'", "source_version", "null"),
        ("augment_flip: yes", "augment_flip", True),
        ("learning_rate: 1e-3", "learning_rate", 0.001),
        ("validation_split: 0", "validation_split", 0.0),
        ("tolerations: [{key: gpu, operator: Exists}]", "tolerations", [{"key": "gpu", "operator": "Exists"}]),
        ("base: &base {epochs: 3}\n", None, None),
    ],
)
def test_a_profiles_words_are_taken_as_they_are_written(tmp_path, text, field, value):
    """YAML itself would make False, 1 and 0 of off, 1 and 0."""
    path = tmp_path / "own.yaml"
    path.write_text(text)
    if field is None:
        with pytest.raises(PipelineError, match="unknown parameter 'base'"):
            configure(str(path), environment={})
    else:
        assert getattr(configure(str(path), environment={}).parameters, field) == value


def test_names_and_numbers_of_a_profiles_tables_are_those_that_are_written(tmp_path):
    profile = tmp_path / "mine.yaml"
    profile.write_text("dataset: image_folder\nsource: gs://pets/p\nclass_weight: {no: 1e-3, 007: 2}\n")
    parameters = configure(str(profile), environment={}).parameters
    assert json.loads(parameters.class_weight) == {"no": 0.001, "007": 2}


def test_true_is_no_number(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("epochs: true\n")
    with pytest.raises(PipelineError, match="^epochs: .*received 'true'"):
        configure(str(path), environment={})


NO_PROFILES = ("- a\n- b", "a: [", "just words", "", "epochs: 1\nepochs: 2", "[a]: 1", "{a: b}: 1", "seed: &a [*a]")


@pytest.mark.parametrize("text", NO_PROFILES)
def test_a_profile_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(PipelineError, match="expected"):
        configure(str(path), environment={})


def test_an_alias_means_what_it_stands_for(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("architecture:\n- &dense {Dense: {units: 8}}\n- *dense\n")
    assert json.loads(configure(str(path), environment={}).parameters.architecture) == [{"Dense": {"units": 8}}] * 2


def test_every_parameter_says_what_it_is():
    assert [name for name, field in Parameters.model_fields.items() if not field.description] == []


def test_config_tells_no_secret_of_a_url():
    told = CliRunner().invoke(main, ["config", "source=https://me:s3cret@host/photos.zip?dl=1&sig=s3cret"]).output
    assert "https://host/photos.zip?dl=1&sig=..." in told and "s3cret" not in told


def test_config_tells_every_parameter_once_step_by_step():
    told = CliRunner().invoke(main, ["config", "--profile", "cifar10"]).output.splitlines()
    first = [line.split(" ")[0] for line in told[1:] if line]
    steps = [word.rstrip(":") for word in first if word.endswith(":")]
    assert steps == ["download", "preprocess", "train", "evaluate", "export", "placement"]
    names = [word for word in first if not word.endswith(":")]
    assert sorted(names) == sorted(Parameters.model_fields)
    at = first.index("train:")
    assert at < first.index("epochs") < first.index("evaluate:")
