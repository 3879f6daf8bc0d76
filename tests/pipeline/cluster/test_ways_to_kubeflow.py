"""Kubeflow as companies have it: below an authority of their own, behind proxies, in any namespace, for many users."""

import json
import types

import pytest

from components.core.errors import PipelineError
from pipeline.cluster.kubeflow import TIMEOUT_S, Endpoint, _guard, connect
from pipeline.cluster.pods import find_pods
from pipeline.cluster.schedule import schedules
from pipeline.cluster.submit import obtain_experiment, pods_namespace
from pipeline.cluster.upload import upload
from tests.pipeline.cluster.submitting import STORY, run
from tests.servers.certificate import certificate, tls_of  # noqa: F401
from tests.servers.kfp_api import KfpApi, error
from tests.servers.kube_api import KubeApi, kubeconfig, lead_to

pytestmark = pytest.mark.usefixtures("bare_home")
PROXIED = "/api/v1/namespaces/kubeflow/services/ml-pipeline:http/proxy/"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# Certificates and proxies.


def test_a_certificate_of_ones_own_authority_is_trusted_by_the_usual_variable(certificate, monkeypatch):  # noqa: F811
    with KfpApi().serving(tls_of(certificate)) as url:
        with pytest.raises(PipelineError, match="no secure connection .* set REQUESTS_CA_BUNDLE to a file") as caught:
            connect(Endpoint(url))
        assert "port-forward" not in str(caught.value)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert schedules(connect(Endpoint(url))) == []


class ForwardProxy(KfpApi):
    """A proxy that asks for a password, and Kubeflow behind it, whose name nobody else can look up."""

    def handle(self, method, path, query, body, headers):
        if headers["Proxy-Authorization"] != "Basic bWU6cHc=":
            return 407, {}
        assert headers["Host"] == "kubeflow.company.invalid"
        return super().handle(method, path, query, body, headers)


def test_kubeflow_behind_a_proxy_is_reached_through_it(monkeypatch, quickstart_compiled):
    api, plain = ForwardProxy(), KfpApi(STORY)
    with api.serving() as url:
        monkeypatch.setenv("HTTP_PROXY", url.replace("//", "//me:pw@"))
        assert schedules(connect(Endpoint("http://kubeflow.company.invalid"))) == []
        # A port-forward is on this machine, whatever NO_PROXY says.
        assert run(plain, quickstart_compiled)[-1] == "the run succeeded"


@pytest.mark.parametrize("named", ["environment", "kubeconfig"])
def test_kubernetes_behind_a_proxy_is_reached_through_it(monkeypatch, tmp_path, named):
    """As by kubectl: doctor said that nothing answers, and a run was followed without its lines and reasons."""
    with KubeApi().serving() as url:
        proxy = url if named == "kubeconfig" else ""
        lead_to(kubeconfig(tmp_path / "kubeconfig", "http://kubernetes.company.invalid", proxy), monkeypatch)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9" if proxy else url)
        assert find_pods("run-2", "") is not None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("HTTP_PROXY", "socks5://127.0.0.1:9", "unsupported scheme socks5"),
        ("HTTP_PROXY", "127.0.0.1:9", "Unable to connect to proxy"),
        (
            "KF_PIPELINES_SA_TOKEN_PATH",
            "/no/token",
            "a token in the file of KF_PIPELINES_SA_TOKEN_PATH, received",
        ),
    ],
)
def test_a_variable_that_leads_nowhere_is_one_line(monkeypatch, variable, value, said):
    monkeypatch.setattr("pipeline.cluster.kubeflow.FIRST_PATIENCE_S", 0.05)
    monkeypatch.setenv(variable, value)
    with pytest.raises(PipelineError) as caught:
        connect(Endpoint("http://kubeflow.company.invalid"))
    assert said in str(caught.value)


def test_every_request_has_a_time_limit():
    """The SDK has none: a connection that was cut without a word would be waited for, for ever."""
    asked: list[dict] = []
    answer = types.SimpleNamespace(headers={})
    rest = types.SimpleNamespace(request=lambda *_, **named: asked.append(named) or answer)
    _guard(rest)
    rest.request("GET", "http://kubeflow/apis")
    assert asked == [{"_request_timeout": TIMEOUT_S}]


# What stands before Kubeflow.


@pytest.mark.parametrize(
    "refusal",
    [(403, "RBAC: access denied"), (403, "<html><title>Sign in</title></html>"), (403, "")],
    ids=["Istio", "a page", "nothing"],
)
def test_a_refusal_by_what_stands_before_kubeflow_asks_for_a_token_and_for_no_role(refusal):
    api = KfpApi()
    api.faults = [("GET", "/apis/v2beta1/healthz", refusal)]
    with api.serving() as url, pytest.raises(PipelineError, match="what stands before it .* fresh token") as caught:
        connect(Endpoint(url))
    assert "kubeflow-edit" not in str(caught.value)


def test_a_token_in_a_file_that_is_renewed_is_read_anew(monkeypatch, tmp_path):
    """A run outlives an hour's token."""
    api, file = KfpApi(token="first"), tmp_path / "token"
    file.write_text("first")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(file))
    with api.serving() as url:
        client = connect(Endpoint(url))
        for token in ("second", "third"):
            api.token = token
            file.write_text(token)
            assert schedules(client) == []
        api.token = "another"
        assert schedules(connect(Endpoint(url, token="another"))) == []


# Namespaces.


