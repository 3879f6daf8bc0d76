"""Recurring runs against a real HTTP server that speaks KFP's API."""

import re

import pytest
from click.testing import CliRunner

from components.core.errors import PipelineError
from pipeline.cluster.kubeflow import Endpoint, connect
from pipeline.cluster.schedule import check_cron, schedule, schedules, unschedule
from pipeline.cluster.upload import upload
from pipeline.commands.main import main
from tests.pipeline.pipelines import training
from tests.servers.kfp_api import KfpApi, error


@pytest.mark.parametrize(
    ("cron", "sent"),
    [
        ("30 2 * * 1", "0 30 2 * * 1"),
        ("*/15 8-18 1,15 jan-jun MON-FRI", "0 */15 8-18 1,15 jan-jun MON-FRI"),
        ("15 30 2 * * ?", "15 30 2 * * ?"),
        ("5/15 2 29 2 *", "0 5/15 2 29 2 *"),
        ("0 2 31 2 mon", "0 0 2 31 2 mon"),
        ("0 2 31 feb,mar *", "0 0 2 31 feb,mar *"),
    ],
)
def test_five_fields_become_kfps_six(cron, sent):
    assert check_cron(cron) == sent


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("", "minute, hour, day, month, weekday"),
        ("daily", "minute, hour, day, month, weekday"),
        ("60 2 * * 1", "0 to 59 as the minute"),
        ("0 24 * * 1", "0 to 23 as the hour"),
        ("0 2 0 * 1", "1 to 31 as the day of month"),
        ("0 2 * 13 1", "1 to 12 as the month"),
        ("0 2 * * 8", "0 to 6 as the day of week"),
        ("0 2 * * mon-foo", "day of week"),
        ("*/0 2 * * 1", "minute"),
        ("5-1 2 * * 1", "minute"),
        ("1-2-3 2 * * 1", "minute"),
        ("*/90 2 * * 1", "minute"),
        ("\u0663 2 * * 1", "minute"),
        ("-5 2 * * 1", "minute"),
    ],
)
def test_an_impossible_time_names_its_field(cron, said):
    with pytest.raises(PipelineError, match=said) as caught:
        check_cron(cron)
    assert "UTC" in str(caught.value) or said.startswith("minute,")


@pytest.mark.parametrize("cron", ["0 2 31 2 *", "0 2 30,31 feb *", "0 2 31 4-6/2 ?", "0 2 31/1 9,nov */2"])
def test_a_day_that_never_comes_is_refused(cron):
    """KFP's scheduler takes the time that robfig/cron does not find for one long ago, and looks on from it for ever."""
    with pytest.raises(PipelineError, match="expected a day that comes in CRON, received day"):
        check_cron(cron)


def test_a_schedule_is_made_listed_and_removed(quickstart_compiled):
    api = KfpApi()
    with api.serving() as url:
        place = Endpoint(url, patience_s=0.5)
        pipeline = training("EPOCHS=3")
        name, identity, _ = schedule(pipeline, quickstart_compiled, "30 2 * * *", place, "conv2d")
        schedule(pipeline, quickstart_compiled, "0 0 1 * *", place, "conv2d", name="monthly")
        assert [entry.display_name for entry in schedules(connect(place))] == ["quickstart", "monthly"]
        sent = api.recurring[identity]
        assert sent["trigger"]["cron_schedule"]["cron"] == "0 30 2 * * *"
        assert (sent["max_concurrency"], sent["no_catchup"], sent["mode"]) == (1, True, "ENABLE")
        assert sent["runtime_config"]["parameters"]["epochs"] == 3
        with pytest.raises(PipelineError, match="there is a schedule 'quickstart' already"):
            schedule(pipeline, quickstart_compiled, "30 2 * * *", place, "conv2d")
        with pytest.raises(PipelineError, match="no schedule 'monthy'; did you mean 'monthly'"):
            unschedule("monthy", place)
        assert unschedule(name, place) == identity
        api.recurring["another"] = {**sent, "recurring_run_id": "another", "display_name": "monthly"}  # KFP takes any
        with pytest.raises(PipelineError, match="2 schedules are named 'monthly'; give an id: schedule-3, "):
            unschedule("monthly", place)
        assert unschedule("another", place) == "another"
        assert unschedule("schedule-3", place) == "schedule-3"
        assert schedules(connect(place)) == []
        with pytest.raises(PipelineError, match="there is none at all"):
            unschedule(name, place)


