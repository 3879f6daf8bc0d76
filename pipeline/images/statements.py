"""What a pushed image says of itself: its bill of materials and where it was made, and a signature by cosign.

Both statements are written to build/statements/ at every push. `--sign KEY` signs the image and attaches them to it, so
that a cluster's admission policy can ask for them: KEY is a file or a KMS address as cosign takes it, or `keyless` for
the identity that a hosted CI hands out. cosign comes from its own project; nothing of it is needed without --sign.
"""

import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from components.core.errors import PipelineError, one_line
from components.core.files import write_json
from pipeline import docker_folder
from pipeline.images.base_image import base_name
from pipeline.revision import checkout_revision

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    import docker

FOLDER = pathlib.Path("build/statements")
KEYLESS = "keyless"
# What the locks' markers may ask, of any image of ours; they name versions for other machines too.
EVERYWHERE = {
    "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "implementation_name": "cpython",
}  # fmt: skip
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
ENVIRONMENT_FILE = "/opt/venv/pyvenv.cfg"


def markers_of(client: "docker.DockerClient", name: str) -> dict[str, str]:
    """What an image answers the locks' markers: of its processor, and of the Python of its base."""
    architecture = client.images.get(name).attrs["Architecture"]
    container = client.containers.create(name, ["never run"])
    try:
        packed = b"".join(container.get_archive(ENVIRONMENT_FILE)[0])
    finally:
        container.remove()
    [(full, short)] = re.findall(r"^version = ((\d+\.\d+)\S*)", packed.decode(), re.MULTILINE)
    python = {"python_version": short, "python_full_version": full}
    return EVERYWHERE | python | {"platform_machine": MACHINES.get(architecture, architecture)}


def bill_of_materials(name: str, stage: str, markers: Mapping[str, str]) -> dict[str, Any]:
    """What is in an image, as CycloneDX 1.6: the locked packages, and the base image as one thing, whose parts its own
    makers list. https://cyclonedx.org/docs/1.6/json/"""
    locks = [docker_folder() / f"requirements/{lock}.txt" for lock in dict.fromkeys(("data", "kfp", stage))]
    pins = {(each.name, str(each.specifier).removeprefix("==")) for lock in locks for each in locked(lock, markers)}
    packages = [
        {"type": "library", "name": package, "version": version, "purl": f"pkg:pypi/{package}@{version}"}
        for package, version in sorted(pins)
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name}},
        "components": [{"type": "container", "name": base_name()}, *packages],
    }


def provenance(name: str, stage: str) -> dict[str, Any]:
    """From what an image was made: the predicate of SLSA provenance 1. https://slsa.dev/spec/v1.0/provenance"""
    return {
        "buildDefinition": {
            "buildType": "docker build --target",
            "externalParameters": {"image": name, "target": stage},
            "internalParameters": {"revision": checkout_revision()},
            "resolvedDependencies": [{"uri": base_name()}],
        },
        "runDetails": {"builder": {"id": "make images ACTION=push"}},
    }


def write_statements(name: str, stage: str, markers: Mapping[str, str]) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes both, and returns the files' paths."""
    tag = name.rpartition(":")[2]
    bill, made = FOLDER / f"{tag}.cdx.json", FOLDER / f"{tag}.provenance.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_json(bill, bill_of_materials(name, stage, markers))
    write_json(made, provenance(name, stage))
    return bill, made


def check_cosign(key: str) -> None:
    """Refuses to begin a push that could not be signed.

    Raises:
        PipelineError: cosign is not here, or the key's file is not.
    """
    if not shutil.which("cosign"):
        raise PipelineError(
            "expected cosign on the PATH to sign with; install it (sigstore/cosign), or leave SIGN= out"
        )
    if key != KEYLESS and "://" not in key and not pathlib.Path(key).is_file():
        raise PipelineError(f"expected a key's file, a KMS address or {KEYLESS}, received SIGN={key}")


def sign(reference: str, statements: tuple[pathlib.Path, pathlib.Path], key: str) -> None:
    """Signs `name@sha256:...` and attaches the statements.

    Raises:
        PipelineError: cosign's own words.
    """
    by = [] if key == KEYLESS else ["--key", key]
    _cosign("sign", "--yes", *by, reference)
    for kind, statement in zip(("cyclonedx", "slsaprovenance1"), statements, strict=True):
        _cosign("attest", "--yes", *by, "--type", kind, "--predicate", str(statement), reference)
    print(f"signed {reference}")


def _cosign(*arguments: str) -> None:
    done = subprocess.run(["cosign", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PipelineError(
            f"expected cosign {arguments[0]} to succeed, it said: {one_line(done.stderr or done.stdout)}"
        )


def locked(file: pathlib.Path, markers: Mapping[str, str] | None = None) -> "Iterator[Requirement]":
    """The packages that a lock has for an image, by what it answers the markers, or for this machine."""
    from packaging.requirements import Requirement

    for line in re.findall(r"^[A-Za-z0-9][^\\\n]*", file.read_text(encoding="utf-8"), re.MULTILINE):
        requirement = Requirement(line)
        if not requirement.marker or requirement.marker.evaluate(dict(markers) if markers else None):
            yield requirement
