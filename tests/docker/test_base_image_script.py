"""docker/base-image.sh, with commands that stand for apt's, Docker's and debootstrap."""

import os
import subprocess

import pytest

from pipeline import ROOT

# What apt-get indextargets answers in the script's format, of a `URIs: mirror+file:...` (Debian's apt 2.6).
ANSWER = '$(. /etc/os-release; echo "$ID|$VERSION_CODENAME")|main|mirror+file:{file}/'


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes a base image")
def test_debootstrap_is_given_a_mirror_out_of_apts_list(tmp_path):
    """GitHub's runners have such a list, and debootstrap knew no `mirror+file:`."""
    mirrors = tmp_path / "apt-mirrors.txt"
    mirrors.write_text("http://azure.example/ubuntu/\tpriority:1\nhttp://archive.example/ubuntu/\tpriority:2\n")
    scripts = {
        "apt-get": f'echo "{ANSWER.format(file=mirrors)}"',
        "docker": '[ "$1" = version ]',
        "debootstrap": f"echo $* >{tmp_path}/asked; exit 1",
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    subprocess.run([ROOT / "docker/base-image.sh"], env=environment, capture_output=True)
    asked = (tmp_path / "asked").read_text().split()
    assert asked[-1] == "http://azure.example/ubuntu/"
    assert "--force-check-gpg" in asked  # else it goes on where the release's keys are missing
