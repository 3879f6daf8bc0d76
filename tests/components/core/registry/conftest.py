"""Registries in all kinds of stores, the remote ones in real servers, and what to publish."""

import pytest

from components.core.registry import Registry
from tests.components.core.registry.publishing import MODEL
from tests.servers.small import SMALL
from tests.trees import tree


@pytest.fixture
def registry(tmp_path):
    """A registry in a local directory."""
    return Registry(str(tmp_path / "store"), SMALL)


@pytest.fixture
def anywhere(place):
    """A registry in every kind of store in turn, for what hangs on a store's conditions, copies and deletions.

    What it makes of its files is the same everywhere; tests/soak/test_registry_protocol.py does all deeds on each.
    """
    return Registry(place.uri, SMALL)


@pytest.fixture
def saved_model(tmp_path):
    """A directory that looks like a SavedModel."""
    return tree(tmp_path / "saved_model", MODEL)
