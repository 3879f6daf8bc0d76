"""Whether images are in their registry, asked of real HTTP servers."""

import base64

import pytest
from click.testing import CliRunner

from components.core.errors import PipelineError
from pipeline.cluster.compile import compile_pipeline, step_images
from pipeline.commands.main import main
from pipeline.images.lookup import _docker_login, read_name, require_images, with_digest
from tests.pipeline.pipelines import training
from tests.servers import image_registry
from tests.servers.http_api import Api
from tests.stand_ins import stand_ins

pytestmark = pytest.mark.usefixtures("bare_home")


class Registry(Api):
    """Has what is in `there`; with `token`, hands one out and wants it back."""

    def __init__(self, there: set[str], guarded: str = ""):
        super().__init__()
        self.there, self.guarded, self.url = there, guarded, ""

    def handle(self, method, path, query, body, headers):
        if path == "/token":
            assert query["scope"] == "repository:team/conv2d:pull"
            return (200, {"token": "abc"}) if self.guarded == "anonymous" else (401, {})
        if self.guarded and headers.get("Authorization") != "Bearer abc":
            return 401, ({}, {"WWW-Authenticate": f'Bearer realm="{self.url}/token",service="r"'})
        assert method == "HEAD"
        assert "oci.image.index" in headers["Accept"]
        return (200, {}) if path.rpartition("/")[2] in self.there else (404, {})


@pytest.mark.parametrize("guarded", ["", "anonymous"])
def test_images_are_looked_up_in_their_registry(guarded):
    registry = Registry({"train-1", "export-1"}, guarded)
    with registry.serving() as registry.url:
        name = f"{registry.url.removeprefix('http://')}/team/conv2d"
        assert require_images([f"{name}:train-1", f"{name}:export-1"]) == ""
        with pytest.raises(
            PipelineError, match="train-2 in the registry, received none; try make images ACTION=push TARGET=cpu$"
        ):
            require_images([f"{name}:train-2", f"{name}:export-1"])
        both = "check-2 and 1 more in the registry, .* try make images ACTION=push TARGET=cpu and .* TARGET=jax$"
        with pytest.raises(PipelineError, match=both):
            require_images([f"{name}:train-jax-2", f"{name}:check-2", f"{name}:export-1"])


def test_what_is_compiled_for_images_that_are_not_there_says_so(tmp_path, monkeypatch):
    """KFP starts a run of it all the same, and waits for hours for an image."""
    compiled = ["compile", "--to", str(tmp_path / "training.yaml")]
    with Registry(set()).serving() as url:
        for repository, said in {
            f"{url.removeprefix('http://')}/team/conv2d": "expected ",
            "conv2d-pipeline": "the images (conv2d-pipeline:check-",
        }.items():
            monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", repository)
            told = CliRunner().invoke(main, compiled, catch_exceptions=False).output.splitlines()
            assert told[0] == f"compiled {compiled[-1]}" and told[1].startswith(f"note: {said}")
    assert len(CliRunner().invoke(main, [*compiled, "--no-check-images"]).output.splitlines()) == 1


@pytest.mark.skipif(image_registry.BINARY is None, reason="needs docker-registry")
def test_the_compiled_file_names_digests_on_request(tmp_path, monkeypatch):
    """The tag stays in the name, for people; Kubernetes goes by the digest."""
    asked = training(digests=True)
    with image_registry.serving(tmp_path) as host:
        monkeypatch.setenv("CONV2D_IMAGE_REPOSITORY", f"{host}/team/conv2d")
        with pytest.raises(PipelineError, match="expected the digest of .*: absent; push it"):
            compile_pipeline(asked, tmp_path / "training.yaml")
        named = {}
        for _, image in step_images(asked):
            named[image] = image_registry.put_image(host, "team/conv2d", image.rpartition(":")[2], image)
        assert {with_digest(image) for image in named} == {f"{image}@{digest}" for image, digest in named.items()}
        compile_pipeline(asked, tmp_path / "training.yaml")
    compiled = (tmp_path / "training.yaml").read_text()
    assert all(f"image: {image}@{digest}" in compiled for image, digest in named.items())


