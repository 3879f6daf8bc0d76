"""What the tests of the manifests share: the rendered overlays, once a session."""

import os

import pytest

from tests.k8s.manifests import K8S, OLDEST_KUSTOMIZE, kustomizations, kustomize, render


@pytest.fixture(scope="session")
def kustomize_at_hand():
    """Skips where nothing can render; on CI that is a failure."""
    if kustomize() is None:
        reason = (
            f"no kustomize {OLDEST_KUSTOMIZE} or later, alone or inside kubectl (1.27 or later), on the PATH; "
            "install either from its project's releases"
        )
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def rendered(kustomize_at_hand):
    """By path in k8s/: the objects it makes."""
    return {path: render(K8S / path) for path in kustomizations()}


@pytest.fixture(params=kustomizations())
def overlay(request, rendered):
    """The objects of each in turn."""
    return rendered[request.param]
