"""Kubeflow Pipelines as this project speaks to it: by the SDK's client, with time limits, patience and plain errors."""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import urllib.parse
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from components.core.errors import PipelineError, without_secrets
from components.core.storage.location import is_url
from pipeline.cluster.proxies import by_the_environment
from pipeline.cluster.refusals import WebPageError, explain, may_pass
from pipeline.console import by_make, option, program

if TYPE_CHECKING:
    import kfp

Result = TypeVar("Result")
# As the kfp command and the SDK name them.
ENDPOINT_VARIABLES = ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT")
NAMESPACE_VARIABLE = "KFP_NAMESPACE"
TOKEN_VARIABLES = ("KFP_EXISTING_TOKEN", "KFP_TOKEN")
# Seconds to connect, and of silence while an answer is read. The SDK itself would wait for ever.
TIMEOUT_S = (10, 60)
PAGE_TIMEOUT_S = (3, 10)
# The same two of the first contact, and how long that is tried again: nothing is lost yet, and a person waits.
FIRST_TIMEOUT_S = (3, 4)
FIRST_PATIENCE_S = 2.0


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where KFP answers, as whom, and how patiently it is asked.

    Attributes:
        url: http(s)://...; empty: what the SDK finds, inside a cluster or by the kubeconfig.
        namespace: where the runs' pods are; on a KFP of many users the user's own. Empty: the SDK's own setting.
        token: a bearer token; from the environment only, since every process may read a command line.
        patience_s: how long a request is tried again that may pass.
    """

    url: str = ""
    namespace: str = ""
    token: str = dataclasses.field(default="", repr=False)
    patience_s: float = 120.0

    def follow_command(self, run_id: str) -> str:
        """The command that follows a run that is here, to be typed as it stands."""
        command = f"make follow RUN={run_id}" if by_make() else f"{program()} follow {run_id}"
        places = {"endpoint": self.url, "namespace": self.namespace}
        return " ".join([command, *(option(name, place) for name, place in places.items() if place)])

    def __str__(self) -> str:
        return self.url or "the cluster of the kubeconfig"


def find_endpoint(url: str = "", namespace: str = "", environment: Mapping[str, str] = os.environ) -> Endpoint:
    """The endpoint of the options, else of the environment, else none: then the SDK looks itself.

    Raises:
        PipelineError: a URL that is none, or none given and the SDK would find nothing either.
    """
    url = url or first_set(environment, ENDPOINT_VARIABLES)
    if url and not is_url(url):
        raise PipelineError(f"expected an endpoint such as http://localhost:8080, received {without_secrets(url)!a}")
    if (parts := urllib.parse.urlsplit(url)).username or parts.password:
        raise PipelineError("expected an endpoint without credentials in it; set KFP_EXISTING_TOKEN to a token instead")
    if not url and not has_cluster(environment):
        raise PipelineError(
            "expected an endpoint of Kubeflow Pipelines or a kubeconfig, received neither; give "
            f"{option('endpoint')} or set KFP_ENDPOINT, for instance http://localhost:8080 beside "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`"
        )
    return Endpoint(
        url.rstrip("/"),
        namespace or environment.get(NAMESPACE_VARIABLE, ""),
        first_set(environment, TOKEN_VARIABLES).strip(),
    )


def has_cluster(environment: Mapping[str, str] = os.environ) -> bool:
    kubeconfig = environment.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")  # noqa: PTH111
    return "KUBERNETES_SERVICE_HOST" in environment or any(
        pathlib.Path(path).is_file() for path in kubeconfig.split(os.pathsep)
    )


def connect(endpoint: Endpoint) -> "kfp.Client":
    """A client of a KFP that has answered, which holds the endpoint; any other is given up within 10 seconds.

    Raises:
        PipelineError: nothing answers, something else answers, or the token is refused.
    """
    import kfp
    import kfp_server_api
    import urllib3
    from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, ServiceAccountTokenVolumeCredentials

    # Each dropped connection would print a warning; `ask_kubeflow` tells of it in one line.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)

    class Client(kfp.Client):
        endpoint: Endpoint

        def _load_config(self, *given: Any) -> Any:
            # Tries again are for `ask_kubeflow`. One at once, without a word, is for kept connections that were closed.
            configuration = super()._load_config(*given)
            if not endpoint.url and configuration.host == kfp_server_api.Configuration().host:
                # Without a word: its kubeconfig can't be used, or it has a token, beside which it reads none.
                found = "a token, which is for an endpoint" if endpoint.token else "none with a context to use"
                raise PipelineError(
                    f"expected a kubeconfig that leads to Kubeflow Pipelines, received {found}; give "
                    f"{option('endpoint')}, or try: kubectl cluster-info"
                )
            configuration.retries = urllib3.Retry(3, connect=0, read=1)
            by_the_environment(configuration, kubeconfig=not endpoint.url)
            _keep_host(configuration)
            return configuration

        def get_kfp_healthz(self, sleep_duration: int = 5) -> Any:
            # The SDK's own tries five times, 5 s apart, logs a traceback each time, and takes a web page for an answer.
            health = self._healthz_api.healthz_service_get_healthz
            answer = json.loads(health(_request_timeout=FIRST_TIMEOUT_S, _preload_content=False).data)
            return kfp_server_api.V2beta1GetHealthzResponse(multi_user=bool(answer.get("multi_user")))

    # A token that Kubernetes writes into a file and renews, as Kubeflow's notebooks have one. With an endpoint the SDK
    # does not look for it.
    renewed = ServiceAccountTokenVolumeCredentials() if os.environ.get(KF_PIPELINES_SA_TOKEN_ENV) else None

    def answered() -> kfp.Client:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # By its argument `namespace` the SDK would look for Kubeflow's own service.
                client = Client(endpoint.url or None, existing_token=endpoint.token or None, credentials=renewed)
            client.endpoint = endpoint
            _guard(client._run_api.api_client.rest_client)
            # What the SDK names to KFP from now on. A KFP of one user refuses any, also one that the SDK remembers of
            # another cluster.
            mine = endpoint.namespace or client.get_user_namespace()
            several = client.get_kfp_healthz().multi_user
            client._context_setting = {**client._context_setting, "namespace": mine if several else ""}
        except urllib3.exceptions.HTTPError:  # an odd proxy's is a ValueError too
            raise
        except OSError as error:
            said = f"{error.filename}: {error.strerror}"
            raise PipelineError(
                f"expected a token in the file of KF_PIPELINES_SA_TOKEN_PATH, received {said}"
            ) from None
        except (ValueError, AttributeError, TypeError):  # an answer, but not of this API: a login page, another service
            raise PipelineError(
                f"expected Kubeflow Pipelines at {endpoint}, received something else, such as a login page; "
                "the endpoint is the UI's or ml-pipeline's own address, without a path such as /#/runs"
            ) from None
        return client

    return ask_kubeflow(answered, endpoint, FIRST_PATIENCE_S)


def ask_kubeflow(
    call: Callable[[], Result],
    endpoint: Endpoint,
    patience_s: float | None = None,
    again: Callable[[Exception], None] | None = None,
) -> Result:
    """Calls, and again after failures that may pass, each pause twice the last, until the patience is used up.

    What the SDK prints of itself, links for a notebook, is left out.

    Args:
        patience_s: if not the endpoint's.
        again: told each failure that is followed by another try.

    Raises:
        PipelineError: the last failure, or the first that will not pass, in one line.
    """
    import tenacity

    def told(state: tenacity.RetryCallState) -> None:
        failure = state.outcome and state.outcome.exception()
        if again and isinstance(failure, Exception):
            again(failure)

    def quietly() -> Result:
        with contextlib.redirect_stdout(None):
            return call()

    patience_s = endpoint.patience_s if patience_s is None else patience_s
    first = min(1.0, patience_s / 10)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(may_pass),
        stop=tenacity.stop_after_delay(patience_s),
        wait=tenacity.wait_exponential_jitter(multiplier=first, max=30, jitter=first),
        before_sleep=told if again else None,
        reraise=True,
    )
    try:
        return retrying(quietly)
    except PipelineError:
        raise
    except Exception as error:
        raise explain(error, str(endpoint), endpoint.namespace) from None


def unless_there(make: Callable[[], Result]) -> Result | None:
    """The result of `make`; None if somebody else has made it in the meantime."""
    from kfp_server_api import ApiException

    try:
        return make()
    except ApiException as error:
        if error.status == 409:
            return None
        raise


def run_page(client: "kfp.Client", run_id: str) -> str:
    return page_address(client, f"runs/details/{run_id}")


def page_address(client: "kfp.Client", path: str) -> str:
    """The address of one of KFP's pages; empty if the endpoint shows none, as the API's own port does not."""
    import requests

    prefix = client._get_url_prefix().rstrip("/")
    try:
        # Without our token: a browser has none either, and is shown a page, if only to log in.
        answer = requests.get(f"{prefix}/", timeout=PAGE_TIMEOUT_S)
    except requests.RequestException:
        return ""
    return f"{prefix}/#/{path}" if answer.ok and "text/html" in answer.headers.get("Content-Type", "") else ""


def _keep_host(configuration: Any) -> None:
    """The hook that renews a kubeconfig's token sets all anew, itself too, and leads past Kubeflow to Kubernetes."""
    renew, host = configuration.refresh_api_key_hook, configuration.host

    def renew_the_token(configuration: Any) -> None:
        renew(configuration)
        configuration.host, configuration.refresh_api_key_hook = host, renew_the_token

    configuration.refresh_api_key_hook = renew and renew_the_token


def _guard(rest: Any) -> None:
    """Gives every request of a client a time limit, for which the SDK has no setting, and refuses a page as its answer,
    of which the SDK makes an empty one: a run without a state, which would be followed for ever."""
    from kfp_server_api import ApiException

    original = rest.request

    def request(*arguments: Any, _request_timeout: Any = None, **named: Any) -> Any:
        try:
            answer = original(*arguments, _request_timeout=_request_timeout or TIMEOUT_S, **named)
        except ApiException as error:  # the SDK reads a proxy's page as UTF-8, whatever it is written in
            error.body = (error.body or b"").decode(errors="replace").encode()
            raise
        if "text/html" in getattr(answer, "urllib3_response", answer).headers.get("Content-Type", ""):
            raise WebPageError
        return answer

    rest.request = request


def first_set(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")
