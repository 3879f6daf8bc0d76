"""A model's answers to pictures: on the terminal, or as a CSV file."""

import collections
import contextlib
import csv
import pathlib
from collections.abc import Sequence

import numpy as np

from components.core.errors import PipelineError
from components.core.files import files_below, whole_file
from components.core.pictures.names import endings
from components.core.progress import Progress
from components.core.storage import location
from components.core.wording import counted, listed, printable
from components.predict.rows import class_columns
from components.predict.source import is_picture, linked_folders, not_followed
from pipeline.console import notes_aside
from pipeline.models.find import find_model

# A picture's name, its most probable classes with their probabilities, and why it has none.
Row = tuple[str, list[tuple[str, float]], str]


def predict_files(
    model: str, images: Sequence[str], out: str, top: int, outputs: pathlib.Path, registry: str = ""
) -> None:
    """Classifies picture files and folders of them, and prints or writes the answers.

    Left out of a folder is what training leaves out: hidden files, and those that are no pictures by their ending.

    Raises:
        PipelineError: there is no such model or picture, none of the files is a picture, or `out` can be no file.
    """
    files = find_pictures(images)
    to = _here(out) if out else None
    if to and to.is_dir():
        raise PipelineError(
            f"expected a CSV file to write, received the folder {out}; give {out.rstrip('/')}/answers.csv"
        )
    # The file is begun before anything is answered: a folder that takes none is told at once.
    with whole_file(to) if to else contextlib.nullcontext() as partial:
        place = find_model(model, outputs, registry)
        from pipeline.keras_side.classify import classify, open_classifier

        classifier = open_classifier(place)
        names = classifier.class_names
        top = min(top or len(names), len(names))
        rows: list[Row] = []
        with notes_aside(not to), Progress("predict", total=len(files), unit="pictures") as progress:
            for answered in classify(classifier, files):
                best: list[tuple[str, float]] = []
                if (found := answered.probabilities) is not None:
                    best = [(names[i], float(found[i])) for i in np.argsort(-found, kind="stable")[:top]]
                rows.append((printable(str(answered.path)), best, answered.reason))
                progress.advance(1)
        unreadable = [(path, reason) for path, _, reason in rows if reason]
        if len(unreadable) == len(files):
            path, reason = unreadable[0]
            raise PipelineError(f"expected pictures, received {path}: {reason}")
        if partial:
            _write(partial, rows, top)
        else:
            _print(rows)
    if to:
        print(f"wrote {counted(len(rows), 'row')} to {to}")
    if unreadable:
        print(f"{len(unreadable):,} of {len(files):,} could not be read, for instance {unreadable[0][0]}")


def find_pictures(images: Sequence[str]) -> list[pathlib.Path]:
    """The files named, and the pictures below the folders named, in the order of their names.

    Raises:
        PipelineError: none is named, one does not exist, or a folder holds no picture.
    """
    if not images:
        raise PipelineError("expected pictures, received none; name a file or a folder (with make: IMAGE=cat.png)")
    found: list[pathlib.Path] = []
    left_out: collections.Counter[str] = collections.Counter()
    links: list[str] = []
    for image in map(_here, images):
        if not image.exists():
            raise PipelineError(
                f"expected a picture or a folder of them, received {listed([str(image)])}, which does not exist"
            )
        files, others = _below(image) if image.is_dir() else ([image], collections.Counter[str]())
        links += linked_folders(image)
        if not files:
            held = endings(others) or (not_followed(links) if links else "an empty folder")
            raise PipelineError(f"expected pictures in {listed([str(image)])}, received {held}")
        found += files
        left_out += others
    if left_out:
        print(f"{left_out.total():,} left out: not a picture by its extension: {endings(left_out)}")
    if links:
        print(not_followed(links))
    return found


def _here(given: str) -> pathlib.Path:
    """A path on this machine. A store's place would be one too, below a folder called `gs:`."""
    if "://" in given:
        raise PipelineError(
            f"expected a path on this machine, received {given}; predict-all takes places in stores: "
            "SOURCE=gs://bucket/new OUT=gs://bucket/answers"
        )
    return location.local_path(given) if given.startswith("~") else pathlib.Path(given)


def _below(folder: pathlib.Path) -> tuple[list[pathlib.Path], collections.Counter[str]]:
    """The pictures below a folder, sorted, and how many other files have each ending; hidden ones are in neither."""
    others: collections.Counter[str] = collections.Counter()
    return [file for name, file in files_below(folder).items() if is_picture(name, others)], others


def _print(rows: list[Row]) -> None:
    for path, best, reason in rows:
        if len(rows) > 1:
            print(path)
        if best:
            print("\n".join(f"  {probability:6.1%}  {name}" for name, probability in best))
        else:
            print(f"  not a picture that can be read: {reason}")


def _write(path: pathlib.Path, rows: list[Row], top: int) -> None:
    header = class_columns(top)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", *header, "error"])
        for name, best, reason in rows:
            cells = [cell for found, probability in best for cell in (found, f"{probability:.6f}")]
            writer.writerow([name, *(cells or [""] * len(header)), reason])
