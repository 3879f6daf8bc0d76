"""The links that `make tensorboard` shows: a folder a run, of links to its event files, under short names."""

import contextlib
import pathlib

from pipeline.local.links import lead

# Below the outputs directory: the folder of all runs.
BOARD = "tensorboard"


class BoardLinks:
    """The links of one run, below `directory`."""

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
        for path in sorted(self.directory.rglob("*"), reverse=True):
            if path.is_symlink() and not (path in self.shown and path.exists()):
                path.unlink()
        for path in (*sorted(self.directory.rglob("*"), reverse=True), self.directory):
            if path.is_dir() and not path.is_symlink():
                with contextlib.suppress(OSError):  # there is something in it
                    path.rmdir()
