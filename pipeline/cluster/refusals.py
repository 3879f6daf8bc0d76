"""Explains a refusal or a silence of Kubeflow Pipelines in one line, and tells whether it may pass."""

import contextlib
import json
import re

from components.core.errors import PipelineError, one_line, without_secrets
from pipeline.console import option

FRESH_TOKEN = "set KFP_EXISTING_TOKEN to a fresh token"  # noqa: S105 - a piece of advice
PERMANENT = ("unauthenticated", "quota", "permission")  # refusals that KFP wraps into a 500


class WebPageError(ValueError):
    """A page for people where the API's answer belongs, mostly one to log in."""


def may_pass(error: BaseException) -> bool:
    """Whether a failure is one of connections, load or restarts."""
    import urllib3

    if isinstance(error, urllib3.exceptions.HTTPError):
        never = urllib3.exceptions.LocationValueError, urllib3.exceptions.SSLError
        return not isinstance(error, never) and not isinstance(_inner(error), never)
    passing = getattr(error, "status", None) in (408, 429, 500, 502, 503, 504)
    return passing and not any(word in said(error).lower() for word in PERMANENT)


def explain(error: Exception, where: str, namespace: str = "") -> Exception:
    """The one line for what the client raised; what is a defect of ours comes back as it is."""
    import urllib3
    from kfp_server_api import ApiException

    if isinstance(error, urllib3.exceptions.HTTPError):
        if isinstance(_inner(error), urllib3.exceptions.SSLError):
            return PipelineError(f"no secure connection to Kubeflow Pipelines at {where}: {_reason(error)}; set "
                                 "REQUESTS_CA_BUNDLE to a file with the certificate of your own authority")  # fmt: skip
        return PipelineError(f"expected Kubeflow Pipelines at {where}, no answer: {_reason(error)}; is it the right "
                             "endpoint, and is the port-forward or VPN up?")  # fmt: skip
    if isinstance(error, WebPageError):
        return PipelineError(f"expected Kubeflow Pipelines at {where}, received a web page, such as one to log in: "
                             f"has the login expired? {FRESH_TOKEN}")  # fmt: skip
    if not isinstance(error, ApiException):
        return error
    words = said(error)
    lower = words.lower()
    who = f"namespace {namespace}" if namespace else "the default namespace"
    given = option("namespace")
    if "quota" in lower:
        why = f"the quota of {who} is used up: {words}; wait for other runs, delete old ones, or have it raised"
    elif "namespace" in lower and ("not found" in lower or "does not exist" in lower or "empty" in lower):
        why = f"{words}; give the namespace of your Kubeflow profile with {given} or KFP_NAMESPACE"
    elif error.status == 401 or "unauthenticated" in lower:
        why = "it does not accept the token: missing, wrong or expired; set KFP_EXISTING_TOKEN to a fresh one"
    elif error.status == 403 and not said_by_kfp(error):
        # Istio's, an OAuth2 proxy's, IAP's: Kubeflow itself explains a refusal in JSON.
        why = f"what stands before it does not let this in: {words}; {FRESH_TOKEN} that it accepts"
    elif error.status == 403:
        why = f"no permission in {who}: {words}; ask for the role kubeflow-edit there, or give another {given}"
    elif error.status == 404:
        why = f"not found: {words}; is it the right endpoint and namespace?"
    else:
        why = f"{error.status}: {words}"
    return PipelineError(f"Kubeflow Pipelines at {where}: {why}")


def said(error: BaseException) -> str:
    """The server's words on it, in one line, without Go's inner errors and without anything of the request."""
    body = _body(error) or getattr(error, "reason", None) or type(error).__name__
    if answer := said_by_kfp(error):
        details = [entry.get("error_message") for entry in answer.get("details") or [] if isinstance(entry, dict)]
        told = (answer.get(key) for key in ("message", "error", "error_message"))  # the last: the upload's own errors
        body = next((text for text in (*details, *told) if text), body)
    if "<html" in str(body).lower():
        body = f"a web page, {getattr(error, 'reason', '')}"
    return without_secrets(one_line(body))[:300]


def _body(error: BaseException) -> str:
    body = getattr(error, "body", None) or ""
    return body.decode(errors="replace") if isinstance(body, bytes) else body


def said_by_kfp(error: BaseException) -> dict:
    """The JSON of a refusal that is Kubeflow's own; empty if it is what stands before it that refuses."""
    with contextlib.suppress(ValueError):
        answer = json.loads(_body(error))
        return answer if isinstance(answer, dict) else {}
    return {}


def _inner(error: BaseException) -> object:
    return getattr(error, "reason", None) or error


def _reason(error: Exception) -> str:
    inner = _inner(error)
    words = re.sub(r"<[^>]*>:? ?|\w*Connection\w*\([^)]*\):? ?", "", one_line(inner))
    return without_secrets(words)[:200] or type(inner).__name__
