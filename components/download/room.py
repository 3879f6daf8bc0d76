"""Room on disk, looked for before it is needed."""

import os
import pathlib
import shutil

from components.core.errors import PipelineError
from components.core.progress import amount


def require_room(folder: pathlib.Path, needed: int) -> None:
    """Raises PipelineError if the file system of `folder` has less than `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise PipelineError(
            f"expected {amount(needed, 'B')} free in {folder}, received {amount(free, 'B')}; free some space, or set "
            "CONV2D_DOWNLOAD_CACHE and the output to a larger disk"
        )


def link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """A second name for the same bytes if the file system allows it, else a copy. Neither is written to again."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
