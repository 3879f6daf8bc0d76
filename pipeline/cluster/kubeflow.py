"""Kubeflow Pipelines as this project speaks to it: by the SDK's client, with time limits, patience and plain errors."""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import re
import urllib.parse
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from components.core.errors import PipelineError, one_line
from pipeline.console import follow_command, option

if TYPE_CHECKING:
    import kfp

Result = TypeVar("Result")
# As the kfp command and the SDK name them.
ENDPOINT_VARIABLES = ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT")
NAMESPACE_VARIABLES = ("KFP_NAMESPACE",)
TOKEN_VARIABLES = ("KFP_EXISTING_TOKEN", "KFP_TOKEN")
# Seconds to connect, and of silence while an answer is read. The SDK itself would wait for ever.
TIMEOUT_S = (10, 60)
PAGE_TIMEOUT_S = (3, 10)
# The same two of the first contact, and how long that is tried again: nothing is lost yet, and a person waits.
FIRST_TIMEOUT_S = (3, 4)
FIRST_PATIENCE_S = 2.0
# How long a request is tried again that may pass.
PATIENCE_S = 120.0


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where KFP answers, and as whom.

    Attributes:
        url: http(s)://...; empty: what the SDK finds, inside a cluster or by the kubeconfig.
        namespace: the user's, on a KFP of many users; empty: the SDK's own setting.
        token: a bearer token; from the environment only, since every process may read a command line.
    """

    url: str = ""
    namespace: str = ""
    token: str = dataclasses.field(default="", repr=False)

    @property
    def users(self) -> str | None:
        """The namespace to name to KFP; None for its own, `kubeflow`: a KFP of one user refuses any."""
        return self.namespace if self.namespace != "kubeflow" and self.namespace else None

    def follow_command(self, run_id: str) -> str:
        """What follows a run that is here, to be typed as it stands."""
        places = {"endpoint": self.url, "namespace": self.namespace}
        return " ".join([follow_command(run_id), *(option(name, place) for name, place in places.items() if place)])

    def __str__(self) -> str:
        return self.url or "the cluster of the kubeconfig"


def find_endpoint(url: str = "", namespace: str = "", environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint of the options, else of the environment, else none: then the SDK looks itself.

    Raises:
        PipelineError: a URL that is none, or none given and the SDK would find nothing either.
    """
    url = url or first_set(environment, ENDPOINT_VARIABLES)
    try:
        parts = urllib.parse.urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0):
            raise ValueError
    except ValueError:  # also of [ without ], and of a port that is no number
        raise PipelineError(f"expected an endpoint such as http://localhost:8080, received {_public(url)!a}") from None
    if parts.username or parts.password:
        raise PipelineError("expected an endpoint without credentials in it; set KFP_EXISTING_TOKEN to a token instead")
    if not url and not has_cluster(environment):
        raise PipelineError(
            "expected to know where Kubeflow Pipelines is, found no endpoint and no kubeconfig; give "
            f"{option('endpoint')} or set KFP_ENDPOINT, for instance http://localhost:8080 beside "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`"
        )
    return Endpoint(
        url.rstrip("/"),
        namespace or first_set(environment, NAMESPACE_VARIABLES),
        first_set(environment, TOKEN_VARIABLES).strip(),
    )


def has_cluster(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether there is a kubeconfig, or a cluster around this process."""
    kubeconfig = environment.get("KUBECONFIG") or str(pathlib.Path.home() / ".kube" / "config")
    return "KUBERNETES_SERVICE_HOST" in environment or any(
        pathlib.Path(path).is_file() for path in kubeconfig.split(os.pathsep)
    )


def connect(endpoint: Endpoint) -> "kfp.Client":
    """A client of a KFP that has answered. One that does not is given up after 10 seconds at most.

    Raises:
        PipelineError: nothing answers, something else answers, or the token is refused.
    """
    import kfp
    import kfp_server_api
    import urllib3

    # Each dropped connection would print a warning; `patiently` tells of it in one line.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

    class Client(kfp.Client):
        def _load_config(self, *given: Any) -> Any:
            # Tries again are for `patiently`. One at once, without a word, is for kept connections that were closed.
            configuration = super()._load_config(*given)
            configuration.retries = urllib3.Retry(3, connect=0, read=1)
            return configuration

        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            # The SDK's own tries five times, 5 s apart, logs a traceback each time, and takes a web page for an answer.
            health = self._healthz_api.healthz_service_get_healthz
            answer = json.loads(health(_request_timeout=FIRST_TIMEOUT_S, _preload_content=False).data)
            return kfp_server_api.V2beta1GetHealthzResponse(multi_user=bool(answer.get("multi_user")))

    def answered() -> kfp.Client:
        try:
            with warnings.catch_warnings(), quiet():
                warnings.simplefilter("ignore")
                client = Client(
                    host=endpoint.url or None,
                    namespace=endpoint.namespace or "kubeflow",
                    existing_token=endpoint.token or None,
                )
            _guard(client._run_api.api_client.rest_client)
            client.get_kfp_healthz()
        except (ValueError, AttributeError, TypeError):  # an answer, but not of this API: a login page, another service
            raise PipelineError(
                f"expected Kubeflow Pipelines at {endpoint}, received something else, such as a login page; "
                "the endpoint is the UI's or ml-pipeline's own address, without a path such as /#/runs"
            ) from None
        return client

    return patiently(answered, endpoint, FIRST_PATIENCE_S)


def patiently(
    call: Callable[[], Result], endpoint: Endpoint, patience_s: float, again: Callable[[Exception], None] | None = None
) -> Result:
    """Calls, and again after failures that may pass, each pause twice the last, until `patience_s` is used up.

    Args:
        again: told each failure that is followed by another try.

    Raises:
        PipelineError: the last failure, or the first that will not pass, in one line.
    """
    import tenacity

    def told(state: tenacity.RetryCallState) -> None:
        failure = state.outcome and state.outcome.exception()
        if again and isinstance(failure, Exception):
            again(failure)

    first = min(1.0, patience_s / 10)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(may_pass),
        stop=tenacity.stop_after_delay(patience_s),
        wait=tenacity.wait_exponential_jitter(multiplier=first, max=30, jitter=first),
        before_sleep=told if again else None,
        reraise=True,
    )
    try:
        return retrying(call)
    except PipelineError:
        raise
    except Exception as error:
        raise explain(error, endpoint) from None


class WebPageError(ValueError):
    """A page for people where the API's answer belongs, mostly one to log in."""


def may_pass(error: BaseException) -> bool:
    """Whether a failure is one of connections, load or restarts."""
    import urllib3

    if isinstance(error, urllib3.exceptions.HTTPError):
        return not isinstance(error, urllib3.exceptions.LocationValueError)
    return getattr(error, "status", None) in (408, 429, 500, 502, 503, 504) and not _permanent(_said(error))


def explain(error: Exception, endpoint: Endpoint) -> Exception:
    """The one line for what the client raised; what is a defect of ours comes back as it is."""
    import urllib3
    from kfp_server_api import ApiException

    if isinstance(error, urllib3.exceptions.HTTPError):
        return PipelineError(f"expected Kubeflow Pipelines at {endpoint}, no answer: {_reason(error)}; is it the right "
                             "endpoint, and is the port-forward or VPN up?")  # fmt: skip
    if isinstance(error, WebPageError):
        return PipelineError(f"expected Kubeflow Pipelines at {endpoint}, received a web page, such as one to log in: "
                             "has the login expired? set KFP_EXISTING_TOKEN to a fresh token")  # fmt: skip
    if not isinstance(error, ApiException):
        return error
    said = _said(error)
    lower = said.lower()
    who = f"namespace {endpoint.namespace}" if endpoint.namespace else "the default namespace"
    given = option("namespace")
    if "single-user mode" in lower:
        why = f"{said}; this KFP has one user and no namespaces: leave out {given} and KFP_NAMESPACE"
    elif "quota" in lower:
        why = f"the quota of {who} is used up: {said}; wait for other runs, delete old ones, or have it raised"
    elif "namespace" in lower and ("not found" in lower or "does not exist" in lower or "empty" in lower):
        why = f"{said}; give the namespace of your Kubeflow profile with {given} or KFP_NAMESPACE"
    elif error.status == 401 or "unauthenticated" in lower:
        why = "it does not accept the token: missing, wrong or expired; set KFP_EXISTING_TOKEN to a fresh one"
    elif error.status == 403:
        why = f"no permission in {who}: {said}; ask for the role kubeflow-edit there, or give another {given}"
    elif error.status == 404:
        why = f"not found: {said}; is it the right endpoint and namespace?"
    elif not error.status:
        why = f"no secure connection: {said}; is the certificate trusted here?"
    else:
        why = f"{error.status}: {said}"
    return PipelineError(f"Kubeflow Pipelines at {endpoint}: {why}")


def run_page(client: "kfp.Client", run_id: str) -> str:
    """Where a person sees the run; empty if the endpoint shows no pages, as the API's own port does not."""
    pages = pages_of(client)
    return f"{pages}/#/runs/details/{run_id}" if pages else ""


def pages_of(client: "kfp.Client") -> str:
    """The address of KFP's pages; empty if the endpoint shows none."""
    import requests

    prefix = client._get_url_prefix().rstrip("/")
    try:
        # Without our token: a browser has none either, and is shown a page, if only to log in.
        answer = requests.get(f"{prefix}/", timeout=PAGE_TIMEOUT_S)
    except requests.RequestException:
        return ""
    return prefix if answer.ok and "text/html" in answer.headers.get("Content-Type", "") else ""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leaves out the links that the client prints of itself."""
    with contextlib.redirect_stdout(None):
        yield


def _guard(rest: Any) -> None:
    """Gives every request of a client a time limit, for which the SDK has no setting, and refuses a page as its answer,
    of which the SDK makes an empty one: a run without a state, which would be followed for ever."""
    original = rest.request

    def request(*arguments: Any, _request_timeout: Any = None, **named: Any) -> Any:
        answer = original(*arguments, _request_timeout=_request_timeout or TIMEOUT_S, **named)
        if "text/html" in getattr(answer, "urllib3_response", answer).headers.get("Content-Type", ""):
            raise WebPageError
        return answer

    rest.request = request


def _said(error: BaseException) -> str:
    """What the server said of it, one line, without Go's inner errors and without anything of the request."""
    body = getattr(error, "body", None) or getattr(error, "reason", None) or type(error).__name__
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        answer = json.loads(body)
        details = [entry.get("error_message") for entry in answer.get("details") or [] if isinstance(entry, dict)]
        said = (answer.get(key) for key in ("message", "error", "error_message"))  # the last: the upload's own errors
        body = next((text for text in (*details, *said) if text), body)
    if "<html" in str(body).lower():
        body = f"a web page, {getattr(error, 'reason', '')}"
    return _public(one_line(body))[:300]


def _permanent(said: str) -> bool:
    """KFP wraps some refusals into a 500."""
    return any(word in said.lower() for word in ("unauthenticated", "quota", "single-user mode", "permission"))


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None) or error
    words = one_line(inner)
    words = re.sub(r"<[^>]*>:? ?|\w*Connection\w*\([^)]*\):? ?", "", words)
    return _public(words)[:200] or type(inner).__name__


def _public(text: str) -> str:
    """Without the credentials of a URL."""
    return re.sub(r"//[^/@\s]+@", "//", text)


def first_set(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The value of the first of these variables that has one."""
    return next((environment[name] for name in names if environment.get(name)), "")
