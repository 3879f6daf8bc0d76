"""Following a run to whatever end, over connections that fail, without a view of its pods."""

import dataclasses

import pytest

from components.core.errors import PipelineError
from pipeline.cluster.follow import Watch, follow
from pipeline.cluster.kubeflow import Endpoint, connect
from pipeline.parameters.parameters import configure
from tests.pipeline.cluster.submitting import FAST, STORY, TRAIN_FAILED, run, tasks, told
from tests.servers.kfp_api import KfpApi, error
from tests.servers.kfp_runs import ROOT_WAITS, Moment

pytestmark = pytest.mark.usefixtures("bare_home")


def test_a_run_that_succeeds_is_followed_step_by_step(quickstart_compiled):
    api = KfpApi(STORY)
    said = run(api, quickstart_compiled)
    assert said[1].strip().endswith("/#/runs/details/run-2")
    assert said[2:6] == ["check", "  succeeded, 30.0 s", "download", "  succeeded, 30.0 s"]
    assert not [line for line in said if "driver" in line or "executor" in line]
    assert said[-1] == "the run succeeded"
    sent = api.runs["run-2"]
    assert sent["runtime_config"]["parameters"]["epochs"] == configure("quickstart", environment={}).parameters.epochs
    assert sent["runtime_config"]["parameters"]["tolerations"] == []
    assert set(sent["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Moment("FAILED", tasks("FAILED")), "download failed: KFP's API does not say why"),
        (Moment("FAILED", tasks("SUCCEEDED")), "the run failed: KFP does not say in which step, nor why"),
        (Moment("CANCELED", tasks("RUNNING")), "the run was cancelled"),
        (Moment("FAILED", tasks("FAILED"), history=("RUNNING", "CANCELING")), "the run was cancelled"),
        (Moment("SKIPPED"), "the run was skipped"),
    ],
)
def test_any_other_end_is_an_error_with_its_reason(quickstart_compiled, last, said):
    with pytest.raises(PipelineError) as caught:
        run(KfpApi([*STORY[:2], last]), quickstart_compiled)
    assert said in str(caught.value)


def test_how_tasks_have_ended_is_known_after_the_run_has(quickstart_compiled):
    """KFP stores one after the other: now and then the last step was running to the end, and no step had failed."""
    with pytest.raises(PipelineError, match="download failed"):
        run(KfpApi([Moment("FAILED", tasks("RUNNING")), Moment("FAILED", tasks("FAILED"))]), quickstart_compiled)


def test_a_run_that_has_failed_and_goes_on_says_for_what(quickstart_compiled):
    """Argo's DAG runs until all that it began has ended: an hour's download held up the word that a value can't be."""
    refused = {"check": "FAILED", "download": "RUNNING"}
    moments = [*[Moment("RUNNING", refused)] * 3, Moment("FAILED", {**refused, "download": "SUCCEEDED"})]
    lines, error = told(KfpApi(moments), quickstart_compiled)
    assert str(error).startswith("check failed")
    said = "note: no step begins any more; the run has failed when download has ended"
    assert [line for line in lines if line.startswith("note")] == [said]


def test_a_run_that_was_cancelled_and_then_retried_is_no_cancelled_one(quickstart_compiled):
    """KFP's page has a button for it; the history keeps both."""
    before = ("RUNNING", "CANCELING", "FAILED", "RUNNING")
    moments = [Moment("RUNNING", tasks("SUCCEEDED", "RUNNING"), history=before[:-1])]
    last = Moment("SUCCEEDED", tasks(*["SUCCEEDED"] * 5), history=before)
    assert run(KfpApi([*moments, last]), quickstart_compiled)[-1] == "the run succeeded"
    with pytest.raises(PipelineError, match="train failed"):
        run(KfpApi([dataclasses.replace(TRAIN_FAILED, history=before)]), quickstart_compiled)


def test_a_run_that_is_being_cancelled_is_followed_to_its_end(quickstart_compiled):
    with pytest.raises(PipelineError, match="cancelled"):
        run(KfpApi([Moment("CANCELING"), Moment("CANCELING"), Moment("CANCELED")]), quickstart_compiled)


def test_a_timeout_leaves_the_run_alone_and_says_how_to_go_on(quickstart_compiled):
    api = KfpApi([Moment("RUNNING", tasks("RUNNING"))])
    with pytest.raises(PipelineError, match="within 0.05 s; it goes on; follow it with: .* follow run-2"):
        run(api, quickstart_compiled, Watch(interval=0.01, patience=0.5, timeout=0.05))
    assert not [request for request in api.requests if ":terminate" in request[1]]


@pytest.mark.parametrize("waiting", [tasks("SUCCEEDED", "PENDING"), {}], ids=["a step", "KFP's own first pod"])
def test_without_a_kubeconfig_time_without_progress_means_stuck(quickstart_compiled, waiting):
    api = KfpApi([Moment("RUNNING", waiting) if waiting else ROOT_WAITS])
    with pytest.raises(PipelineError, match="stuck, nothing has moved for 0.05 s: a pod waits to start; .*kubectl"):
        run(api, quickstart_compiled, Watch(interval=0.01, patience=0.5, stuck_after=0.05))


