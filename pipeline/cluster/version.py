"""The names of a compiled pipeline and of its version on Kubeflow's Pipelines page."""

import hashlib
import pathlib
import re

from components.core.files import sha256_of
from pipeline import ROOT
from pipeline.revision import checkout_revision

# Kubernetes' names have 253 characters, those of the versions and of what KFP makes of them among them.
LONGEST = 45


def pipeline_name(title: str, sweep: bool = False) -> str:
    """The name that KFP finds a pipeline by, which is Kubernetes's name of it too: digits, letters, dashes.

    If letters are lost by that, or it would be too long, eight digits of the title's hash keep two pipelines apart.

    Args:
        title: the profile's name, or that of the user's own pictures.
        sweep: a sweep of a profile is a pipeline of its own, since it takes other parameters.
    """
    plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    if len(plain) > LONGEST or not title.isascii() or not plain:
        digest = hashlib.sha256(title.encode()).hexdigest()[:8]
        plain = f"{plain[:LONGEST].strip('-') or 'training'}-{digest}"
    return f"{plain}-sweep" if sweep else plain


def version_of(compiled: pathlib.Path, root: pathlib.Path = ROOT) -> str:
    """The code's revision, `-dirty` if a tracked file differs from it, and eight digits of the compiled file's hash.

    The same code, defaults and options compile to the same bytes, so two versions of one name are one version.
    """
    return f"{checkout_revision(root)}-{sha256_of(compiled)[:8]}"