def test_a_login_with_dockers_credential_helper_is_used(tmp_path, monkeypatch):
    helper = 'read host\nprintf \'{"Username": "ana", "Secret": "%s"}\' "${host%:*}"'
    monkeypatch.setenv("PATH", stand_ins(tmp_path / "bin", docker_credential_teamstore=helper))

    class Basic(Api):
        def handle(self, method, path, query, body, headers):
            return (200, {}) if headers.get("Authorization") else (401, ({}, {"WWW-Authenticate": 'Basic realm="r"'}))

    registry = Basic()
    with registry.serving() as url:
        host = url.removeprefix("http://")
        (tmp_path / "no-docker").mkdir()
        (tmp_path / "no-docker" / "config.json").write_text(f'{{"credHelpers": {{"{host}": "teamstore"}}}}')
        assert require_images([f"{host}/team/conv2d:train-1"]) == ""
    assert registry.authorizations[-1] == f"Basic {base64.b64encode(b'ana:127.0.0.1').decode()}"


def test_a_registry_that_can_not_be_asked_is_a_note():
    registry = Registry({"train-1"}, "private")
    with registry.serving() as registry.url:
        name = f"{registry.url.removeprefix('http://')}/team/conv2d"
        assert "wants credentials" in require_images([f"{name}:train-1"])
    assert "does not answer here" in require_images([f"{name}:train-1"])
    assert "name no registry" in require_images(["conv2d-pipeline:train-1"])


def test_a_login_goes_to_no_other_host_in_the_clear():
    """The realm is the registry's word, as is whatever stands before it."""
    registry = Registry({"train-1"}, "anonymous")
    with registry.serving() as url:
        registry.url = url.replace("127.0.0.1", "localhost")
        assert "wants credentials" in require_images([f"{url.removeprefix('http://')}/team/conv2d:train-1"])
    assert registry.count("GET", "/token") == 0


@pytest.mark.parametrize(
    ("image", "registry", "path"),
    [
        ("docker.io/team/x:1", "docker.io", "team/x"),
        ("index.docker.io/team/x:1", "docker.io", "team/x"),
        ("team/x:1", "docker.io", "team/x"),
        ("conv2d-pipeline:1", "", "conv2d-pipeline"),
        ("localhost/x:1", "localhost", "x"),
        ("127.0.0.1:5000/team/x:1", "127.0.0.1:5000", "team/x"),
        ("ghcr.io/team/deep/x:1", "ghcr.io", "team/deep/x"),
    ],
)
def test_names_are_read_as_docker_reads_them(image, registry, path):
    read = read_name(image)
    assert (read.registry, read.path, read.tag) == (registry, path, "1")


def test_docker_hub_is_asked_where_its_registry_answers():
    assert read_name("docker.io/team/x:1").url == "https://registry-1.docker.io/v2/team/x/manifests/1"


def test_a_redirect_to_a_page_that_is_not_there_does_not_mean_that_the_image_is_absent():
    class Page(Api):
        def handle(self, method, path, query, body, headers):
            return (404, {}) if path == "/page" else (301, ({}, {"Location": "/page"}))

    page = Page()
    with page.serving() as url:
        note = require_images([f"{url.removeprefix('http://')}/team/conv2d:train-1"])
    assert "sends us elsewhere (/page) instead of answering as a registry" in note


def test_a_login_by_file_is_read_by_dockers_rules(tmp_path):
    (tmp_path / "no-docker").mkdir()
    entry = base64.b64encode(b"ana:secret").decode()
    (tmp_path / "no-docker" / "config.json").write_text(
        f'{{"auths": {{"https://index.docker.io/v1/": {{"auth": "{entry}"}}}}}}'
    )
    assert _docker_login("docker.io") == f"{entry}"
    assert _docker_login("ghcr.io") is None


@pytest.mark.filterwarnings("ignore:docker-credential-not-installed")
@pytest.mark.parametrize("config", ["{", '{"credsStore": "not-installed"}', '{"auths": {"r.example": {"auth": "?"}}}'])
def test_a_login_that_can_not_be_read_is_none(tmp_path, config):
    (tmp_path / "no-docker").mkdir()
    (tmp_path / "no-docker" / "config.json").write_text(config)
    assert _docker_login("r.example") is None
