"""The drift report: one self-contained HTML page, for who wonders whether a model still meets what it learned from."""

import itertools
import pathlib
from typing import Any, NamedTuple

import numpy as np

from components.core.artifacts.reference import Reference, ReferencePicture
from components.core.page import Section, write_page
from components.core.page.charts import Axis, Bar, Chart, Line, axis
from components.core.page.numbers import page_percent
from components.core.pictures.appearance import LOOKS
from components.core.pictures.thumbnail import unpacked
from components.predict.champion import Served
from components.predict.drift.compare import CLASSES, Drift
from components.predict.drift.tally import Counts, Odd, middle
from components.predict.settings import AnswerSettings

TEMPLATES = pathlib.Path(__file__).parent / "templates"
MEANINGS = LOOKS | {
    "size": "the side of a square with as many pixels as the original picture",
    "certainty": "the probability of the predicted class",
    CLASSES: "how often each class is predicted",
}
NAMED = 3
# Below a chart there is room for so many labels, and for so many characters of them and between them.
MOST_TICKS = 6
TICKS_ROOM = 48


class Change(NamedTuple):
    """Something of which there is more, or less.

    Attributes:
        said: in words.
        reference, found: its share of what the model knows, and of these.
        examples: uint8 [height, width, 1 or 3], of training pictures.
    """

    said: str
    reference: float
    found: float
    examples: list[np.ndarray]


def write_drift_report(
    path: pathlib.Path,
    served: Served,
    reference: Reference,
    counts: Counts,
    drifts: list[Drift],
    settings: AnswerSettings,
) -> None:
    """Writes the report on some answers to `path`, whole or not at all."""
    different = [drift for drift in drifts if drift.different]
    less, more = changes(served.class_names, reference, different)
    write_page(
        path,
        TEMPLATES,
        "Drift report",
        served.model.said,
        [
            Section("measures", "Drift by measure"),
            Section("strangers", "Outliers", wanted=bool(counts.odd)),
            Section("gone", "Gone and new", wanted=bool(less or more)),
            Section("distributions", "Distributions"),
            Section("unreadable", "Unreadable", wanted=bool(counts.unreadable)),
            Section("method", "Method"),
        ],
        counts=counts,
        drifts=drifts,
        different=different,
        beyond=[drift for drift in drifts if drift.exceeds(settings.max_drift)],
        settings=settings,
        meanings=MEANINGS,
        strangers=[_stranger(odd, reference) for odd in counts.odd],
        less=less,
        more=more,
        charts=[chart(drift, reference) for drift in drifts if drift.name != CLASSES],
        classes=[row for drift in drifts if drift.name == CLASSES for row in class_shares(drift, served.class_names)],
        known={drift.name: int(drift.reference.sum()) for drift in drifts},
    )


def changes(class_names: list[str], reference: Reference, different: list[Drift]) -> tuple[list[Change], list[Change]]:
    """The bins and classes, of measures that differ, that lost and that gained the largest shares, few of each."""
    found: list[tuple[str, int, Change]] = []
    for drift in different:
        classes = [f"class {name}" for name in class_names]
        shares = _shares(drift, classes if drift.name == CLASSES else bin_names(drift.name, reference))
        found += [(drift.name, place, each) for place, each in enumerate(shares)]
    by_loss = sorted(found, key=lambda change: change[2].found - change[2].reference)
    less = [change for change in by_loss if change[2].found < change[2].reference / 2][:NAMED]
    more = [change for _, _, change in reversed(by_loss) if change.found > 2 * change.reference]
    shown = [change._replace(examples=_examples(reference, measure, place)) for measure, place, change in less]
    return shown, more[:NAMED]


def class_shares(drift: Drift, class_names: list[str]) -> list[Change]:
    """How often each class was answered, those first that have moved most."""
    return sorted(_shares(drift, class_names), key=lambda row: -abs(row.found - row.reference))


def _shares(drift: Drift, names: list[str]) -> list[Change]:
    known, new = (counts / max(counts.sum(), 1) for counts in (drift.reference, drift.found))
    return [Change(*each, []) for each in zip(names, known.tolist(), new.tolist(), strict=True)]


def _examples(reference: Reference, measure: str, place: int) -> list[np.ndarray]:
    """Training pictures of a class, or of a measure's bin; none if the model carries none."""

    def fits(example: ReferencePicture) -> bool:
        if measure == CLASSES:
            return example.label == place
        values = np.array([example.looks.get(measure, np.nan)])
        return measure in example.looks and int(reference.measures[measure].places(values)[0]) == place

    return [unpacked(example.picture) for example in itertools.islice(filter(fits, reference.examples), NAMED)]


def bin_names(measure: str, reference: Reference) -> list[str]:
    """What each bin of a measure is called."""
    edges = [value_text(measure, edge) for edge in reference.measures[measure].edges]
    inner = [f"{measure} {low} to {high}" for low, high in zip(edges, edges[1:], strict=False)]
    return [f"{measure} below {edges[0]}", *inner, f"{measure} above {edges[-1]}"]


def value_text(measure: str, value: float) -> str:
    """A measure's value for people."""
    if measure == "size":
        return f"{round(2**value):,} px"
    if measure == "certainty":  # most of them are near 1
        return f"{100 * min(max(value, 0.0), 1.0):.5g} %"
    return page_percent(min(max(value, 0.0), 1.0))


def _stranger(odd: Odd, reference: Reference) -> dict[str, Any]:
    """One of the pictures that are least like what the model knows."""
    usual, _ = middle(reference.measures[odd.measure])
    found, known = (value_text(odd.measure, value) for value in (odd.value, usual))
    said = f"{odd.measure} {found}; reference about {known}"
    return {"name": odd.name, "said": said, "pixels": unpacked(odd.png)}


def chart(drift: Drift, reference: Reference) -> Chart:
    """The shares of a measure's bins: what was found as bars, what it knows as a line."""
    known, new = (counts / max(counts.sum(), 1) for counts in (drift.reference, drift.found))
    held = np.flatnonzero(known + new)
    kept = np.arange(held.min(), held.max() + 1)
    names = [name.removeprefix(f"{drift.name} ") for name in bin_names(drift.name, reference)]
    # A label stands where its bin begins; the first bin has no beginning.
    begins = ["", *(value_text(drift.name, edge) for edge in reference.measures[drift.name].edges)]
    labels = [begins[at] for at in kept]
    every = -(-len(kept) // max(1, min(MOST_TICKS, TICKS_ROOM // (2 + max(map(len, labels))))))
    ticks = [(float(place), label) for place, label in enumerate(labels) if label and place % every == 0]
    line = [(float(place + side), float(known[at])) for place, at in enumerate(kept) for side in (0, 1)]
    said = ", ".join(
        f"{names[at]} {page_percent(float(new[at]))} (reference {page_percent(float(known[at]))})" for at in kept
    )
    return Chart(
        f"drift-{drift.name}",
        drift.name.capitalize(),
        f"Shares of the new pictures: {said}.",
        Axis("", 0, len(kept), ticks),
        axis("", [0, float(max(known[kept].max(), new[kept].max()))], percent=True),
        [Line("reference", line, "ink", markers=False)],
        [Bar(place + 0.1, place + 0.9, float(new[at])) for place, at in enumerate(kept)],
    )
