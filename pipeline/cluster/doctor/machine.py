"""Checks of this machine: Python, packages, Docker, clock."""

import datetime
import email.utils
import importlib.metadata
import pathlib
import sys

from components.core.errors import PipelineError
from pipeline import docker_folder
from pipeline.cluster.doctor.check import Check, Setup, failed, ok, skipped, warning
from pipeline.console import option

LOCK = docker_folder() / "requirements" / "local.txt"
PYTHONS = ((3, 11), (3, 13))
# Signed requests to object stores are refused beyond a quarter of an hour; tokens beyond minutes.
MOST_SKEW_S = 60


def check_python(setup: Setup) -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        return ok(found)
    return failed(found, "install Python 3.11, 3.12 or 3.13 and say which: make clean, make PYTHON3=python3.11")


def check_packages(setup: Setup, lock: pathlib.Path = LOCK) -> Check:
    """Whether what is installed is what is locked."""
    from pipeline.images.statements import locked

    if not lock.is_file():
        return failed(f"{lock.name} is missing", "check the project out again, or: make lock")
    packages, off = list(locked(lock)), []
    for pinned in packages:
        try:
            here = importlib.metadata.version(pinned.name)
        except importlib.metadata.PackageNotFoundError:
            here = "missing"
        if not pinned.specifier.contains(here if here != "missing" else "0", prereleases=True):
            off.append(f"{pinned.name} {here}, locked {str(pinned.specifier).removeprefix('==')}")
    if not off:
        return ok(f"{len(packages)} packages, all as locked")
    more = f" and {len(off) - 3} more" if len(off) > 3 else ""
    return warning("; ".join(off[:3]) + more, "make clean; the next make target builds a new environment")


def check_docker(setup: Setup) -> Check:
    """Whether an engine answers that builds images."""
    from pipeline.images.engine import address, engine

    try:
        version = engine().version()
    except PipelineError as error:
        said, _, mend = str(error).partition("; ")
        return warning(said, f"{mend} to build images; runs need none: {option('runner', 'process')}")
    return ok(f"{version.get('Version', 'unknown')} at {address()}")


def check_clock(setup: Setup) -> Check:
    """This clock against that of the cluster's KFP."""
    import requests

    try:
        url = setup.endpoint.url
        answer = requests.head(url, timeout=(5, 10)) if url else None
    except (PipelineError, requests.RequestException):
        answer = None
    stamp = answer.headers.get("Date") if answer is not None else None
    if not stamp:
        return skipped("no KFP endpoint answers with the time to compare with")
    skew = (datetime.datetime.now(datetime.UTC) - email.utils.parsedate_to_datetime(stamp)).total_seconds()
    if abs(skew) <= MOST_SKEW_S:
        return ok(f"within {MOST_SKEW_S} s of the cluster's")
    ahead = "ahead of" if skew > 0 else "behind"
    return failed(f"{abs(skew):.0f} s {ahead} the cluster's", "set it by NTP: timedatectl set-ntp true")


CHECKS = {
    "python": check_python,
    "packages": check_packages,
    "docker": check_docker,
    "clock": check_clock,
}
