"""docker/lock.sh: what it asks the resolver, and which pins it keeps. The resolver is a stand-in."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from pipeline import ROOT

RESOLVER = """#!/bin/bash
for last in "$@"; do :; done
echo "$@" >>asked
cp "$last" "preferred-$(basename "$last" .txt.new)"
echo "numpy==2 --hash=new" >"$last"
[[ $* == *"--extra local"* ]] && echo "kfp==2 --hash=k" >>"$last"
exit 0
"""


@pytest.fixture
def lock(tmp_path):
    """Locks a copy of the project whose files pin two packages; gives what was asked, and what each lock began with."""
    shutil.copytree(ROOT / "docker", tmp_path / "docker")
    (tmp_path / "k8s/base").mkdir(parents=True)
    shutil.copy(ROOT / "k8s/base/kustomization.yaml", tmp_path / "k8s/base")
    for file in (tmp_path / "docker/requirements").glob("*.txt"):
        comments = [line for line in file.read_text().splitlines() if line.startswith("#")]
        file.write_text("\n".join([*comments, ""]) + "numpy==1 \\\n    --hash=old\nrequests==1 \\\n    --hash=old\n")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    # As macOS has it, -i takes the ending of a copy: `sed -i s/a/b/ FILE` is a script named FILE.
    sed = f'#!/bin/bash\n[ "$1" != -i ] || exit 1\nexec {shutil.which("sed")} "$@"\n'
    for name, text in {"uv": RESOLVER, "python": "#!/bin/bash\n", "sed": sed}.items():
        (tmp_path / ".venv/bin" / name).write_text(text)
        (tmp_path / ".venv/bin" / name).chmod(0o755)

    def run(upgrade: str) -> tuple[list[str], dict[str, list[str]]]:
        environment = os.environ | {"UPGRADE": upgrade, "PATH": f"{tmp_path}/.venv/bin:{os.environ['PATH']}"}
        subprocess.run([tmp_path / "docker/lock.sh"], env=environment, check=True, capture_output=True)
        began = {path.name.removeprefix("preferred-"): pins(path) for path in tmp_path.glob("preferred-*")}
        return (tmp_path / "asked").read_text().splitlines(), began

    return run


def pins(file: pathlib.Path) -> list[str]:
    return [line.split()[0] for line in file.read_text().splitlines() if line[:1].isalpha()]


def test_kfps_pins_do_not_hold_back_the_images(lock):
    """They are resolved first, on their own; what runs here prefers their versions and may differ."""
    asked, began = lock("")
    wanted = {line.rpartition("/")[2].removesuffix(".txt.new"): line for line in asked}
    for image in ("cpu", "gpu", "jax", "tensorboard"):
        assert "test.txt" not in wanted[image] and "local" not in wanted[image]
    assert [line.rpartition("/")[2] for line in asked][0] == "cpu.txt.new"
    assert "-c docker/requirements/cpu.txt" in wanted["gpu"] and "-c" not in wanted["test"].split()
    assert began["test"] == ["numpy==2", "requests==1"]


@pytest.mark.parametrize(
    ("upgrade", "kept"), [("", ["numpy==1", "requests==1"]), ("numpy", ["requests==1"]), ("1", [])]
)
def test_pins_stay_unless_an_upgrade_is_asked_for(lock, upgrade, kept):
    assert lock(upgrade)[1]["cpu"] == kept


def test_the_jax_image_holds_jax_and_no_tensorflow():
    """tests/components/train/test_jax_backend.py trains where there is none."""
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    below, jax = (
        re.search(rf"AS {stage}-packages\n.*?install\.sh \S+ ([^\n]*)", dockerfile, re.DOTALL)
        for stage in ("data", "jax")
    )
    files = f"{below[1]} {jax[1]}".split()
    assert files == ["data.txt", "kfp.txt", "jax.txt"]
    names = {pin.partition("==")[0] for file in files for pin in pins(ROOT / "docker/requirements" / file)}
    assert {"jax", "jax-cuda12-plugin", "keras", "kfp"} <= names
    assert not {name for name in names if "tensorflow" in name}
