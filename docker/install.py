"""Installs locked requirement files with uv, which takes a fifth of pip's time, or with pip where uv can't be had.

    python docker/install.py FILE...                    into this Python's own environment, as `make` does
    python docker/install.py --into PYTHON FILE...      into another's, as an image's build does
    ... --beside DIRECTORY --without OTHER FILE         what FILE has beyond OTHER, into a directory of its own

This Python needs pip, which fetches uv from the index that pip knows, as locked in uv.txt beside the first file. uv
does not read pip's settings: they are handed to it in its own variables, without showing a value. Nothing but what the
files name is installed (they are complete), and only if its hash is the locked one. Bytecode is not compiled here: a
quickstart compiles what it loads, a tenth of it.
"""

import argparse
import ast
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile

# pip's settings and uv's variables for the same thing, with what stands between several values.
SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX", ""),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "keyring-provider": ("UV_KEYRING_PROVIDER", ""),
    "proxy": ("ALL_PROXY", ""),
    "cert": ("SSL_CERT_FILE", ""),
    "client-cert": ("SSL_CLIENT_CERT", ""),
    "default-timeout": ("UV_HTTP_TIMEOUT", ""),
    "timeout": ("UV_HTTP_TIMEOUT", ""),
}
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
LOCKED = ("--require-hashes", "--no-deps")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--into", default=sys.executable, help="the Python of the environment to install into")
    parser.add_argument("--beside", help="a directory to install into, for that Python's path")
    parser.add_argument("--without", type=pathlib.Path, help="a file whose packages are there already")
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    given = parser.parse_args()
    there = pins(given.without) if given.without else {}
    with tempfile.TemporaryDirectory() as directory:
        what = [*LOCKED, *(["--target", given.beside] if given.beside else [])]
        for number, file in enumerate(given.files):
            lacking = pathlib.Path(directory, f"{number}.txt")
            lacking.write_text("".join(text for name, text in pins(file).items() if name not in there))
            what += ["--requirement", str(lacking)]
        if has_uv(given.files[0].with_name("uv.txt")):
            uv = pathlib.Path(sysconfig.get_path("scripts"), "uv")
            command = [str(uv), "pip", "install", "--quiet", "--python", given.into, *what]
            if subprocess.run(command, env=uv_environment()).returncode == 0:
                return
        print("installing with pip, which takes a minute longer: uv did not do it", file=sys.stderr)
        command = [*PIP, "--python", given.into, "install", "--quiet", "--no-compile", *what]
        sys.exit(subprocess.run(command, env=pip_environment()).returncode)


def pins(file: pathlib.Path) -> dict[str, str]:
    """The packages of a locked file: each pinned name with its version, markers and hashes as they stand there."""
    found: dict[str, str] = {}
    name = ""
    for line in file.read_text().splitlines(keepends=True):
        if line[0].isalnum():
            name = line.partition("=")[0].strip().lower()
        if not line.startswith("#"):
            found[name] = found.get(name, "") + line
    return found


def has_uv(lock: pathlib.Path) -> bool:
    """Installs the locked uv beside pip; False if the index lacks it, or has none for this machine."""
    command = [*PIP, "install", "--quiet", "--no-compile", *LOCKED, "--requirement", str(lock)]
    done = subprocess.run(command, env=pip_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def pip_environment() -> dict[str, str]:
    """This process's, but for where to install what: a `user = true`, or a place, is a habit of machines that many
    share, and NVIDIA's containers name constraints for what they hold."""
    habits = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT")
    return {name: value for name, value in os.environ.items() if name not in habits} | {"PIP_USER": "0"}


def uv_environment() -> dict[str, str]:
    """This process's environment, and pip's settings in uv's words; what the environment says in uv's words counts."""
    settings = pip_settings()
    found = {"UV_SYSTEM_CERTS": "1"}  # as pip has it: the certificates that this machine trusts
    for name, (variable, between) in SETTINGS.items():
        if name in settings:
            found[variable] = between.join(settings[name].split()) if between else settings[name]
    if "extra-index-url" in settings:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip has it: any index may serve a file; the hashes decide
    return found | os.environ


def pip_settings() -> dict[str, str]:
    """What pip's files and variables set, by option; `pip config list` has merged the files, later ones first."""
    command = [*PIP, "config", "list"]  # under PIP_USER=1 it would read the user's own file alone
    listed = subprocess.run(command, env=pip_environment(), capture_output=True, text=True, check=True).stdout
    found = {}
    for section in ("global.", "install.", ":env:."):
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(section):
                found[key.removeprefix(section)] = str(ast.literal_eval(value))
    return found


if __name__ == "__main__":
    main()
