"""The Pipelines page: named versions on a real HTTP server that speaks KFP's API."""

import dataclasses
import re
import subprocess

import pytest
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


def test_a_run_says_which_version_it_is(quickstart_compiled):
    assert run(KfpApi(STORY), quickstart_compiled)[0].endswith(f"of version {version_of(quickstart_compiled)}")


def test_a_run_of_an_uploaded_version_is_followed_by_that_versions_steps(api):
    """KFP answers for such a run, which somebody has started on the page, without its pipeline."""
    common = ("--endpoint", api.url, "--no-check-images")
    said_by("upload", *common)
    said_by("submit", *common, "--no-watch")
    [[version]], [run] = api.versions.values(), api.runs.values()
    del run["pipeline_spec"]
    run["pipeline_version_reference"] = {name: version[name] for name in ("pipeline_id", "pipeline_version_id")}
    follow = ("follow", "--endpoint", api.url, "--interval", "0.01", run["run_id"])
    said = said_by(*follow).splitlines()
    assert said[said.index("download") : said.index("preprocess")] == ["download", "  succeeded, 30.0 s"]
    assert "train       succeeded  30.0 s" in said
    api.faults = [("GET", "/apis/v2beta1/pipelines/pipeline-1/versions/", error(403, 7, "not authorized"))]
    said = said_by(*follow)
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
