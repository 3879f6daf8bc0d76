"""docker/base-image.sh, with commands that stand for apt's, Docker's and debootstrap."""

import os
import subprocess

import pytest

from pipeline import ROOT
from tests.stand_ins import stand_ins

# What apt-get indextargets answers in the script's format, of a `URIs: mirror+file:...` (Debian's apt 2.6).
ANSWER = '$(. /etc/os-release; echo "$ID|$VERSION_CODENAME")|main|mirror+file:{file}/'

FOLDERS = "etc/apt/sources.list.d usr/local/share/ca-certificates"


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes a base image")
def test_debootstrap_is_given_a_mirror_out_of_apts_list(tmp_path):
    """GitHub's runners have such a list, and debootstrap knew no `mirror+file:`."""
    mirrors = tmp_path / "apt-mirrors.txt"
    mirrors.write_text("http://azure.example/ubuntu/\tpriority:1\nhttp://archive.example/ubuntu/\tpriority:2\n")
    path = stand_ins(
        tmp_path,
        apt_get=f'echo "{ANSWER.format(file=mirrors)}"',
        docker='[ "$1" = version ]',
        debootstrap=f"echo $* >{tmp_path}/asked; exit 1",
    )
    environment = {"PATH": path, "TMPDIR": str(tmp_path)}
    subprocess.run([ROOT / "docker/base-image.sh"], env=environment, capture_output=True)
    asked = (tmp_path / "asked").read_text().split()
    assert asked[-1] == "http://azure.example/ubuntu/"
    assert "--force-check-gpg" in asked  # else it goes on where the release's keys are missing


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes a base image")
def test_security_updates_are_in_it(tmp_path):
    """debootstrap takes a release as it was published: OpenSSL and Python were months behind the host's."""
    of_host = '. /etc/os-release; for kind in "" -updates -security; do echo "$ID|$VERSION_CODENAME$kind|main|{}"; done'
    path = stand_ins(
        tmp_path,
        apt_get=of_host.format("http://archive.example$kind/debian/"),
        docker='[ "$1" = version ]',
        debootstrap=f'while [ $# -gt 2 ]; do shift; done; mkdir -p "$1" && cd "$1" && mkdir -p {FOLDERS}',
        chroot=f'[ "$2" = sh ] || exit 0; (echo "$4"; cat "$1"/etc/apt/sources.list.d/*) >{tmp_path}/asked; exit 1',
    )
    environment = {"PATH": path, "TMPDIR": str(tmp_path), "SUITE": "newer"}
    made = subprocess.run([ROOT / "docker/base-image.sh"], env=environment, capture_output=True, text=True)
    asked, *updates = (tmp_path / "asked").read_text().splitlines()
    assert "dist-upgrade" in asked
    assert updates == [
        "deb http://archive.example-security/debian/ newer-security main",
        "deb http://archive.example-updates/debian/ newer-updates main",
    ]
    assert "error: expected the updates of newer from this host's apt sources" in made.stderr
