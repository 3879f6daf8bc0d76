"""Which version is served, as `models serve` writes it into the overlays."""

import pathlib
import re
import shutil

import pytest
import yaml

from pipeline.models import serving


@pytest.fixture
def overlay(tmp_path, monkeypatch) -> pathlib.Path:
    """The serving overlay, pointed at the registry's `digits`."""
    copied = tmp_path / "serving"
    shutil.copytree(serving.OVERLAY, copied)
    common = copied / "common" / "kustomization.yaml"
    common.write_text(re.sub(r"URI=\S+", f"URI={tmp_path}/store/models/digits", common.read_text()))
    monkeypatch.setattr(serving, "OVERLAY", copied)
    return copied


def policy(overlay: pathlib.Path) -> str:
    return re.search(r"^ +model_version_policy (.*)$", (overlay / "models.config").read_text(), re.MULTILINE)[1]


def test_the_champion_is_what_is_served(typed, export, overlay, tmp_path):
    (tmp_path / "store").mkdir()
    assert "expected a champion of digits" in typed("serve", "digits").err
    typed("publish", "digits", str(export), "--champion")
    typed("publish", "digits", str(export), "--champion")
    untouched = (overlay / "models.config").read_text()
    said = typed("serve", "digits").out
    assert said.splitlines()[:2] == [
        "version 2 of digits is served, after: kubectl apply --server-side -k OVERLAY, which is one of these, or "
        "yours that includes it",
        "  k8s/overlays/serving: TensorFlow Serving loads it within two minutes, without a restart",
    ]
    assert said.endswith("to serve a later champion, repeat this command, or use --newest\n")
    assert policy(overlay) == "{ specific { versions: 2 } }"
    typed("rollback", "digits")
    typed("serve", "digits")
    assert policy(overlay) == "{ specific { versions: 1 } }"
    typed("serve", "digits", "2")
    assert policy(overlay) == "{ specific { versions: 2 } }"
    newest = typed("serve", "digits", "--newest").out
    assert "later champion" not in newest
    assert newest.endswith("still serve version 2: make models ARGS='serve digits'\n")  # which was rolled back
    assert (overlay / "models.config").read_text() == untouched
    assert "received none" in typed("serve", "digits", "7").err
    typed("publish", "digits", str(export))
    assert (
        "since servers see no other, received digits 3; make it the champion first" in typed("serve", "digits", "3").err
    )


def fetched(overlay: pathlib.Path) -> tuple[str, str]:
    """What KServe fetches, and to where."""
    [patch] = yaml.safe_load((overlay / "served.yaml").read_text())
    assert (patch["op"], patch["path"]) == ("add", "/spec/predictor/storageUris")
    [one] = patch["value"]
    return one["uri"], one["mountPath"]


def test_kserve_follows_the_champion_in_either_protocol(typed, export, overlay, tmp_path):
    uri = f"{tmp_path}/store/models/digits"
    typed("publish", "digits", str(export), "--champion")
    before = fetched(overlay / "kserve-v2")
    assert "kserve-v2: left as it was, since the version has no ONNX" in typed("serve", "digits").out
    assert fetched(overlay / "kserve") == (f"{uri}/1", "/mnt/models/1")
    assert fetched(overlay / "kserve-v2") == before
    (export / "onnx" / "digits" / "1").mkdir(parents=True)
    (export / "onnx" / "digits" / "1" / "model.onnx").write_bytes(b"onnx")
    for number in (2, 3):
        typed("publish", "digits", str(export), "--champion")
        assert "kserve-v2: KServe's Triton, in new pods" in typed("serve", "digits").out
        assert fetched(overlay / "kserve") == (f"{uri}/{number}", f"/mnt/models/{number}")
        assert fetched(overlay / "kserve-v2") == (f"{uri}/{number}/assets.extra/onnx", "/mnt/models")
        repository = pathlib.Path(fetched(overlay / "kserve-v2")[0])
        assert (repository / "digits" / "1" / "model.onnx").read_bytes() == b"onnx"
    typed("rollback", "digits")
    typed("serve", "digits")
    assert fetched(overlay / "kserve") == (f"{uri}/2", "/mnt/models/2")
    assert fetched(overlay / "kserve-v2")[0] == f"{uri}/2/assets.extra/onnx"
    typed("serve", "digits", "--newest")
    assert fetched(overlay / "kserve") == (uri, "/mnt/models")


@pytest.mark.parametrize("scheme", ["s3", "minio"])
def test_tensorflow_serving_is_not_told_to_read_s3(typed, overlay, scheme):
    common = overlay / "common" / "kustomization.yaml"
    common.write_text(re.sub(r"URI=\S+", f"URI={scheme}://bucket/models/digits", common.read_text()))
    said = typed("serve", "digits", "--newest", uri="").out.splitlines()
    assert said[1:3] == [
        "  k8s/overlays/serving: TensorFlow Serving can't read S3: use KServe",
        "  k8s/overlays/serving/kserve: KServe, in new pods",
    ]
    assert fetched(overlay / "kserve") == ("s3://bucket/models/digits", "/mnt/models")


def test_servers_that_do_not_follow_the_champion_are_told_of(typed, export):
    """In the overlays as they are at first: the highest number is served, a rolled-back one's too."""
    for _ in range(3):
        published = typed("publish", "digits", str(export), "--champion").out
        assert "still serve" not in published
    told = "note: servers that follow the highest number still serve version 3: make models ARGS='serve digits'\n"
    assert typed("rollback", "digits").out.endswith(told)
    assert typed("champion", "digits", "1").out.endswith(told)
    assert "still serve" not in typed("champion", "digits", "3").out


def test_an_overlay_of_another_model_is_not_pinned(typed, export, overlay):
    typed("publish", "other", str(export), "--champion")
    refused = typed("serve", "other")
    assert (refused.code, policy(overlay)) == (1, "{ latest { num_versions: 1 } }")
    assert "expected the serving overlay to read" in refused.err and "/models/other, received " in refused.err
    typed("publish", "digits", str(export), "--champion")
    typed("serve", "digits")
    refused = typed("serve", "other", "--newest")  # it had digits serve its highest version, a rolled-back one's too
    assert (refused.code, policy(overlay)) == (1, "{ specific { versions: 1 } }")
    assert "expected the serving overlay to read models/other, received " in refused.err
    (overlay / "models.config").write_text("model_version_policy {\n latest { num_versions: 1 }\n}\n")
    assert "expected one line `model_version_policy { ... }` in " in typed("serve", "digits", "--newest").err
