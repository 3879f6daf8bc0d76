"""The classes of the pictures, as far as they are known before anything runs."""

import os
import pathlib
from typing import TYPE_CHECKING

from components.download.places import path_behind, places_of, scheme_of
from components.train import class_weight as weights
from pipeline.parameters.own_pictures import PICTURES

if TYPE_CHECKING:
    from components.preprocess.sources.found import Found


def refuse_absent_classes(class_weight: str, dataset: str, source: str, labels: str) -> None:
    """Refuses a table of weights for other classes than the pictures'.

    Raises:
        PipelineError: names one; or the pictures' folders or their table of labels can't be understood.
    """
    weights.refuse_classes_not_of(class_weight, dataset, source)
    wanted = weights.parse_class_weight(class_weight)
    if not isinstance(wanted, dict) or dataset != PICTURES:
        return
    # What reads pictures needs NumPy: a tenth of a second that other commands do without.
    from components.preprocess.sources.label_table import LabelTable
    from components.preprocess.sources.together import together

    table = None
    if labels:
        if scheme_of(labels) != "file" or not path_behind(labels).is_file():
            return
        table = LabelTable(path_behind(labels), path_behind(labels).name)
    if all(scheme_of(place) == "file" and path_behind(place).is_dir() for place in places_of(source)):
        parts = [_found(path_behind(place)) for place in places_of(source)]
        weights.refuse_other_classes(wanted, together(parts, table).class_names)
    elif table:
        named = dict.fromkeys((line.label for line in table.lines()[1] if not line.odd), 1.0)
        weights.refuse_other_classes(named | wanted, list(named))  # whether each has a picture is not known


def _found(folder: pathlib.Path) -> "Found":
    """What lies in a folder of this machine, by its names alone: as preprocess finds it in what download packs."""
    from components.preprocess.sources.beside import READ, label_ending
    from components.preprocess.sources.found import Found, is_table
    from components.preprocess.sources.payloads import InFile

    found, names = Found(folder.name), list[str]()
    for top, folders, files in os.walk(folder):
        below = pathlib.PurePath(top).relative_to(folder)
        for name in (str(below / name) for name in files):
            inside = found.picture_in(name)
            if inside is not None:
                found.add(name, inside, 0, 0)
                names.append(name)
            elif is_table(name):
                found.tables[name] = folder / name
            elif label_ending(name):
                with (folder / name).open("rb") as file:
                    found.beside.add(name, file.read(READ))
        for name in folders:
            found.picture_in(f"{below / name}/")
    found.close(InFile(folder), lambda first, last: iter(names[first:last]))
    return found
