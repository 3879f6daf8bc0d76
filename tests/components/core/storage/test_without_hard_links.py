"""A directory on a file system without hard links (exFAT, SMB shares, FUSE) keeps what every store promises."""

import errno
import os

import pytest

from components.core.registry import Registry
from components.core.storage import Denied, open_store
from tests.components.core.registry.publishing import MODEL
from tests.components.core.storage.claims import winners


@pytest.fixture(params=["EPERM", "EOPNOTSUPP", "ENOSYS", "EMLINK"])
def without_links(request, monkeypatch):
    """As such a file system answers to link(2)."""
    number = getattr(errno, request.param)

    def refuse(source, target):
        raise OSError(number, os.strerror(number), os.fspath(source), None, os.fspath(target))

    monkeypatch.setattr(os, "link", refuse)


def test_of_many_who_create_one_wins(without_links, tmp_path):
    store = open_store(str(tmp_path))
    won = winners(store)
    assert len(won) == 1
    assert store.read_bytes("claim") == str(won[0]).encode()
    assert [path.name for path in tmp_path.iterdir()] == ["claim"]


def test_a_registry_works_there(without_links, tmp_path):
    for name, data in MODEL.items():
        (path := tmp_path / "saved_model" / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    registry = Registry(str(tmp_path / "registry"))
    number = registry.publish("digits", tmp_path / "saved_model").number
    registry.promote("digits", number, over=0)
    assert registry.show("digits").number == number
    assert (tmp_path / "registry/models/digits/1/saved_model.pb").read_bytes() == MODEL["saved_model.pb"]


def test_missing_rights_are_told_as_that(without_links, tmp_path, monkeypatch):
    def refuse(self, target):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr("pathlib.Path.replace", refuse)
    with pytest.raises(Denied, match="check its owner and mode"):
        open_store(str(tmp_path)).write_bytes("claim", b"", if_absent=True)