@pytest.mark.parametrize("name", ["-nightly", "夜-2", "_-"])
def test_a_name_that_is_none_to_kubernetes_is_refused(quickstart_compiled, name):
    pipeline = training()
    with pytest.raises(PipelineError, match="expected a name with a letter .a to z. or digit before its first dash"):
        schedule(pipeline, quickstart_compiled, "30 2 * * *", Endpoint("http://x"), "conv2d", name=name)


def test_any_other_name_is_taken(quickstart_compiled):
    pipeline, names = training(), ["夜", "Nightly run", "a/b", "2-夜-"]
    with KfpApi().serving() as url:
        for name in names:
            schedule(pipeline, quickstart_compiled, "30 2 * * *", Endpoint(url), "conv2d", name=name)
        assert [entry.display_name for entry in schedules(connect(Endpoint(url)))] == names


def test_schedules_tell_whose_code_they_run(quickstart_compiled, tmp_path):
    """It stays that of the day they were made, whatever is changed and pushed later: nothing told so."""
    older = tmp_path / "older.yaml"
    older.write_text(re.sub(r"(image: \S+:train)-[0-9a-f]{12}", r"\1-000000000000", quickstart_compiled.read_text()))
    api, pipeline = KfpApi(), training()
    with api.serving() as url:
        place = Endpoint(url)
        schedule(pipeline, quickstart_compiled, "30 2 * * *", place, "conv2d", name="new")
        schedule(pipeline, older, "30 2 * * *", place, "conv2d", name="old")
        upload("quickstart", "abc-1", older, place)
        schedule(pipeline, "abc-1", "30 2 * * *", place, "conv2d", name="of-a-version")
        made = api.recurring["schedule-2"]
        plain = {"deploymentSpec": {"executors": {"exec-a": {"container": {"image": "python:3.13"}}}}}
        theirs = {"pipeline_spec": plain, "display_name": "theirs", "recurring_run_id": "other"}
        api.recurring["other"] = {**made, **theirs}
        listed = CliRunner().invoke(main, ["schedules", "--endpoint", url], catch_exceptions=False).output
    rows = [line.split() for line in listed.splitlines()[1:]]
    assert [(row[0], " ".join(row[8:-1])) for row in rows] == [
        ("new", "unchanged"), ("old", old := "changed since: train"), ("of-a-version", old), ("theirs", "-"),
    ]  # fmt: skip


def test_a_refusal_is_one_line_and_an_answer_that_is_lost_makes_no_second_schedule(quickstart_compiled):
    api = KfpApi()
    api.faults = [("POST", "/apis/v2beta1/recurringruns", error(403, 7, "not authorized"))]
    with api.serving() as url:
        pipeline = training()
        with pytest.raises(PipelineError, match="no permission in the default namespace"):
            schedule(pipeline, quickstart_compiled, "30 2 * * *", Endpoint(url, patience_s=0.5), "conv2d")
        api.faults = [("POST", "/apis/v2beta1/recurringruns", "drop after")]
        with pytest.raises(PipelineError, match="no answer"):
            schedule(pipeline, quickstart_compiled, "30 2 * * *", Endpoint(url, patience_s=0.5), "conv2d")
        assert len(api.recurring) == 1


def test_a_schedule_as_typed_takes_nothing_from_the_cache(tmp_path, monkeypatch):
    """Otherwise every run after the first would take the first one's model; with a webhook too, and with a grid."""
    monkeypatch.chdir(tmp_path)
    api = KfpApi()
    with api.serving() as url:
        options = ["--endpoint", url, "--no-check-images", "--webhook-secret", "conv2d-webhook", "--grid", "seed=1,2"]
        options += ["--experiment", "ours", "--service-account", "conv2d-runner"]
        ended = CliRunner().invoke(main, ["schedule", "30 2 * * *", *options], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    [sent] = api.recurring.values()
    assert sent["service_account"] == "conv2d-runner"
    assert [experiment["display_name"] for experiment in api.experiments.values()] == ["ours"]
    spec = sent["pipeline_spec"]["pipeline_spec"]
    groups = [spec["root"], *(component for component in spec["components"].values() if "dag" in component)]
    tasks = {name: task for group in groups for name, task in group["dag"]["tasks"].items()}
    assert not tasks["train"]["cachingOptions"].get("enableCache")
    assert not tasks["download"]["cachingOptions"].get("enableCache")
