"""A publisher that is killed, at whatever moment, leaves nothing that counts, and what it leaves is swept."""

import pytest

from components.core.registry import Registry, layout
from components.core.storage import NotFound
from tests.components.core.registry.publishing import MODEL, keys, publisher
from tests.servers.small import SMALL

# Where a publisher is stopped for good, as a piece of the request it was making: the method, the path.
MOMENTS = {
    "while it uploads": ("", ".staging/digits/1/variables/variables.data"),
    "before it copies": ("", ".staging/digits/1/manifest.json"),
    "in the middle of copying": ("copy", "models/digits/1/saved_model.pb"),
    "before the manifest": ("", "models/digits/1/manifest.json"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_publisher_leaves_nothing_that_counts(bucket, saved_model, moment):
    kind, path = MOMENTS[moment]
    registry = Registry(bucket.uri, SMALL)
    if bucket.scheme == "gs":
        method = "POST"
        # A small upload to GCS has its name in the body, so what is held there is the first upload after the copies.
        if moment == "before the manifest":
            path = "/o?uploadType=multipart"
        elif moment == "before it copies":
            path = "rewriteTo"
    else:
        method = "PUT"
    fault = bucket.proxy.fail("hold", method=method, path=path)
    if bucket.scheme == "gs" and moment == "before the manifest":
        # The claim (three small uploads and its two refused ones), two small files and the staged manifest come first.
        fault.skip = 4 + len(MODEL) - 1 + 1
    process = publisher(bucket, saved_model)
    try:
        assert bucket.proxy.held.wait(30)
    finally:
        process.kill()
        process.communicate()
    bucket.proxy.faults.clear()
    assert registry.versions("digits") == []
    with pytest.raises(NotFound):
        registry.show("digits", 1)
    served = {key.rpartition("models/digits/1/")[2] for key in keys(registry, "models/digits")}
    assert "manifest.json" not in served
    # What a model server could find there: nothing, or a directory that it can't load yet, or all of the model.
    assert "saved_model.pb" not in served or served == set(MODEL)
    assert registry.publish("digits", saved_model).number == 2
    assert [found.number for found in registry.versions("digits")] == [2]
    assert registry.sweep("digits", older_than_s=0) in ([], [1])
    assert layout.numbers(registry.store, "digits") == [2]
    assert keys(registry, "models/.staging") == []
    assert registry.show("digits", 2).number == 2


def test_a_killed_publisher_into_a_directory_leaves_nothing_that_counts(tmp_path, saved_model):
    """The same for a plain directory, killed at whatever moment."""
    registry = Registry(str(tmp_path / "store"), SMALL)
    process = publisher(type("Local", (), {"uri": str(tmp_path / "store"), "environment": {}}), saved_model, times=1000)
    process.stdout.readline()
    process.kill()
    published = [int(line) for line in process.communicate()[0].split()]
    listed = [found.number for found in registry.versions("digits")]
    assert set(published) <= set(listed)
    for number in listed:
        registry.show("digits", number)
    assert registry.publish("digits", saved_model).number > max(listed)


def test_sweeping_spares_publishers_at_work(registry, saved_model):
    registry.publish("digits", saved_model)
    registry.store.write_bytes("models/.claims/digits/2.json", b"{}")
    registry.store.write_bytes("models/.staging/digits/2/saved_model.pb", b"on its way")
    registry.store.write_bytes("models/digits/2/fingerprint.pb", b"just copied")
    assert registry.sweep("digits") == []
    assert registry.store.exists("models/digits/2/fingerprint.pb")
    assert registry.sweep("digits", older_than_s=0) == [2]
    assert layout.numbers(registry.store, "digits") == [1]
    assert [found.number for found in registry.versions("digits")] == [1]
