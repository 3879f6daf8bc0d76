"""Shell scripts that stand for commands."""

import os
import pathlib


def stand_ins(folder: pathlib.Path, **scripts: str) -> str:
    """Writes scripts into a folder, by their names with `_` for `-`; the PATH on which they come before all others."""
    folder.mkdir(exist_ok=True)
    for name, text in scripts.items():
        command = folder / name.replace("_", "-")
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
