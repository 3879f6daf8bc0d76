"""docker/install.py, with uv and with pip, against a package index that wants a password. Needs no engine."""

import base64
import functools
import hashlib
import http.server
import os
import pathlib
import subprocess
import sys
import threading
import venv
import zipfile

import pytest

from pipeline import ROOT

WHEEL = "tiny_thing-1.0-py3-none-any.whl"


class Index(http.server.SimpleHTTPRequestHandler):
    """Serves a directory to whoever knows the password."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == f"Basic {base64.b64encode(b'somebody:hunter2').decode()}":
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="index"')
        self.send_header("Content-Length", "0")
        return self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """An index with one package: its URL, with the password in it."""
    root = tmp_path_factory.mktemp("index")
    page = root / "simple/tiny-thing/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../{WHEEL}">{WHEEL}</a>')
    info = "tiny_thing-1.0.dist-info"
    with zipfile.ZipFile(root / WHEEL, "w") as wheel:
        wheel.writestr("tiny_thing.py", "HERE = True\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"tiny_thing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Index, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://somebody:hunter2@127.0.0.1:{server.server_port}/simple", root / WHEEL
    server.shutdown()
    server.server_close()


@pytest.fixture
def install(index, tmp_path):
    """Installs the package into a fresh environment; returns the finished process and the environment's packages."""
    url, wheel = index
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {url}\ntimeout = 20\n")
    venv.create(tmp_path / "fresh")
    packages = next((tmp_path / "fresh/lib").glob("python*/site-packages"))

    def run(
        uv_lock: str, digest: str = "", *options: str | pathlib.Path, **variables: str
    ) -> tuple[subprocess.CompletedProcess, pathlib.Path]:
        digest = digest or hashlib.sha256(wheel.read_bytes()).hexdigest()
        (tmp_path / "uv.txt").write_text(uv_lock)
        (tmp_path / "tiny.txt").write_text(f"tiny-thing==1.0 --hash=sha256:{digest}\n")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        outside = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
        done = subprocess.run(
            [
                sys.executable,
                ROOT / "docker/install.py",
                "--into",
                tmp_path / "fresh/bin/python",
                *options,
                tmp_path / "tiny.txt",
            ],
            env=clean | outside | variables,
            capture_output=True,
            text=True,
        )
        return done, packages

    return run


LOCKED_UV = (ROOT / "docker/requirements/uv.txt").read_text()
NO_SUCH_UV = f"uv==0.0.0 --hash=sha256:{'0' * 64}\n"


@pytest.mark.parametrize(("uv_lock", "installer"), [(LOCKED_UV, "uv"), (NO_SUCH_UV, "pip")])
def test_packages_come_from_the_index_that_pip_knows_with_uv_or_without(install, uv_lock, installer):
    done, packages = install(uv_lock)
    assert done.returncode == 0, done.stderr
    assert (packages / "tiny_thing.py").is_file()
    assert (packages / "tiny_thing-1.0.dist-info/INSTALLER").read_text().strip() == installer
    assert ("installing with pip" in done.stderr) == (installer == "pip")
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(("uv_lock", "installer"), [(LOCKED_UV, "uv"), (NO_SUCH_UV, "pip")])
def test_a_habit_of_installing_elsewhere_or_less_is_not_heeded(install, tmp_path, uv_lock, installer):
    """As on machines that many share: pip refused, or installed where nothing looks. NVIDIA's containers name
    constraints, for the packages that they hold. All habits at once: each that is heeded is seen."""
    with (tmp_path / "pip.conf").open("a") as settings:
        settings.write("[install]\nuser = true\n")
    (tmp_path / "constraint.txt").write_text("tiny-thing==0.9\nuv==0.1\n")
    places = {name: str(tmp_path / name) for name in ("PIP_TARGET", "PIP_PREFIX")}
    done, packages = install(uv_lock, PIP_USER="1", PIP_CONSTRAINT=str(tmp_path / "constraint.txt"), **places)
    assert done.returncode == 0, done.stderr
    assert (packages / "tiny_thing-1.0.dist-info/INSTALLER").read_text().strip() == installer


@pytest.mark.parametrize("uv_lock", [LOCKED_UV, NO_SUCH_UV])
def test_a_file_with_another_hash_is_not_installed(install, uv_lock):
    done, packages = install(uv_lock, digest="0" * 64)
    assert done.returncode != 0 and "hash" in done.stderr.lower()
    assert not (packages / "tiny_thing.py").exists()


@pytest.mark.parametrize("uv_lock", [LOCKED_UV, NO_SUCH_UV])
def test_what_is_there_already_is_not_installed_again_beside_it(install, tmp_path, uv_lock):
    there = tmp_path / "there.txt"
    for text, installed in (
        ("# none\nother-thing==2 \\\n    --hash=sha256:0\n", True),
        ("tiny-thing==1.0 \\\n    --hash=sha256:0\n", False),
    ):
        there.write_text(text)
        beside = tmp_path / f"beside-{installed}"
        done, packages = install(uv_lock, "", "--beside", beside, "--without", there)
        assert done.returncode == 0, done.stderr
        assert (beside / "tiny_thing.py").is_file() == installed
        assert not (packages / "tiny_thing.py").exists()
