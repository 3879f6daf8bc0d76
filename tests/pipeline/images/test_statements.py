"""What a pushed image states about itself, and what cosign, here a stand-in that notes its calls, is asked to sign."""

import json
import pathlib

import pytest

from components.core.errors import PipelineError
from pipeline import ROOT
from pipeline.images import statements
from pipeline.revision import checkout_revision
from tests.stand_ins import stand_ins

NAME = "registry.example/team/conv2d:train-0123456789ab"
MARKERS = statements.EVERYWHERE | {
    "platform_machine": "x86_64",
    "python_version": "3.13",
    "python_full_version": "3.13.5",
}


def test_the_bill_of_materials_lists_what_the_locks_install():
    bill = statements.bill_of_materials(NAME, "cpu", MARKERS)
    assert (bill["bomFormat"], bill["specVersion"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "1.6", NAME)
    packages = {part["name"]: part for part in bill["components"]}
    assert packages["tensorflow-cpu"]["purl"] == "pkg:pypi/tensorflow-cpu@2.21.0"
    assert {"kfp", "numpy", "onnxruntime"} <= set(packages) and "tensorflow" not in packages
    assert len([part for part in bill["components"] if part["name"] == "numpy"]) == 1  # of two for two Pythons
    assert not {"keras", "tensorflow-cpu"} & {
        part["name"] for part in statements.bill_of_materials(NAME, "data", MARKERS)["components"]
    }


def test_the_provenance_names_the_base_and_the_revision():
    made = statements.provenance(NAME, "cpu")
    assert made["buildDefinition"]["resolvedDependencies"] == [{"uri": statements.base_name()}]
    assert made["buildDefinition"]["internalParameters"] == {"revision": checkout_revision()}


@pytest.fixture
def cosign(tmp_path, monkeypatch):
    """Makes a cosign that notes its arguments and ends as it is told; gives the notes."""
    notes = tmp_path / "notes"

    def make(ends: int) -> pathlib.Path:
        script = f'echo "$@" >>{notes}\necho no such key >&2\nexit {ends}'
        monkeypatch.setenv("PATH", stand_ins(tmp_path / "bin", cosign=script))
        return notes

    monkeypatch.setattr(statements, "FOLDER", tmp_path / "statements")
    return make


@pytest.mark.parametrize(("key", "by"), [("kms://team/key", ["--key", "kms://team/key"]), ("keyless", [])])
def test_the_digest_is_signed_and_both_statements_are_attached(cosign, key, by):
    notes = cosign(0)
    reference = NAME.rpartition(":")[0] + "@sha256:" + "0" * 64
    statements.check_cosign(key)
    bill, made = statements.write_statements(NAME, "cpu", MARKERS)
    statements.sign(reference, (bill, made), key)
    assert [line.split() for line in notes.read_text().splitlines()] == [
        ["sign", "--yes", *by, reference],
        ["attest", "--yes", *by, "--type", "cyclonedx", "--predicate", str(bill), reference],
        ["attest", "--yes", *by, "--type", "slsaprovenance1", "--predicate", str(made), reference],
    ]
    assert json.loads(bill.read_text())["components"]


def test_a_signature_that_can_not_be_made_is_one_line(cosign, tmp_path, monkeypatch):
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        with pytest.raises(PipelineError, match="expected cosign on the PATH"):
            statements.check_cosign("keyless")
    cosign(1)
    with pytest.raises(PipelineError, match="received SIGN=lost.key"):
        statements.check_cosign("lost.key")
    with pytest.raises(PipelineError, match="expected cosign sign to succeed, it said: no such key"):
        statements.sign(NAME, statements.write_statements(NAME, "data", MARKERS), "keyless")


def test_every_wheel_of_the_locks_can_be_read():
    """Of each stage; a marker that is not understood would end a push."""
    for stage in ("data", "cpu", "gpu", "jax"):
        lines = [
            line for line in (ROOT / f"docker/requirements/{stage}.txt").read_text().splitlines() if line[:1].isalpha()
        ]
        assert 40 < len(statements.bill_of_materials(NAME, stage, MARKERS)["components"]) <= len(lines) + 50
