"""The Pipelines page: named versions on a real HTTP server that speaks KFP's API, schedules of them, and manifests."""

import dataclasses
import json
import pathlib
import re
import subprocess

import pytest
import yaml
from click.testing import CliRunner

from components.core.errors import PipelineError
from components.core.revision import code_revision
from pipeline.cluster.kubeflow import Endpoint
from pipeline.cluster.upload import upload
from pipeline.commands.main import main
from pipeline.parameters.pipeline import name_for_kubernetes
from pipeline.revision import version_of
from tests.pipeline.cluster.submitting import STORY, run
from tests.pipeline.pipelines import training
from tests.servers.kfp_api import KfpApi, error

pytestmark = pytest.mark.usefixtures("bare_home")
UPLOAD = "/apis/v2beta1/pipelines/upload_version"
MANY = f"SOURCE={json.dumps([f'gs://bucket/{number}' for number in range(1000)])}"


def said_by(*arguments: str) -> str:
    ended = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.fixture
def api(tmp_path, monkeypatch):
    """A KFP; its URL is api.url."""
    monkeypatch.chdir(tmp_path)
    api = KfpApi(STORY)
    with api.serving() as api.url:
        yield api


def test_a_pipeline_is_uploaded_once_a_version(api):
    """As typed. Other defaults are another version of the same pipeline, and so is other code."""
    command = ("upload", "--endpoint", api.url, "--no-check-images")
    first = said_by(*command)
    [pipeline] = api.pipelines.values()
    [version] = api.versions[pipeline["pipeline_id"]]
    assert pipeline["name"] == pipeline["display_name"] == "quickstart" and "namespace" not in pipeline
    assert first.splitlines() == [
        f"version {version['display_name']} of pipeline quickstart uploaded",
        f"  {api.url}/#/pipelines/details/{pipeline['pipeline_id']}/version/{version['pipeline_version_id']}",
    ]
    assert version["name"] == f"quickstart-{version['display_name']}"
    spec = version["pipeline_spec"]["pipeline_spec"]
    assert spec["root"]["inputDefinitions"]["parameters"]["epochs"]["defaultValue"] == 8
    assert "is there already" in said_by(*command)
    assert api.count("POST", UPLOAD) == 1
    said_by(*command, "EPOCHS=3")
    [_, other] = api.versions[pipeline["pipeline_id"]]
    assert other["display_name"] != version["display_name"] and len(api.pipelines) == 1


def test_an_answer_that_is_lost_makes_no_second_one(api, quickstart_compiled):
    api.faults = [("POST", "/apis/v2beta1/pipelines", "drop after"), ("POST", UPLOAD, "drop after")]
    known, _ = upload("digits", "abc-1", quickstart_compiled, Endpoint(api.url, patience_s=3.0))
    assert not known
    assert [len(versions) for versions in api.versions.values()] == [1] and len(api.pipelines) == 1


def test_somebody_who_was_faster_is_no_failure(api, quickstart_compiled):
    api.faults = [("POST", UPLOAD, (409, {"error_message": "Failed to create a pipeline version"}))]
    api.pipelines["pipeline-1"] = {"pipeline_id": "pipeline-1", "name": "digits", "display_name": "digits"}
    there = {"pipeline_version_id": "version-1", "pipeline_id": "pipeline-1", "display_name": "abc-1"}
    looks = []

    def looked(_, path):
        looks.append(path)
        api.versions = {"pipeline-1": [there]} if path.endswith("/versions") and len(looks) > 3 else {}

    api.before = looked
    _, page = upload("digits", "abc-1", quickstart_compiled, Endpoint(api.url, patience_s=3.0))
    assert page.endswith("/version/version-1")


