"""The prediction pipeline: never cached, small, its parameters the step's settings."""

import pytest
from click.testing import CliRunner

from components.core.errors import PipelineError
from pipeline.commands.main import main
from pipeline.parameters.cluster_options import ClusterOptions
from pipeline.parameters.pipeline import Pipeline
from pipeline.parameters.prediction import PredictionParameters, configure_prediction
from tests.pipeline.pipelines import documents

ASKED = ["MODEL=digits@champion", "REGISTRY=gs://bucket", "SOURCE=gs://bucket/new", "OUT=gs://bucket/answers"]


def prediction(*settings: str, **options) -> Pipeline:
    return Pipeline(configure_prediction(settings, environment={}), ClusterOptions(**options))


def test_it_is_one_step_that_is_never_cached_and_reaches_the_stores():
    pipeline, platform = documents(prediction(*ASKED))
    [task] = pipeline["root"]["dag"]["tasks"].values()
    assert task["cachingOptions"] == {}
    inputs = pipeline["root"]["inputDefinitions"]["parameters"]
    assert set(inputs) == set(PredictionParameters.model_fields)
    assert {name: inputs[name]["defaultValue"] for name in ("model", "registry", "source", "out")} == {
        "model": "digits@champion",
        "registry": "gs://bucket",
        "source": "gs://bucket/new",
        "out": "gs://bucket/answers",
    }
    executor = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-predict"]
    assert executor["secretAsEnv"][0]["optional"] and executor["activeDeadlineSeconds"] == str(24 * 3600)


def test_a_webhook_is_told_of_its_end():
    """Three pods more: the notice's two, and the group's driver. k8s/README.md states it."""
    pipeline, _ = documents(prediction(*ASKED, webhook_secret="conv2d-webhook"))
    assert len(pipeline["deploymentSpec"]["executors"]) == 2
    assert set(pipeline["root"]["dag"]["tasks"]) == {"exit-handler-1", "notify"}
    assert pipeline["root"]["dag"]["tasks"]["exit-handler-1"]["taskInfo"]["name"] == "Prediction"


@pytest.mark.parametrize("setting", ["SOURCE=new", "OUT=/tmp/answers", "REGISTRY=registry"])
def test_places_on_this_machine_are_refused_for_a_cluster(setting):
    with pytest.raises(PipelineError, match=f"{setting.partition('=')[0].lower()}: expected a place that the cluster"):
        documents(prediction(*ASKED, setting))


def test_a_pod_that_asks_for_more_cpus_than_it_may_use_is_refused():
    with pytest.raises(
        PipelineError, match="cpu_request: expected at most predict_cpu, 2, received 4; give predict_cpu"
    ):
        configure_prediction(["CPU_REQUEST=4"], environment={})


def test_the_command_line_reaches_it(tmp_path):
    done = CliRunner().invoke(
        main, ["compile", "--what", "prediction", "--to", str(tmp_path / "p.yaml"), "--", *ASKED, "TOP=0"]
    )
    assert done.exit_code == 0, done.output
    assert "digits@champion" in (tmp_path / "p.yaml").read_text()
    told = CliRunner().invoke(main, ["config", "--what", "prediction", "--", *ASKED])
    [line] = [line for line in told.output.splitlines() if line.startswith("model ")]
    assert [line for line in told.output.splitlines() if line.endswith(":")] == ["predict:", "placement:"]
    assert line.split()[1:4] == ["digits@champion", "command", "line"] and "drift_significance" in told.output
    for given in ("--grid=seed=1,2", "--profile=cifar10", "--evaluate-on=gpu", "--queue=team", "--priority=high"):
        refused = CliRunner().invoke(main, ["compile", "--what", "prediction", given, "--", *ASKED]).exception
        assert str(refused).startswith(f"expected no {given.partition('=')[0]} for a prediction, "), refused


def test_values_come_from_the_command_line_then_the_environment():
    around = {"CONV2D_PUBLISH_URI": "gs://models", "CONV2D_EPOCHS": "3", "CONV2D_MAX_DRIFT": "0.5"}
    placed = ["gpus=1", "predict_memory=8Gi"]
    found = configure_prediction(["MODEL=digits@3", "max_drift=0.2"], placed, around)
    parameters = found.parameters
    assert (parameters.registry, parameters.max_drift, parameters.predict_memory) == ("gs://models", 0.2, "8Gi")
    assert found.title == "digits prediction" and not found.is_given("top")
    assert found.is_given("model") and found.is_given("predict_memory")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("MODEL=digits", "model: expected a version of the registry, such as digits@champion"),
        ("EPOCHS=3", "unknown parameter 'epochs' in command line"),
        ("MAX_DRIFT=2", "max_drift: input should be less than or equal to 1"),
        ("SOURCE=ftp://x", "received the scheme 'ftp'"),
        ("ANSWERS_AS=xml", "answers_as: input should be 'jsonl' or 'csv'"),
    ],
)
def test_what_can_not_be_is_refused_in_a_line(setting, said):
    with pytest.raises(PipelineError, match=said.replace("(", r"\(")):
        configure_prediction([setting], environment={})
