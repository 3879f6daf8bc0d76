"""answered.json in the predict step's artifact: what became of the pictures. The webhook's message tells it."""

import pathlib

import pydantic

from components.core.files import write_json

ANSWERED_FILE = "answered.json"


class PredictionSummary(pydantic.BaseModel):
    """What a run of predict did.

    Attributes:
        pictures: that were new, the unreadable ones among them.
        place: where the answers lie.
        report: where the drift report lies; empty: there is none.
        drift: the largest share that lies elsewhere, of the measures that differ; 0 if none does.
        said: all that in words.
    """

    pictures: int
    unreadable: int
    pictures_per_second: float
    place: str
    report: str = ""
    drift: float = 0.0
    said: str


def write_answered(directory: str | pathlib.Path, answered: PredictionSummary) -> None:
    """Writes answered.json into `directory`."""
    write_json(pathlib.Path(directory) / ANSWERED_FILE, answered.model_dump(mode="json"))