@pytest.mark.parametrize(
    ("path", "fault", "said"),
    [
        ("/apis/v2beta1/pipelines", error(403, 7, "User 'ana' is not authorized"), "no permission in the default"),
        (UPLOAD, (400, {"error_message": "pipeline upload denied: permission to create", "error_details": "x"}),
         "400: pipeline upload denied: permission to create"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line(api, quickstart_compiled, path, fault, said):
    api.faults = [("POST", path, fault)]
    with pytest.raises(PipelineError, match=said):
        upload("digits", "abc-1", quickstart_compiled, Endpoint(api.url, patience_s=3.0))


def test_a_profiles_namespace_keeps_its_own_pipelines(quickstart_compiled):
    api = KfpApi(namespaces=("ana", "ben"))
    with api.serving() as url:
        for namespace in ("ana", "ben", "ana"):
            upload("digits", "abc-1", quickstart_compiled, Endpoint(url, namespace, patience_s=3.0))
    assert sorted(pipeline["namespace"] for pipeline in api.pipelines.values()) == ["ana", "ben"]


def test_a_schedule_runs_a_version(api, monkeypatch):
    """With the version's own defaults, but for what was typed: nothing is compiled, and no image is asked for."""
    monkeypatch.delenv("KERAS_BACKEND", raising=False)  # which a test before this one may have loaded
    command = ("upload", "--endpoint", api.url, "--no-check-images")
    for epochs in "123":
        said_by(*command, f"EPOCHS={epochs}")
    [versions] = api.versions.values()
    schedule = ("schedule", "30 2 * * *", "--endpoint", api.url)
    said_by(*schedule, "--version", versions[0]["display_name"], "BATCH_SIZE=25")
    said = said_by(*schedule, "--version", "newest", "--name", "other")
    assert said.endswith(f", version {versions[2]['display_name']} of pipeline quickstart\n")
    first, newest = api.recurring.values()
    reference = first["pipeline_version_reference"]
    assert reference["pipeline_version_id"] == versions[0]["pipeline_version_id"] and "pipeline_spec" not in first
    assert newest["pipeline_version_reference"]["pipeline_version_id"] == versions[2]["pipeline_version_id"]
    assert first["runtime_config"]["parameters"] == {"batch_size": 25}

    def refused(*arguments: str) -> str:
        return str(CliRunner().invoke(main, [*schedule, *arguments, "--name", "third"]).exception)

    assert "source: expected parameters of at most 20,000 bytes" in refused("--version", "newest", MANY)
    signed = refused("--version", "newest", "SOURCE=https://host/photos.zip?sig=s3cret")
    assert signed.startswith("source: expected a URL without a user, password or signature")
    typo = f"{versions[0]['display_name']}0"
    assert f"did you mean '{versions[0]['display_name']}'" in refused("--version", typo)
    assert "no --grid beside --version" in refused("--version", "newest", "--grid", "seed=1,2")
    assert "no --cache beside --version" in refused("--version", "newest", "--cache")
    assert "no --digests beside --version" in refused("--version", "newest", "--digests")
    own = refused("--version", "newest", "SOURCE=gs://bucket/photos")  # a profile of that name is another pipeline
    assert own.startswith("no pipeline 'photos' on ") and own.endswith("with the same PROFILE= or SOURCE=")
    each_night = "gpus: expected 0, for which this pipeline was compiled, received 1; compile it with GPUS=1"
    assert refused("--version", "newest", "GPUS=1") == each_night
    del versions[2]["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]["batch_size"]
    assert "has no parameter 'batch_size'" in refused("--version", "newest", "BATCH_SIZE=5")


def test_a_run_says_which_version_it_is(quickstart_compiled):
    assert run(KfpApi(STORY), quickstart_compiled)[0].endswith(f"of version {version_of(quickstart_compiled)}")


def test_a_run_of_what_was_uploaded_is_one_of_that_version(api):
    """With all its parameters, as any run. What is not there, or not to be seen, is sent along."""
    common = ("--endpoint", api.url, "--no-check-images")
    submit = ("submit", *common, "--no-watch")
    said_by("upload", *common)
    [[version]] = api.versions.values()
    assert f" of version {version['display_name']} of pipeline quickstart\n" in said_by(*submit)
    said_by(*submit, "EPOCHS=3")
    api.faults = [("GET", "/apis/v2beta1/pipelines/names/quickstart", error(403, 7, "User 'ana' is not authorized"))]
    assert "pipeline quickstart" not in said_by(*submit)
    first, *others = api.runs.values()
    reference = {name: version[name] for name in ("pipeline_id", "pipeline_version_id")}
    assert first["pipeline_version_reference"] == reference and "pipeline_spec" not in first
    assert first["runtime_config"]["parameters"]["epochs"] == 8
    assert len(others) == 2 and all("pipeline_version_reference" not in run and run["pipeline_spec"] for run in others)


def test_a_run_of_an_uploaded_version_is_followed_by_that_versions_steps(api):
    """KFP answers for such a run without its pipeline."""
    common = ("--endpoint", api.url, "--no-check-images")
    said_by("upload", *common)
    said = said_by("submit", *common, "--interval", "0.01").splitlines()
    assert "of pipeline quickstart" in said[0]
    assert said[said.index("download") : said.index("preprocess")] == ["download", "  succeeded, 30.0 s"]
    assert "train       succeeded  30.0 s" in said
    api.faults = [("GET", "/apis/v2beta1/pipelines/pipeline-1/versions/", error(403, 7, "not authorized"))]
    [run_id] = api.runs
    said = said_by("follow", "--endpoint", api.url, "--interval", "0.01", run_id)
    assert said.count("note: the pipeline's version can't be read, so no step is told: ") == 1
    assert "cache" not in said


def test_a_version_is_named_for_the_code(tmp_path, quickstart_compiled):
    checkout = tmp_path / "checkout"
    (checkout / "pipeline").mkdir(parents=True)
    file = checkout / "pipeline" / "__init__.py"
    file.write_text("")

    def revision() -> str:
        version, _, digest = version_of(quickstart_compiled, checkout).rpartition("-")
        assert len(digest) == 8
        return version

    assert revision() == code_revision()  # an installed copy
    for command in ("init -q", "add .", "-c user.name=a -c user.email=a@b commit -q -m x"):
        subprocess.run(["git", *command.split()], cwd=checkout, check=True)
    clean = revision()
    assert len(clean) == 12 and clean != code_revision()
    file.write_text("# changed\n")
    assert revision() == f"{clean}-dirty"


@pytest.mark.parametrize(
    ("title", "grid", "name"),
    [("cifar10-fast", "", "cifar10-fast"), ("My photos_2", "seed=1,2", "my-photos-2-sweep")],
)
def test_a_pipelines_name_is_one_to_kubernetes(title, grid, name):
    asked = training(grid=grid)
    assert dataclasses.replace(asked, configuration=dataclasses.replace(asked.configuration, title=title)).name == name


def test_two_pipelines_have_two_names():
    """Where letters were lost they shared one, with each other's versions."""
    titles = ["猫", "犬", "käse", "k-se", "n" * 44 + "-a", "n" * 44 + "-b", "n" * 200, "training", "-", "n" * 44]
    named = [f"{name_for_kubernetes(title)}{end}" for title in titles for end in ("", "-sweep")]
    assert len(set(named)) == len(named)
    assert all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) for name in named)


def test_a_manifest_for_gitops_names_what_an_upload_names(api):
    said_by("compile", "--kubernetes-manifest")
    pipeline, version = yaml.load_all(pathlib.Path("build/training.manifest.yaml").read_text(), yaml.CSafeLoader)
    assert (pipeline["kind"], pipeline["metadata"]["name"]) == ("Pipeline", "quickstart")
    assert version["apiVersion"] == "pipelines.kubeflow.org/v2beta1" and version["kind"] == "PipelineVersion"
    said_by("upload", "--endpoint", api.url, "--no-check-images")
    [[uploaded]] = api.versions.values()
    assert version["metadata"]["name"] == uploaded["name"]
    assert version["spec"]["displayName"] == uploaded["display_name"]
    assert version["spec"]["pipelineName"] == "quickstart"
    assert version["spec"]["pipelineSpec"] == uploaded["pipeline_spec"]["pipeline_spec"]
    assert version["spec"]["platformSpec"] == uploaded["pipeline_spec"]["platform_spec"]
