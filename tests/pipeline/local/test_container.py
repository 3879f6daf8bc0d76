"""A container of a local run is given what a plain process has: logins, proxies, certificates, folders."""

import json
import pathlib

import pytest

from pipeline.local import container
from pipeline.local.runner import container_options
from pipeline.parameters.parameters import Parameters


@pytest.fixture
def home(tmp_path) -> pathlib.Path:
    home = tmp_path / "home"
    for name in (".aws/config", ".aws/sso/cache/x.json", ".config/gcloud/application_default_credentials.json"):
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return home


def test_the_logins_of_gcloud_and_aws_are_seen_and_can_not_be_written(home):
    given = container.variables({}, home)
    login = home / ".config/gcloud/application_default_credentials.json"
    assert given == {"GOOGLE_APPLICATION_CREDENTIALS": str(login)}
    # The clients look below the container's home folder.
    assert container.mounts(given, home, [], []) == {str(login): (login, False), "/tmp/.aws": (home / ".aws", False)}  # noqa: S108


def test_credentials_that_are_named_come_first(home, tmp_path):
    named = tmp_path / "key.json"
    token = tmp_path / "token"
    named.write_text(json.dumps({"type": "external_account", "credential_source": {"file": str(token)}}))
    token.touch()
    given = container.variables({"GOOGLE_APPLICATION_CREDENTIALS": str(named)}, home)
    assert given["GOOGLE_APPLICATION_CREDENTIALS"] == str(named)
    seen = container.mounts(given, home, [], [])
    assert (seen[str(named)], seen[str(token)]) == ((named, False), (token, False))


def test_another_folder_of_gclouds(home, tmp_path):
    other = tmp_path / "other" / "application_default_credentials.json"
    other.parent.mkdir()
    other.touch()
    given = container.variables({"CLOUDSDK_CONFIG": str(other.parent)}, home)
    assert given["GOOGLE_APPLICATION_CREDENTIALS"] == str(other)


def test_a_home_that_may_not_be_looked_into_has_no_logins(tmp_path):
    """`sudo -u` leaves root's. Root may look anywhere, so that here a name is too long instead."""
    closed = tmp_path / ("x" * 300)
    assert container.variables({}, closed) == container.mounts({}, closed, [], []) == {}


def test_proxies_profiles_and_certificates_are_handed_on_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").touch()
    environment = {
        "HTTPS_PROXY": "http://proxy:3128",
        "no_proxy": "localhost",
        "AWS_PROFILE": "team",
        "MINIO_ACCESS_KEY": "a",
        "STORAGE_EMULATOR_HOST": "http://gcs",
        "REQUESTS_CA_BUNDLE": "ca.pem",
        "AWS_CONFIG_FILE": "/no/such/file",
        "PATH": "/bin",
        "CONV2D_EPOCHS": "3",
        "GITHUB_TOKEN": "secret",
    }
    given = container.variables(environment, tmp_path)
    kept = {name: value for name, value in environment.items() if name not in ("PATH", "CONV2D_EPOCHS", "GITHUB_TOKEN")}
    assert given == {**kept, "REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem")}
    assert container.mounts(given, tmp_path, [], []) == {str(tmp_path / "ca.pem"): (tmp_path / "ca.pem", False)}


def test_every_spelling_of_a_proxy_and_every_kind_of_certificate_and_login_goes_along(home, tmp_path):
    proxies = {f"{name}_proxy": f"http://me:pw@{name}:3128" for name in ("http", "https", "all")} | {
        "no_proxy": ".corp"
    }
    proxies |= {name.upper(): value for name, value in proxies.items()}
    files = {name: tmp_path / name.lower() for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "AWS_CA_BUNDLE", "NETRC")}
    files |= {"MLFLOW_TRACKING_SERVER_CERT_PATH": tmp_path / "mlflow.pem", "AWS_CONFIG_FILE": tmp_path / "aws"}
    for name, path in files.items():
        path.mkdir() if name == "SSL_CERT_DIR" else path.touch()
    (home / ".netrc").touch()
    told = {"NO_GCE_CHECK": "true", "MLFLOW_TRACKING_TOKEN": "t", "AWS_EC2_METADATA_DISABLED": "true"}
    environment = {**proxies, **told, **{name: str(path) for name, path in files.items()}}
    given = container.variables(environment, home)
    assert given.items() >= environment.items()
    seen = container.mounts(given, home, [], [])
    assert {str(path): (path, False) for path in files.values()}.items() <= seen.items()
    assert seen["/tmp/.netrc"] == (home / ".netrc", False)  # noqa: S108


@pytest.mark.parametrize(
    ("value", "here"),
    [
        ("http://127.0.0.1:3128", True),
        ("http://me:pw@localhost:3128", True),
        ("https://[::1]:9000/x", True),
        ("http://localhost.corp:3128", False),
        ("https://10.0.0.1", False),
        ("localhost", False),
        ("http://[", False),
        ("", False),
        (3, False),
    ],
)
def test_a_server_of_this_machines_loopback_is_reached_through_its_network(value, here):
    assert container.names_this_machine([value]) is here


def test_a_container_has_what_a_sweeps_trials_read_and_each_source_of_several(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    for name in [*container.VARIABLES, *container.FILES]:
        monkeypatch.delenv(name, raising=False)
    weights = [tmp_path / f"{name}.h5" for name in ("plain", "first", "second")]
    for path in weights:
        path.touch()
    plain, first, second = (f'[{{"ResNet50":{{"weights":"{path}","sha256":"{"0" * 64}"}}}}]' for path in weights)
    parameters = Parameters(
        architecture=plain, dataset="image_folder", source='["http://127.0.0.1:80/a.zip", "gs://photos/b.zip"]'
    )
    trials = (f"architecture={first} epochs=2", f"epochs=2 architecture={second}", "epochs=2")
    options = container_options(parameters, tmp_path / "outputs", trials)
    assert {str(path) for path in weights} <= {mount["Target"] for mount in options["mounts"]}
    assert options["network_mode"] == "host"


def test_the_runner_mounts_every_place_that_a_parameter_names_once(home, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("CONV2D_DOWNLOAD_CACHE", str(tmp_path / "downloads"))
    for name in container.FILES:
        monkeypatch.delenv(name, raising=False)
    source = tmp_path / "photos"
    source.mkdir()
    outputs = tmp_path / "outputs"
    parameters = Parameters(
        dataset="image_folder",
        source=str(source),
        mirror=f"file://{tmp_path}/mirror",
        publish_uri=str(source),  # to read from and to write to
        checkpoints=str(outputs / ".checkpoints"),
        tensorboard_uri="gs://bucket/boards",
    )
    for name in [*container.VARIABLES, "AWS_ENDPOINT_URL"]:
        monkeypatch.delenv(name, raising=False)
    options = container_options(parameters, outputs)
    mounted = {mount["Target"]: mount["ReadOnly"] for mount in options["mounts"]}
    assert mounted == {
        str(home / ".config/gcloud/application_default_credentials.json"): True,
        "/tmp/.aws": True,  # noqa: S108
        str(source): False,
        str(outputs): False,
        str(tmp_path / "mirror"): False,
        str(tmp_path / "downloads"): False,
    }
    assert all(pathlib.Path(mount["Source"]).exists() for mount in options["mounts"])
    assert options["environment"]["CONV2D_DOWNLOAD_CACHE"] == str(tmp_path / "downloads")
    assert options["environment"]["HOME"] == "/tmp"  # noqa: S108
    assert "network_mode" not in options
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pw@127.0.0.1:3128")
    assert container_options(parameters, outputs)["network_mode"] == "host"
