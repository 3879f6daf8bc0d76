"""The message to a team's webhook: what it says, that it stays a secret, and that one that is down harms nobody."""

import pytest

from components.core.errors import PipelineError
from components.notify.message import LONGEST_CAUSE, RunOutcome, card, is_teams, message, post_message
from tests.components.notify.conftest import Webhook

PATH = "/services/T000/B000/s3cret"


def test_a_success_tells_accuracy_and_link():
    text = message(RunOutcome("cifar10 2026", "run-1", "exported", accuracy=0.62349), "https://kfp.example/")["text"]
    assert text == "cifar10 2026: exported, test accuracy 0.6235\nhttps://kfp.example/#/runs/details/run-1"


def test_a_failure_tells_its_cause_on_one_line_without_markup():
    cause = "error: <!channel> see\nA & B " + "x" * 1000
    text = message(RunOutcome("nightly", "run-1", "failed", cause=cause, step="train"))["text"]
    lines = text.split("\n")
    assert lines[0] == "nightly: failed"
    assert lines[1].startswith("train: error: &lt;!channel&gt; see A &amp; B xxx")
    assert len(lines[1]) < 550
    assert lines[2] == "run run-1"
    assert message(RunOutcome("nightly", "run-1", "failed"), "http://[::1")["text"].endswith("\nrun run-1")
    cut = message(RunOutcome("nightly", "run-1", "failed", cause="x" * (LONGEST_CAUSE - 1) + "<b>"))["text"]
    assert "x&lt;\nrun" in cut  # not amid the sign's name, which Slack would show


def test_a_files_name_is_no_link_and_calls_nobody():
    """Errors name pictures, which may be anybody's."""
    name = "[log in again](https://evil.example) ![](https://evil.example/seen.png) @everyone @channel digits@champion"
    outcome = RunOutcome("nightly", "run-1", "failed", cause=name, step="preprocess")
    said = message(outcome)["text"]
    assert "](" not in said and "@everyone" not in said and "@channel" not in said
    assert said.replace("\u200b", "").split("\n")[1] == f"preprocess: {name}" and "digits@champion" in said
    [attached] = card(outcome)["attachments"]
    first, second, last = attached["content"]["body"]
    assert second == {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": f"preprocess: {name}"}]}
    assert (first["type"], last["text"]) == ("RichTextBlock", "run run-1")


@pytest.mark.parametrize(
    ("ui", "page"),
    [
        ("https://kfp.example", "https://kfp.example/"),
        ("https://kfp.example/#/experiments", "https://kfp.example/"),
        ("https://kubeflow.example/_/pipeline/?ns=team#/runs", "https://kubeflow.example/_/pipeline/?ns=team"),
    ],
)
def test_teams_gets_a_card(ui, page):
    """Its workflows answer 202 to a plain text too, and then show nothing."""
    sent = card(RunOutcome("nightly", "run-1", "failed", cause="a & b", step="train"), ui)
    [attached] = sent["attachments"]
    assert (sent["type"], attached["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    link = f"{page}#/runs/details/run-1"
    *said, last = attached["content"]["body"]
    assert [block["inlines"][0]["text"] for block in said] == ["nightly: failed", "train: a & b"]
    assert last["text"] == f"[{link}]({link})"


@pytest.mark.parametrize(
    ("host", "teams"),
    [
        ("prod-12.westeurope.logic.azure.com:443", True),
        ("default1234.56.environment.api.powerplatform.com", True),
        ("hooks.slack.com", False),
        ("chat.example.com", False),
    ],
)
def test_teams_is_known_by_its_host(host, teams):
    assert is_teams(f"https://{host}/workflows/1/triggers/manual/paths/invoke?sig=x") == teams


def test_it_is_posted_as_json_where_a_webhook_is_set(capsys):
    webhook = Webhook()
    with webhook.serving() as url:
        assert post_message(
            RunOutcome("n", "r", "exported", 0.5), {"NOTIFY_WEBHOOK_URL": f"{url}{PATH}\n", "NOTIFY_UI_URL": "http://k"}
        )
    assert webhook.requests == [
        ("POST", PATH, {}, {"text": "n: exported, test accuracy 0.5000\nhttp://k/#/runs/details/r"})
    ]
    assert "s3cret" not in "".join(capsys.readouterr())


def test_none_set_is_no_error(capsys):
    assert not post_message(RunOutcome("n", "r", "exported"), {})
    assert "no message is sent" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "tries", "said"),
    [
        ((503, "x"), 3, "HTTP 503"),
        ((429, "slow"), 3, "HTTP 429"),
        ("drop", 3, "ConnectionError"),
        ((404, "no_team"), 1, "HTTP 404"),
        ((307, ("", {"Location": "/another"})), 3, "HTTP 307"),
    ],
)
def test_a_webhook_that_is_down_is_a_line_without_its_url(capsys, fault, tries, said):
    webhook = Webhook()
    webhook.faults = [("POST", "/", fault)] * 3
    with webhook.serving() as url:
        assert not post_message(RunOutcome("n", "r", "failed"), {"NOTIFY_WEBHOOK_URL": f"{url}{PATH}"}, pause_s=0)
    assert len(webhook.requests) == tries
    printed = "".join(capsys.readouterr())
    assert said in printed
    assert "s3cret" not in printed
    assert "127.0.0.1" not in printed


def test_a_host_that_can_not_be_is_a_line(capsys):
    url = f"http://{'a' * 70}.example"
    assert not post_message(RunOutcome("n", "r", "failed"), {"NOTIFY_WEBHOOK_URL": url}, pause_s=0)
    assert "LocationParseError" in capsys.readouterr().out


def test_one_failure_is_tried_again():
    webhook = Webhook()
    webhook.faults = [("POST", "/", (503, "x"))]
    with webhook.serving() as url:
        assert post_message(RunOutcome("n", "r", "failed"), {"NOTIFY_WEBHOOK_URL": f"{url}{PATH}"}, pause_s=0)


def test_what_is_no_url_is_refused_without_being_shown():
    with pytest.raises(PipelineError) as caught:
        post_message(RunOutcome("n", "r", "failed"), {"NOTIFY_WEBHOOK_URL": "s3cret-token"})
    assert "s3cret" not in str(caught.value)
