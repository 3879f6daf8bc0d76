"""Who is killed, at whatever moment, leaves nothing that counts or shows, and what is left is finished or swept."""

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from components.core.registry import Registry
from components.core.storage import NotFound
from pipeline import ROOT
from tests.components.core.registry.publishing import MODEL, keys, publish, publisher
from tests.servers.small import SMALL

# Where somebody is stopped for good, as a piece of the request that is being made: the path.
PUBLISHING = {"while it uploads": ".staging/digits/1/variables/variables.data", "before the manifest": ""}
PROMOTING = {
    "before it copies": "digits/1/fingerprint.pb",
    "in the middle of copying": "digits/1/saved_model.pb",
    "before the manifest": "digits/1/manifest.json",
}


def killed(bucket, fault, process: subprocess.Popen, left: Callable[[], bool] = lambda: True) -> None:
    """Kills a process once it has come to the request that is held, and `left` what the test is about."""
    try:
        assert bucket.proxy.held.wait(30)
        assert fault.seen == 1
        until = time.monotonic() + 30
        while not left():  # its other requests go on beside the one that is held
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate()
    bucket.proxy.faults.clear()


@pytest.mark.parametrize("moment", PUBLISHING)
def test_a_killed_publisher_leaves_nothing_that_counts(bucket, saved_model, moment):
    path = PUBLISHING[moment] or ".staging/digits/1/manifest.json"
    registry = Registry(bucket.uri, SMALL)
    # A small upload to GCS has its name in the body; the claim (two small uploads and two refused ones) and the small
    # files come before the manifest.
    if bucket.scheme == "gs" and not PUBLISHING[moment]:
        path = "/o?uploadType=multipart"
    fault = bucket.proxy.fail("hold", method="POST" if bucket.scheme == "gs" else "PUT", path=path)
    if bucket.scheme == "gs" and not PUBLISHING[moment]:
        fault.skip = 4 + len(MODEL) - 1
    others = len(MODEL) - (moment == "while it uploads")
    killed(bucket, fault, publisher(bucket, saved_model), lambda: len(keys(registry, "models/.staging")) == others)
    assert registry.versions("digits") == []
    with pytest.raises(NotFound):
        registry.show("digits", 1)
    assert registry.publish("digits", saved_model).number == 2
    assert [found.number for found in registry.versions("digits")] == [2]
    assert registry.sweep("digits") == []
    assert registry.sweep("digits", older_than_s=0) == [1]
    assert keys(registry, "models/digits") == []
    assert keys(registry, "models/.staging/digits/1") == ["models/.staging/digits/1/manifest.json"]
    assert [found.number for found in registry.inventory("digits")] == [2]
    assert registry.show("digits", 2).number == 2


@pytest.mark.parametrize("moment", PROMOTING)
def test_a_killed_promotion_is_finished_by_whoever_comes(bucket, saved_model, tmp_path, moment):
    registry = Registry(bucket.uri, SMALL)
    registry.publish("digits", saved_model)
    code = (
        "import sys; from components.core.registry import Registry; from tests.servers.small import SMALL\n"
        "from components.core.storage import Limits\n"
        "Registry(sys.argv[1], Limits(**{**vars(SMALL), 'stall_s': 60})).promote('digits', 1)"
    )
    path = f"/models/{PROMOTING[moment]}"
    if bucket.scheme == "gs":
        # A rewrite names its source first: models/.staging/digits/1/... /rewriteTo/b/.../models/digits/1/...
        fault = bucket.proxy.fail("hold", method="POST", path=path)
    else:
        fault = bucket.proxy.fail("hold", method="PUT", path=path)
    environment = {**os.environ, **bucket.environment}
    killed(bucket, fault, subprocess.Popen([sys.executable, "-c", code, bucket.uri], cwd=ROOT, env=environment))
    served = {key.rpartition("models/digits/1/")[2] for key in keys(registry, "models/digits/1")}
    # What a model server could find there: nothing, or a directory that it can't load yet, or all of the model.
    assert "manifest.json" not in served
    assert "saved_model.pb" not in served or served == set(MODEL)
    # For us it is the champion already.
    assert registry.fetch("digits", None, tmp_path / "fetched").champion
    assert registry.publish("digits", saved_model).number == 2
    served = {key.rpartition("models/digits/1/")[2] for key in keys(registry, "models/digits/1")}
    assert served == {*MODEL, "manifest.json"}
    assert registry.show("digits").served
    assert keys(registry, "models/.staging/digits/1") == []


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


def test_sweeping_spares_publishers_at_work_and_what_servers_see(registry, saved_model, capsys):
    """A bucket that was copied while version 1 was uploaded has its files in staging, too: the sweep took both."""
    publish(registry, saved_model, 1)
    registry.store.write_bytes("models/.claims/digits/2.json", b"{}")
    for name in ("saved_model.pb", "fingerprint.pb"):
        registry.store.write_bytes(f"models/.staging/digits/2/{name}", b"on its way")
        registry.store.copy(f"models/digits/1/{name}", f"models/.staging/digits/1/{name}")
    assert registry.sweep("digits") == []
    assert registry.sweep("digits", older_than_s=0) == [1, 2]
    removed = "removed what was left of version {} of digits, whose publication never finished\n"
    assert capsys.readouterr().out == removed.format(1) + removed.format(2)
    assert registry.store.directories("models/digits") == ["1"] and registry.show("digits").served
    assert [found.number for found in registry.versions("digits")] == [1]
