"""The message to a team's webhook, in the JSON that Slack, Mattermost, Rocket.Chat and Discord (with /slack) read, or
as the card that workflows of Microsoft Teams read: they say 202 to anything, and post nothing else.

The webhook's URL is a secret: whoever has it can post. So it is no pipeline parameter, which KFP would show and keep;
it reaches the pod as an environment variable from a Kubernetes secret, and no line printed here contains it.
"""

import dataclasses
import os
import re
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from components.core.errors import PipelineError, one_line
from components.core.storage.location import is_url

# The keys of the Kubernetes secret, and the variables they become.
SECRET_KEYS = {"url": "NOTIFY_WEBHOOK_URL", "ui": "NOTIFY_UI_URL"}
TRIES = 3
TIMEOUT_S = 10.0
LONGEST_CAUSE = 500
TOO_MANY = "HTTP 429"
CALL_OR_LINK = re.compile(r"\](?=[(\[])|@(?=(?:all|channel|everyone|here)\b)")
TEAMS = re.compile(r"\.(logic\.azure|powerplatform)\.")


@dataclasses.dataclass(frozen=True)
class RunOutcome:
    """How a run ended, in a word or two; accuracies are those of the test pictures, None if there is none to tell."""

    run_name: str
    run_id: str
    outcome: str
    accuracy: float | None = None
    balanced_accuracy: float | None = None
    cause: str = ""
    step: str = ""


def message(outcome: RunOutcome, ui: str = "") -> dict[str, Any]:
    """The JSON body: one readable `text`. `ui` is where people open Kubeflow Pipelines, for the link."""
    *said, where = _lines(outcome, ui)
    return {"text": "\n".join([*map(_plain, said), where])}


def card(outcome: RunOutcome, ui: str = "") -> dict[str, Any]:
    """The same for Teams: an Adaptive Card."""
    *said, where = _lines(outcome, ui)
    # A text block is Markdown, and what is said may hold anybody's names: those would be links of ours.
    blocks: list[dict[str, Any]] = [
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": line}]} for line in said
    ]
    link = {"type": "TextBlock", "text": f"[{where}]({where})" if ui else where, "wrap": True}
    content = {"type": "AdaptiveCard", "version": "1.4", "body": [*blocks, link]}
    attached = {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}
    return {"type": "message", "attachments": [attached]}


def _lines(outcome: RunOutcome, ui: str) -> list[str]:
    """What is said, a line each; the last one is where to look."""
    first = f"{one_line(outcome.run_name)}: {one_line(outcome.outcome)}"
    if outcome.accuracy is not None:
        first += f", test accuracy {outcome.accuracy:.4f}"
    if outcome.balanced_accuracy is not None:
        first += f", balanced accuracy {outcome.balanced_accuracy:.4f}"
    lines = [first]
    if outcome.cause or outcome.step:
        cause = one_line(outcome.cause, LONGEST_CAUSE) or "no cause given"
        lines.append(f"{outcome.step}: {cause}" if outcome.step else cause)
    page = _parts(ui)  # copied from a browser, it has a page of its own, and Kubeflow's ?ns=
    if not page.geturl():
        return [*lines, f"run {outcome.run_id}"]
    of_run = page._replace(path=f"{page.path.rstrip('/')}/", fragment=f"/runs/details/{outcome.run_id}")
    return [*lines, of_run.geturl()]


def post_message(outcome: RunOutcome, environment: Mapping[str, str] = os.environ, pause_s: float = 2.0) -> bool:
    """Posts the message if a webhook is set. A webhook that is down must not fail a run: that is only printed.

    Returns:
        Whether the message was taken.

    Raises:
        PipelineError: what is set is no http(s) URL; the text does not contain it.
    """
    url = environment.get(SECRET_KEYS["url"], "").strip()
    if not url:
        print("no webhook is set: no message is sent")
        return False
    if not is_url(url):
        raise PipelineError("expected an http(s) URL under `url` in the webhook's secret, received something else")
    body = (card if is_teams(url) else message)(outcome, environment.get(SECRET_KEYS["ui"], "").strip())
    for attempt in range(TRIES):
        if attempt:
            time.sleep(pause_s * attempt)
        said = _post(url, body)
        if not said:
            print("the webhook accepted the message")
            return True
        if said.startswith("HTTP 4") and said != TOO_MANY:
            break
    print(f"the webhook did not accept the message: {said}; check the secret's `url`. The run is not affected")
    return False


def _parts(url: str) -> urllib.parse.SplitResult:
    try:
        return urllib.parse.urlsplit(url)
    except ValueError:  # [ without ]
        return urllib.parse.urlsplit("")


def is_teams(url: str) -> bool:
    """Whether it is a workflow of Microsoft Teams (Power Automate)."""
    return bool(TEAMS.search(urllib.parse.urlsplit(url).hostname or ""))


def _post(url: str, body: dict[str, Any]) -> str:
    """Why the webhook did not take it, or nothing. Names the kind of an error only: its text would hold the URL."""
    import requests

    try:
        # A redirect would hand the message to another place than the secret's.
        answer = requests.post(url, json=body, timeout=TIMEOUT_S, allow_redirects=False)
    except (requests.RequestException, ValueError) as error:  # urllib3 has words of its own for odd hosts
        return type(error).__name__
    return "" if 200 <= answer.status_code < 300 else f"HTTP {answer.status_code}"


def _plain(line: str) -> str:
    """Without the three characters that Slack reads as markup, and what Mattermost, Rocket.Chat and Discord take for a
    link under another name, a picture, or a call to everybody: a space of no width parts it."""
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return CALL_OR_LINK.sub(lambda found: f"{found[0]}\u200b", line)