def remember(monkeypatch, tmp_path, namespace: str) -> None:
    """What the SDK keeps of the last cluster: in a file that it reads for each."""
    import kfp

    path = tmp_path / "context.json"
    path.write_text(json.dumps({"namespace": namespace}))
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(path))


@pytest.mark.parametrize("remembered", ["", "of-another-cluster"])
def test_a_kfp_of_one_user_in_a_namespace_of_its_own(monkeypatch, tmp_path, quickstart_compiled, remembered):
    """As on OpenShift AI: the namespace says where the pods are, and is not named to KFP, which refuses any."""
    remember(monkeypatch, tmp_path, remembered)
    api = KfpApi(STORY)
    assert run(api, quickstart_compiled, namespace="my-project")[-1] == "the run succeeded"
    with api.serving() as url:
        place = Endpoint(url, "my-project", patience_s=3.0)
        assert schedules(connect(place)) == []
        upload("digits", "abc-1", quickstart_compiled, place)
        assert pods_namespace(connect(place), "run-2") == "my-project"


def test_the_namespace_that_the_sdk_remembers_is_the_users_of_a_kfp_of_many(monkeypatch, tmp_path, quickstart_compiled):
    remember(monkeypatch, tmp_path, "ana")
    api = KfpApi(STORY, namespaces=("ana",))
    assert run(api, quickstart_compiled)[-1] == "the run succeeded"
    with api.serving() as url:
        upload("digits", "abc-1", quickstart_compiled, Endpoint(url, patience_s=3.0))
        assert schedules(connect(Endpoint(url))) == []
    assert [made["namespace"] for made in (*api.experiments.values(), *api.pipelines.values())] == ["ana", "ana"]


def test_the_pods_of_a_run_are_in_the_namespace_of_its_experiment(quickstart_compiled):
    """Whoever follows a run by its id may not know whose it is."""
    api = KfpApi(STORY, namespaces=("ana", "ben"))
    run(api, quickstart_compiled, namespace="ben")
    [run_id] = api.runs
    with api.serving() as url:
        client = connect(Endpoint(url))
        assert pods_namespace(client, run_id) == "ben"
        assert pods_namespace(client, "no-run") == "kubeflow"


class ThroughKubernetes(KfpApi):
    """The Kubernetes API, which hands on what is for Kubeflow's own service, in Kubeflow's own namespace."""

    def handle(self, method, path, query, body, headers):
        if not path.startswith(PROXIED):
            return 404, {"kind": "Status", "message": 'services "ml-pipeline:http" not found', "code": 404}
        return super().handle(method, f"/{path.removeprefix(PROXIED).lstrip('/')}", query, body, headers)


@pytest.mark.parametrize("proxied", [False, True])
def test_kubeflow_is_reached_through_kubernetes_with_a_kubeconfigs_token(monkeypatch, tmp_path, proxied):
    """As on each cloud. The user's namespace is not where Kubeflow's own service is looked for."""
    api = ThroughKubernetes(namespaces=("ana",))
    with api.serving() as url:
        place = ("http://kubernetes.company.invalid", url) if proxied else (url,)
        lead_to(kubeconfig(tmp_path / "kubeconfig", *place), monkeypatch)
        assert schedules(connect(Endpoint(namespace="ana"))) == []
    assert api.requests[-1][2]["namespace"] == "ana"


def test_a_kubeconfigs_proxy_leads_to_its_own_cluster_alone(monkeypatch, tmp_path):
    lead_to(kubeconfig(tmp_path / "kubeconfig", "http://kubernetes.company.invalid", "http://127.0.0.1:9"), monkeypatch)
    with KfpApi().serving() as url:
        assert schedules(connect(Endpoint(url))) == []


@pytest.mark.parametrize("text", ["a: [b", "hello", "clusters: null", "current-context: gone"])
def test_a_kubeconfig_that_is_none_is_one_line_and_a_run_is_followed_without(monkeypatch, tmp_path, text):
    (tmp_path / "kubeconfig").write_text(text)
    lead_to(tmp_path / "kubeconfig", monkeypatch)
    assert find_pods("run-2", "") is None
    with pytest.raises(PipelineError, match="expected a kubeconfig that leads to .*, received none with a context"):
        connect(Endpoint())


def test_a_token_beside_a_kubeconfig_takes_an_endpoint(monkeypatch, tmp_path):
    """The SDK reads no kubeconfig then, and went to port 80 of this machine."""
    lead_to(kubeconfig(tmp_path / "kubeconfig", "http://kubernetes.company.invalid"), monkeypatch)
    with pytest.raises(PipelineError, match="received a token, which is for an endpoint; give --endpoint"):
        connect(Endpoint(token="t"))


# Two people at once.


def test_an_experiment_that_somebody_else_makes_at_the_same_moment_is_theirs_and_ours():
    api = KfpApi()

    def made(method, path):
        if (method, path) == ("POST", "/apis/v2beta1/experiments") and not api.experiments:
            api.handle("POST", path, {}, {"display_name": "conv2d"}, {})

    api.before = made
    with api.serving() as url:
        assert obtain_experiment(connect(Endpoint(url, patience_s=1.0)), "conv2d") == "experiment-1"


def test_another_conflict_is_told():
    api = KfpApi()
    api.faults = [("POST", "/apis/v2beta1/experiments", error(409, 6, "Already exist error: what"))] * 2
    with api.serving() as url, pytest.raises(PipelineError, match="409: Already exist error: what"):
        obtain_experiment(connect(Endpoint(url, patience_s=1.0)), "conv2d")
