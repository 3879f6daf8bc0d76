"""Room on disk, looked for before it is needed."""

import os
import pathlib
import shutil

from components.core import files


def require_room(folder: pathlib.Path, needed: int) -> None:
    """Raises PipelineError if the file system of `folder` has less than `needed` bytes free."""
    files.require_free(folder, needed, "free some, or set CONV2D_DOWNLOAD_CACHE and the output to a larger disk")


def link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """A second name for the same bytes if the file system allows it, else a copy. Neither is written to again."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
