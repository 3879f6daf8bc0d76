"""The compiled pipeline: the same bytes every time, and every argument explicit."""

import importlib
import re

import pytest
import yaml

from components.core.errors import PipelineError
from pipeline.cluster.compile import compile_pipeline
from pipeline.parameters.parameters import Parameters
from pipeline.training import STEPS, training_pipeline
from tests.pipeline.pipelines import documents, tasks, training

WEIGHTS = 'ARCHITECTURE=[{"ResNet50": {"weights": "/data/weights.h5", "sha256": "' + "0" * 64 + '"}}]'


@pytest.fixture(scope="module")
def spec(quickstart_compiled) -> dict:
    return next(yaml.load_all(quickstart_compiled.read_text(), yaml.CSafeLoader))


def test_compiling_twice_gives_the_same_bytes(quickstart_compiled, tmp_path):
    compile_pipeline(training(), tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_bytes() == quickstart_compiled.read_bytes()


def test_the_pipelines_inputs_are_the_parameters(spec):
    inputs = spec["root"]["inputDefinitions"]["parameters"]
    assert set(inputs) == set(Parameters.model_fields)
    assert {name: entry["defaultValue"] for name, entry in inputs.items()} == training().defaults.model_dump()


def test_text_that_is_a_number_to_another_reader_of_yaml_is_in_quotes(tmp_path):
    """Kubeflow's, yaml.v3, made a model of September's pictures 9 or 92026, and a short revision of git 4.839e+30."""
    settings = ["SOURCE=gs://team/09_2026", "SOURCE_VERSION=4839e27", 'NODE_SELECTOR={"pool": "09"}']
    compile_pipeline(training(*settings), tmp_path / "x.yaml")
    text = (tmp_path / "x.yaml").read_text()
    assert "defaultValue: '09_2026'" in text and "defaultValue: '4839e27'" in text and "pool: '09'" in text


def test_every_argument_is_passed_and_every_step_is_cached_and_named(spec):
    found = tasks(spec)
    assert {"check", *STEPS} == set(found)
    for name in STEPS:
        component = spec["components"][f"comp-{name}"]
        declared = component.get("inputDefinitions", {})
        given = found[name].get("inputs", {})
        beyond = set(given.get("parameters", {})) - set(declared.get("parameters", {}))
        assert set(declared.get("parameters", {})) <= set(given.get("parameters", {}))
        # The compiler adds what the step's place is made of.
        assert {re.split("--|_", entry)[0] for entry in beyond} <= {"pipelinechannel", "accelerator", "cpu", "memory"}
        assert set(given.get("artifacts", {})) == set(declared.get("artifacts", {}))
        # A run may name a registry when it starts, whose champion may be another one by then.
        assert found[name]["cachingOptions"] == ({} if name == "evaluate" else {"enableCache": True})
        assert found[name]["taskInfo"]["name"] == name.capitalize()


def test_with_a_registry_each_local_run_decides_anew():
    """The champion may be another one by then."""
    for registry, cached in {"": True, "/registry": False}.items():
        built = training_pipeline(Parameters(publish_uri=registry), "image:{}".format).pipeline_spec
        assert built.root.dag.tasks["evaluate"].caching_options.enable_cache is cached


def test_nothing_is_installed_when_a_pod_starts(quickstart_compiled):
    assert "pip install" not in quickstart_compiled.read_text()


@pytest.mark.parametrize("step", [*STEPS, "predict"])
def test_a_component_takes_what_its_settings_hold(step):
    """The signature is the one place where a parameter is written again: KFP reads it as source."""
    module = importlib.import_module(f"components.{step}.component")
    settings = getattr(importlib.import_module(f"components.{step}.settings"), f"{step.capitalize()}Settings")
    taken = {
        name: annotation
        for name, annotation in getattr(module, step).python_func.__annotations__.items()
        if annotation in (str, int, float, bool) and name not in ("return", "trial")
    }
    assert taken == {name: type(value) for name, value in settings()}


def compiled_tasks(*settings: str, **options) -> dict[str, dict]:
    return tasks(documents(training(*settings, **options))[0])


@pytest.mark.parametrize("grid", ["", "seed=1,2"])
@pytest.mark.parametrize("webhook", ["", "conv2d-webhook"])
def test_not_cached_reaches_every_task(grid, webhook):
    """Below an exit handler and in a loop too, where the SDK's enable_caching does not."""
    found = compiled_tasks("SOURCE=gs://bucket/x.gz", grid=grid, webhook_secret=webhook, cached=False)
    groups = {name for name in found if re.match(r"(condition|exit-handler|for-loop)", name)}
    assert set(STEPS) <= set(found) - groups
    assert [name for name in set(found) - groups if found[name]["cachingOptions"].get("enableCache")] == []


def test_a_source_is_looked_at_in_every_run_and_download_goes_by_it():
    found = compiled_tasks("SOURCE=gs://bucket/x.gz", webhook_secret="conv2d-webhook")
    assert not found["look"]["cachingOptions"].get("enableCache")
    assert found["download"]["cachingOptions"] == {"enableCache": True}
    seen = found["download"]["inputs"]["parameters"]["source_version"]
    assert seen == {"taskOutputParameter": {"outputParameterKey": "source_version", "producerTask": "look"}}
    given = found["look"]["inputs"]["parameters"]
    for name in ("source", "source_version"):
        assert given[name]["componentInputParameter"].rpartition("--")[2] == name


def test_the_model_to_start_from_is_looked_at_in_every_run_and_train_goes_by_it():
    """digits@champion is another model after the next promotion, behind the same text."""
    found = compiled_tasks("START_FROM=digits@champion", "PUBLISH_URI=gs://bucket")
    assert not found["look"]["cachingOptions"].get("enableCache")
    seen = found["train"]["inputs"]["parameters"]["start_version"]
    assert seen == {"taskOutputParameter": {"outputParameterKey": "start_version", "producerTask": "look"}}
    assert found["look"]["inputs"]["parameters"]["source"] == {"runtimeValue": {"constant": ""}}
    pinned = ["START_FROM=gs://bucket/x.keras", f"START_SHA256={'0' * 64}"]
    assert "look" not in compiled_tasks(*pinned)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["START_FROM=digits@3"], "start_from: expected a registry for digits@3"),
        (["START_FROM=models/x.keras"], "start_from: expected a place that the cluster's pods can reach"),
        ([WEIGHTS], "architecture: weights: expected a place that the cluster's pods can reach"),
        ([WEIGHTS, "START_FROM=digits@3", "PUBLISH_URI=gs://bucket"], "architecture: weights: expected a place"),
    ],
)
def test_a_start_that_pods_do_not_see_is_refused(settings, said):
    with pytest.raises(PipelineError, match=said):
        compiled_tasks(*settings)


@pytest.mark.parametrize("settings", [[], ["SOURCE_VERSION=7"], [f"SOURCE_SHA256={'0' * 64}"]])
def test_no_pod_looks_at_what_can_not_change_unnoticed(settings):
    assert "look" not in compiled_tasks(*(["SOURCE=gs://bucket/x.gz"] if settings else []), *settings)
