"""Links among the files of this machine's runs. They are for people: a run ends as well without them."""

import os
import pathlib


def lead(link: pathlib.Path, target: pathlib.Path) -> str:
    """Makes `link` a relative link to `target`, in place of the link that is there.

    Returns:
        Why it could not, for instance as exFAT and many shares know no links; empty if it did.
    """
    beside = link.with_name(f".{link.name}.{os.getpid()}")  # of this process alone: two may be at it
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        beside.unlink(missing_ok=True)
        beside.symlink_to(os.path.relpath(target, link.parent))
        try:
            beside.replace(link)
        except OSError:
            beside.unlink()
            raise
    except OSError as refused:
        return refused.strerror or str(refused)
    return ""
