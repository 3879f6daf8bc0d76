"""Links among the files of this machine's runs. They are for people: a run ends as well without them."""

import contextlib
import os
import pathlib

# Below the outputs directory: the folder of all runs.
BOARD = "tensorboard"


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


class BoardLinks:
    """The links that `make tensorboard` shows of one run, to its event files under short names, below `directory`."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.shown: set[pathlib.Path] = set()

    def show(self, name: str, event_files: pathlib.Path) -> None:
        """Links event files that are there, or about to be written."""
        lead(self.directory / name, event_files)
        self.shown.add(self.directory / name)

    def hide(self, name: str) -> None:
        """Takes back the link of a step that an earlier run answers for: the curves are shown below that one."""
        (self.directory / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Takes back the links of steps that did not run, also of an earlier run's of the same name."""
        # The deepest first: a folder goes when it is empty.
        for path in (*sorted(self.directory.rglob("*"), reverse=True), self.directory):
            if path.is_symlink():
                if not (path in self.shown and path.exists()):
                    path.unlink()
            elif path.is_dir():
                with contextlib.suppress(OSError):  # there is something in it
                    path.rmdir()
