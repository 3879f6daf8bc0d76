"""Which state of the checkout made something."""

import pathlib
import subprocess

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
