"""The check of a run's parameters: the command of the compiled pipeline, with the values as Kubeflow writes them."""

import contextlib
import decimal
import json
import re
import subprocess
import sys

import pytest

from components.check.run import check
from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.parameters.parameters import configure, profile_names
from pipeline.training import compiled_for
from tests.pipeline.golden import compiled
from tests.pipeline.pipelines import documents, tasks, training

WEIGHTS = json.dumps([{"ResNet50": {"weights": "/data/weights.h5", "sha256": "0" * 64}}])


def written(value: object) -> str:
    """A parameter in an argument, as KFP's launcher writes it (`getPlaceholders` in its launcher_v2.go)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return json.dumps(value)
    return format(decimal.Decimal(repr(value)), "f") if isinstance(value, float) else str(value)


def command(kind: str = "training", **changed: object) -> list[str]:
    """The step of a compiled pipeline with a run's values: the profile's, and what somebody typed."""
    spec, _ = compiled(kind)
    container = spec["deploymentSpec"]["executors"]["exec-check"]["container"]
    values = configure("quickstart", environment={}).parameters.model_dump() | changed
    given = {
        name: values[source["componentInputParameter"]]
        if "componentInputParameter" in source
        else source["runtimeValue"]["constant"]
        for name, source in spec["root"]["dag"]["tasks"]["check"]["inputs"]["parameters"].items()
    }
    places = {f"{{{{$.inputs.parameters['{name}']}}}}": written(value) for name, value in given.items()}
    return [*container["command"], *(places.get(argument, argument) for argument in container["args"])]


def checked(kind: str = "training", **changed: object) -> None:
    """What the command does, in this process."""
    python, option, module, told, *pairs = command(kind, **changed)
    assert (python, option, module) == ("python3", "-m", "components.check.run")
    check(dict(zip(pairs[::2], pairs[1::2], strict=True)), json.loads(told))


@pytest.mark.parametrize("profile", profile_names())
def test_what_every_profile_gives_passes(profile):
    settings = ["SOURCE=gs://team/photos"] if profile == "photos" else []
    parameters = configure(profile, settings, {}).parameters
    values = {name: written(value) for name, value in parameters} | {"learning_rate": written(1e-7)}
    check(values, json.loads(compiled_for(parameters, None)))


@pytest.mark.parametrize(("name", "value", "status"), [("seed", 7, 0), ("end_below", "$(rm -rf /)\n", 1)])
def test_the_command_ends_in_one_line(name, value, status):
    _, *rest = command(**{name: value})
    done = subprocess.run([sys.executable, *rest], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (status, status)
    assert done.stderr.startswith(f"error: {name}: " if status else "")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("formats", "saved_model,onx", "onx"),
        ("min_accuracy", 94.0, "min_accuracy"),
        ("architecture", "articel", "article"),
        ("image_size", "1 x", "image_size"),
        ("dataset", "cifar11", "cifar11"),
        ("publish_uri", "/models", "publish_uri: expected a place that the cluster's pods can reach"),
        ("publish_uri", "gs://bucket/models ", "publish_uri: expected a place without blanks before or behind it"),
        ("class_weight", '{"0": 1, "ten": 2}', "class_weight: unknown class 'ten'"),
        ("architecture", WEIGHTS, "architecture: weights: expected a place that the cluster's pods can reach"),
        # What a driver of Kubeflow's can't read, as the step's turn comes.
        ("train_memory", "8 GB", "train_memory: expected the like of 6Gi, "),
        ("train_memory", "8", "train_memory: expected the like of 6Gi, "),
        (
            "cpu_request",
            "3",
            "cpu_request: expected at most download_cpu, 2, received 3; give download_cpu, preprocess_cpu, ",
        ),
        ("tolerations", [{"key": "a", "effect": "NoShedule"}], "tolerations: expected effect"),
        ("gpus", "auto", "gpus: expected a number on a cluster"),
        ("accelerator", "nvidia-l4", "accelerator: expected a resource such as nvidia.com/gpu"),
        ("node_selector", {"pool": "a b"}, "node_selector: expected labels such as"),
        ("node_affinity", {"requiredDuringSchedulingIgnoredDuringExecution": []}, "node_affinity: expected an object"),
        # What the file was not compiled for: its image, its tasks.
        ("gpus", "1", "gpus: expected 0, for which this pipeline was compiled, received 1; compile it with GPUS=1"),
        ("backend", "jax", "compile it with BACKEND=jax"),
        ("nodes", 2, "compile it with NODES=2"),
        ("dataset", "cifar10", "model_name: expected one for dataset=cifar10, received digits, that of digits"),
        ("start_from", "digits@champion", "compile it with START_FROM=digits@champion"),
    ],
)
def test_what_a_later_step_would_refuse_is_refused_by_it(name, value, said):
    with pytest.raises(PipelineError, match=re.escape(said)):
        checked(**{name: value})


@pytest.mark.parametrize(
    ("settings", "typed"),
    [
        (["GPUS=1"], {"gpus": "0"}),
        (["NODES=2"], {"gpus": "1", "nodes": "3"}),
        (["BACKEND=jax"], {"gpus": "8"}),  # whose image has NVIDIA's libraries, whatever it is compiled for
        (["START_FROM=digits@champion", "PUBLISH_URI=gs://bucket"], {"start_from": "digits@2"}),
        ([], {"start_from": "gs://bucket/x.keras", "start_sha256": "0" * 64}),
    ],
)
def test_what_a_file_was_compiled_for_passes(settings, typed):
    parameters = configure("quickstart", settings, {}).parameters
    values = {name: written(value) for name, value in parameters}
    for given in (values, values | typed):
        check(given, json.loads(compiled_for(parameters, None)))


def test_several_nodes_have_the_gpus_that_their_image_is_made_for():
    parameters = configure("quickstart", ["NODES=2", "GPUS=1"], {}).parameters
    values = {name: written(value) for name, value in parameters} | {"accelerator": "nvidia.com/mig-1g.10gb"}
    with pytest.raises(PipelineError, match="accelerator: expected nvidia.com/gpu of several nodes, .* nvidia.com/mig"):
        check(values, json.loads(compiled_for(parameters, None)))
    check(values | {"gpus": "0"}, json.loads(compiled_for(parameters, None)))


def test_a_name_that_somebody_chose_is_of_the_data_set_that_it_was_chosen_for():
    mine = configure("quickstart", ["MODEL_NAME=mine"], {}).parameters
    values = {name: written(value) for name, value in mine}
    check(values, json.loads(compiled_for(mine, None)))
    with pytest.raises(PipelineError, match="expected one for dataset=mnist, received mine, that of digits"):
        check(values | {"dataset": "mnist"}, json.loads(compiled_for(mine, None)))


@pytest.mark.parametrize(
    ("named", "given", "passes"),
    [([], {}, False), ([], {"model_name": "tulips"}, True), (["MODEL_NAME=roses"], {}, True)],
)
def test_a_name_that_follows_from_a_source_is_not_that_of_another(named, given, passes):
    """Tulips were trained under the roses' name, and might become their champion."""
    asked = training("SOURCE=gs://team/roses", "AUGMENTATION=", *named)  # which Keras need not be asked about
    fixed = tasks(documents(asked)[0])["check"]["inputs"]["parameters"]["compiled"]["runtimeValue"]["constant"]
    values = {name: written(value) for name, value in asked.defaults} | {"source": "gs://team/tulips"} | given
    said = "model_name: expected one for source=gs://team/tulips, received roses, that of gs://team/roses, for which"
    with contextlib.nullcontext() if passes else pytest.raises(PipelineError, match=said):
        check(values, json.loads(fixed))


def test_own_pictures_are_given_to_a_file_that_was_compiled_for_some():
    """It would train them as its own data set, with the article's network, whatever their size."""
    own = {"dataset": "image_folder", "source": "gs://team/photos", "source_version": "1", "model_name": "photos"}
    with pytest.raises(PipelineError, match="dataset: expected digits, .* received image_folder; compile it with DATA"):
        checked(**own)
    photos = configure("quickstart", ["SOURCE=gs://team/roses"], {}).parameters
    check({name: written(value) for name, value in photos} | own, json.loads(compiled_for(photos, None)))


def test_a_value_that_the_trials_of_a_sweep_set_is_not_left_out_in_silence():
    checked("sweep")
    with pytest.raises(PipelineError, match="learning_rate: expected 0.002, for which this pipeline was compiled, "):
        checked("sweep", learning_rate=0.01)


def test_it_waits_for_nothing_and_preprocess_waits_for_it():
    root = compiled("training")[0]["root"]["dag"]["tasks"]
    assert "dependentTasks" not in root["check"]
    assert root["preprocess"]["dependentTasks"] == ["check", "download"]
