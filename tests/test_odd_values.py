"""Whatever a person sets, it is taken or refused in one line: odd values for every parameter, URI and variable."""

import os
import pathlib
import tempfile
from collections.abc import Callable

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from components.core.errors import PipelineError
from components.core.machine import lack
from components.core.storage import Limits, open_store
from components.download.look import look
from components.download.places import path_behind, scheme_of
from pipeline.cluster.compile import check_places
from pipeline.cluster.kubeflow import find_endpoint
from pipeline.cluster.schedule import check_cron
from pipeline.local.places import with_places, written_places
from pipeline.parameters.cluster_options import ClusterOptions, placement_file
from pipeline.parameters.parameters import STORE_PLACES, Parameters, configure
from pipeline.parameters.sweep import plan_sweep

# ruff: noqa: E501
# What has surprised somebody's parser before.
ODD = (
    "", " ", "\n", "0", "-1", "1e400", "nan", "inf", "1_000", "0x10", "true", "off", "null", "~", "~nobody-here/x", "/", ".",
    "..", "a/../b", "\\", "'", '"', "a b", "a\0b", "\ud800", "\u202e", "é", "{{$.pipeline_root}}", "{{workflow.name}}", "$HOME",
    "http://[bad", "http://[::1", "http://", "http://h:99999", "http://h:x", "http://me:s3cret@[", "HTTP://H/a?b#c", "://",
    "file:", "file:x", "file://host/x", "file:///a%00b", "file://[", "gs://", "gs://b", "gs:bucket", "gs://bucket/" + "k" * 1100,
    "s3://a@b/c", "minio://bucket//x", "ftp://host/x", "package:", "package:os/x", "package:no.such/x",
    "[", "[]", "{}", "[[[]]]", "[" * 2000, '{"a":' * 2000, "[1, null, true]", '[{"Conv2D": null}]', '{"a": {"b": []}}',
    "- Flatten:", "- &a [*a]", "!!python/object:os.system x", "a=1", "a=1,2 b=", "seed=1 seed=2", "x" * 5_000,
)  # fmt: skip
odd = st.one_of(st.sampled_from(ODD), st.text(max_size=30), st.text("{}[]:,\"'-=/@.$%0a\n", max_size=20))
names = st.sampled_from(sorted(Parameters.model_fields))
quick = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def one_line(action: Callable[[], object], public: bool = False) -> object:
    """What the action comes to, or None if it was refused in a line. Anything else that it raises fails the test.

    Args:
        public: whether the value is a place, whose password no line may repeat.
    """
    try:
        return action()
    except Exception as error:
        said = str(error) if isinstance(error, PipelineError) else lack(error)
        if said is None:
            raise
        assert said
        assert "\n" not in said
        assert not public or "s3cret" not in said
        said.encode()
        return None