def test_a_step_that_runs_long_is_not_stuck(quickstart_compiled):
    api = KfpApi([Moment("RUNNING", tasks("SUCCEEDED", "SUCCEEDED", "RUNNING", "PENDING"))] * 8 + STORY[-1:])
    assert (
        run(api, quickstart_compiled, Watch(interval=0.02, patience=0.5, stuck_after=0.05))[-1] == "the run succeeded"
    )


# What a connection may do, and the request it does it to.


@pytest.mark.parametrize("fault", [(502, "<html>x</html>"), error(500, 13, "internal"), error(429, 8, "slow"), "drop"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/apis/v2beta1/healthz"), ("GET", "/apis/v2beta1/experiments"), ("GET", "/apis/v2beta1/runs/run-2")],
)
def test_failures_that_pass_are_waited_for(quickstart_compiled, method, path, fault):
    api = KfpApi(STORY)
    api.faults = [(method, path, fault)]
    said = run(api, quickstart_compiled)
    assert said[-1] == "the run succeeded"
    assert api.faults == []


def test_a_dropped_port_forward_is_one_line(quickstart_compiled, caplog):
    api = KfpApi(STORY)
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", "drop")] * 5
    said = run(api, quickstart_compiled)
    told = [line for line in said if "connect" in line]
    assert [line.partition(" to http")[0] for line in told] == ["lost the connection", "connected again"]
    assert [record for record in caplog.records if "urllib3" in record.name] == []


@pytest.mark.parametrize("fault", ["drop", "drop after", error(503, 14, "upstream connect error")])
def test_a_submission_whose_answer_is_lost_starts_one_run_only(quickstart_compiled, fault):
    api = KfpApi(STORY)
    api.faults = [("POST", "/apis/v2beta1/runs", fault)]
    assert run(api, quickstart_compiled)[-1] == "the run succeeded"
    assert len(api.runs) == 1
    assert api.faults == []


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(quickstart_compiled, monkeypatch):
    monkeypatch.setattr("pipeline.cluster.kubeflow.TIMEOUT_S", (5, 1.0))
    api = KfpApi(STORY)
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", "stall"), ("POST", "/apis/v2beta1/runs", "stall")]
    said = run(api, quickstart_compiled)
    assert said[-1] == "the run succeeded"
    assert api.faults == []


def test_a_connection_that_stays_lost_leaves_the_run_alone(quickstart_compiled):
    api = KfpApi([Moment("RUNNING")])
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", "drop")] * 100
    said, error = told(api, quickstart_compiled, Watch(0.01, patience=0.2))
    goes_on = "the run, if there is one, goes on; follow it with: python -m pipeline follow run-2 --endpoint http"
    assert goes_on in str(error)
    assert len([line for line in said if line.startswith("lost the connection")]) == 1


def test_a_run_that_is_deleted_meanwhile_does_not_go_on(quickstart_compiled):
    api = KfpApi([Moment("RUNNING")])

    def deleted(*_):
        if api.count("GET", "/apis/v2beta1/runs/run-2") == 3:
            api.runs.clear()

    api.before = deleted
    with pytest.raises(PipelineError, match="^the run was deleted, and its pods with it$"):
        run(api, quickstart_compiled)


def test_a_run_that_is_not_there_is_told_as_that():
    with KfpApi().serving() as url, pytest.raises(PipelineError) as told:
        follow(connect(Endpoint(url)), "nightly", FAST, None)
    assert str(told.value) == f"no run nightly at {url}; a run's page shows its id"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (error(401, 16, "token is expired"), "token: missing, wrong or expired.*goes on"),
        ((404, "default backend - 404"), "not found: .*goes on"),  # a gateway's, which knows of no run
    ],
)
def test_a_token_or_a_way_that_ends_meanwhile_is_told(quickstart_compiled, fault, said):
    api = KfpApi([Moment("RUNNING")])
    api.faults = [("GET", "/apis/v2beta1/runs/run-2", fault)]
    with pytest.raises(PipelineError, match=said):
        run(api, quickstart_compiled)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/apis/v2beta1/runs/run-2"), ("POST", "/apis/v2beta1/runs")], ids=["follow", "submit"]
)
def test_a_login_that_expires_meanwhile_is_told_too(quickstart_compiled, method, path):
    """A proxy with a login of its own sends whoever has none to its page, which is a success to HTTP.

    The SDK made a run without a state of it, and that was followed for ever.
    """
    api = KfpApi([Moment("RUNNING")])
    api.faults = [(method, path, (302, ("<html>Found</html>", {"Location": "/dex/auth"})))] * 100
    with pytest.raises(PipelineError, match="received a web page, such as one to log in: has the login expired?"):
        run(api, quickstart_compiled, Watch(interval=0.01, patience=0.5, timeout=5.0))
