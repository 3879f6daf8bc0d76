"""By which proxy and which certificates the clients of Kubeflow and of Kubernetes, which know of none, get there."""

import contextlib
import urllib.parse
from typing import Any

import yaml

from components.core.errors import ODD_JSON

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def by_the_environment(configuration: Any, kubeconfig: bool) -> None:
    """Goes by HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE, as all else here does: the clients know none of them. Nor
    do they know a kubeconfig's `proxy-url`, which counts more.

    A port-forward's end is on this machine, where no proxy leads.

    Args:
        kubeconfig: whether the host is from there.
    """
    import requests

    found = requests.Session().merge_environment_settings(configuration.host, {}, None, None, None)
    here = urllib.parse.urlsplit(configuration.host).hostname in LOOPBACK
    proxy = (kubeconfig and _proxy_of_kubeconfig()) or (
        None if here else requests.utils.select_proxy(configuration.host, found["proxies"])
    )
    if proxy:
        configuration.proxy = requests.utils.prepend_scheme_if_needed(proxy, "http")
        configuration.proxy_headers = requests.adapters.HTTPAdapter().proxy_headers(configuration.proxy)
    if isinstance(found["verify"], str) and not configuration.ssl_ca_cert:
        configuration.ssl_ca_cert = found["verify"]


def _proxy_of_kubeconfig() -> str:
    """The `proxy-url` of the kubeconfig's cluster; empty if there is none. If the file is none, its reader says so."""
    from kubernetes.config import ConfigException, kube_config

    with contextlib.suppress(ConfigException, OSError, yaml.YAMLError, *ODD_JSON):
        read = kube_config._get_kube_config_loader(kube_config.KUBE_CONFIG_DEFAULT_LOCATION)
        return str(read._cluster.safe_get("proxy-url") or "")
    return ""
