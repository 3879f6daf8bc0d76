"""Which state of the checkout made something."""

import pathlib
import subprocess

from components.core.files import sha256_of
from components.core.revision import code_revision
from pipeline import ROOT


def checkout_revision(root: pathlib.Path = ROOT) -> str:
    """git's name of the checkout, `-dirty` if a tracked file differs; of an installed copy the hash of our code."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "pipeline/__init__.py")
        return git("describe", "--always", "--dirty", "--exclude=*", "--abbrev=12")
    except (OSError, subprocess.CalledProcessError):
        return code_revision()


def version_of(compiled: pathlib.Path, root: pathlib.Path = ROOT) -> str:
    """A compiled pipeline's version on Kubeflow's Pipelines page: the revision, and eight digits of the file's hash.

    The same code, defaults and options compile to the same bytes, so two versions of one name are one version.
    """
    return f"{checkout_revision(root)}-{sha256_of(compiled)[:8]}"