@pytest.fixture
def somewhere_else(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little lies below `.`, `..` and `~`: a source that is a folder is looked through."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    monkeypatch.setenv("HOME", str(tmp_path))


@quick
@given(names, odd, st.sampled_from(["command line", "environment", "profile as text", "profile as YAML"]))
def test_a_parameter_is_taken_or_refused(somewhere_else, tmp_path_factory, name, value, where):
    own = tmp_path_factory.getbasetemp() / "own.yaml"
    profile, command_line, environment = "quickstart", [], {}
    if where == "command line":
        command_line = [f"{name.upper()}={value}"]
    elif where == "environment":
        environment = {f"CONV2D_{name.upper()}": value}
    else:
        text = yaml.dump({name: value}) if where.endswith("YAML") else f"{name}: {value}\n"
        own.write_text(text, encoding="utf-8", errors="surrogatepass")
        profile = str(own)
    found = one_line(lambda: configure(profile, command_line, environment), public=name in ("source", *STORE_PLACES))
    if found:
        # What was taken can be handed on: to a cluster, or to a run here.
        found.parameters.model_dump_json()
        one_line(lambda: check_places(found.parameters))
        one_line(lambda: written_places(found.parameters))
        source = found.parameters.source
        if not source or (scheme_of(source) == "file" and path_behind(source) != pathlib.Path("/")):  # 20 s of looking
            one_line(lambda: with_places(found.parameters, tmp_path_factory.getbasetemp()))


@pytest.mark.parametrize("name", ["architecture", "optimizer", "tolerations", "node_selector", "node_affinity"])
@pytest.mark.parametrize("value", ["[" * 2000, '{"a":' * 2000, "- " * 2000])
def test_deep_lists_are_refused(name, value):
    assert one_line(lambda: configure("quickstart", [f"{name}={value}"], {})) is None


@quick
@given(st.one_of(odd, st.binary(max_size=30)))
def test_a_profile_is_read_or_refused(tmp_path_factory, content):
    own = tmp_path_factory.getbasetemp() / "own.yaml"
    own.write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
    one_line(lambda: configure(str(own), environment={}))
    one_line(lambda: placement_file(own))


@quick
@given(odd)
@example("seed=" + ",".join("1" * 200))
@example(',"\n')
@example('"\n=,')
def test_a_grid_is_planned_or_refused(text):
    one_line(lambda: plan_sweep(Parameters(), text))
    one_line(lambda: plan_sweep(Parameters(), f"seed={text}"))
    one_line(lambda: plan_sweep(Parameters(), f"learning_rate={text} architecture={text}"))


@quick
@given(odd)
def test_what_a_cluster_is_told_is_taken_or_refused(text):
    one_line(lambda: find_endpoint(text, environment={"KUBECONFIG": "/no/such/file"}), public=True)
    one_line(lambda: find_endpoint(environment={"KFP_ENDPOINT": text, "KUBECONFIG": text}))
    one_line(lambda: check_cron(text))
    for option in ("queue", "priority", "webhook_secret"):
        one_line(lambda option=option: ClusterOptions(**{option: text}))


@quick
@given(odd)
def test_a_place_on_this_machine_is_looked_at_or_refused(text):
    assume(not text.lower().startswith(("http", "gs:", "s3:", "minio:")))
    assume("\0" not in text)  # refused before it gets this far
    with tempfile.TemporaryDirectory() as empty, pytest.MonkeyPatch.context() as there:
        deep = pathlib.Path(empty, "a/b/c")  # neither this checkout nor a home is to be listed, nor all of the machine
        deep.mkdir(parents=True)
        there.chdir(deep)
        there.setenv("HOME", str(deep))
        found = one_line(lambda: path_behind(text))
        assume(found is None or os.path.normpath(found).strip("/"))  # not `/` either
        one_line(lambda: look(text) if pathlib.Path(text).name else None)


NOBODY = {  # nobody answers at once, and nobody's logins are asked for
    "NO_GCE_CHECK": "true",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "MINIO_ACCESS_KEY": "a",
    "MINIO_SECRET_KEY": "b",
    "AWS_ENDPOINT_URL": "https://127.0.0.1:1",
    "STORAGE_EMULATOR_HOST": "https://127.0.0.1:1",
}
VARIABLES = (
    "STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_PROFILE", "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE", "MINIO_ACCESS_KEY", "MINIO_SECRET_KEY", "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "NO_PROXY",
)  # fmt: skip
SETTINGS_OF_MACHINES = (
    "", "x", "a b", "/no/such/file", "/etc/passwd", "/", "localhost:4443", "http://[bad", "http://[::1", "http://", "ftp://x",
    "http://h:99999", "socks5://127.0.0.1:1", "nonsense://x", "::", "http://me:s3cret@127.0.0.1:1", "é", "a\nb", "*",
)  # fmt: skip
LIMITS = Limits(deadline_s=0.02, stall_s=0.2, first_pause_s=0.01)


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_stores_variable_works_or_is_refused(variable, tmp_path, monkeypatch):
    for name in (*VARIABLES, "HTTP_PROXY", "http_proxy", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in NOBODY.items():
        monkeypatch.setenv(name, value)
    # One client reads them for s3:// and minio://, but for the keys that only minio:// has.
    scheme = {"AWS": "s3", "MINIO": "minio"}.get(variable.partition("_")[0], "gs")
    for value in SETTINGS_OF_MACHINES:
        monkeypatch.setenv(variable, value)
        one_line(lambda: open_store(f"{scheme}://bucket", LIMITS).read("x"), public=True)
