"""What the nodes of a training are told: one description for all, as JSON in the argument of node.py."""

from typing import Any

import pydantic

from components.train.settings import TrainSettings

# The exit code of a node that was fine itself, but lost another one: to try again with new nodes may help.
LOST = 75


class Job(pydantic.BaseModel):
    """A training on several nodes. URIs are of stores that all nodes reach, or paths that all of them have.

    Below `work` lies what the nodes and the step that launched them leave for each other:

        alive/          a new name every few minutes while that step watches; node.py ends a training that nobody does
        checkpoints/    unless the user named a place for them; evaluate removes them
        NAME/           of one TrainJob, so that none meets what one before left, where nothing can be removed:
            failed      the first own error of a node, one line: written before that node ends, so before others miss it
            result/     the first node's: model/ and tensorboard/, once training has ended well
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    settings: dict[str, Any]
    dataset: str
    work: str
    name: str = pydantic.Field("", description="of the TrainJob; the step that makes them has none yet")
    tensorboard: str = pydantic.Field("", description="where event files go while it trains; empty: to the result only")
    patience_s: float = pydantic.Field(3600, description="for all nodes to arrive, the first to the last")
    lost_after_s: int = pydantic.Field(60, description="a node not heard of for so long ends the training")
    watched: bool = pydantic.Field(True, description="whether `alive/` changes while somebody waits for the result")

    @property
    def checked_settings(self) -> TrainSettings:
        """The settings, with a place for checkpoints that outlives the nodes, JAX, which they train by, and a line an
        epoch, by which the step knows how far they got."""
        settings = TrainSettings.checked(**self.settings)
        checkpoints = settings.checkpoints or self.place("checkpoints")
        verbose = "2" if settings.verbose == "0" else settings.verbose
        return settings.model_copy(update={"checkpoints": checkpoints, "backend": "jax", "verbose": verbose})

    def named(self, name: str) -> "Job":
        """The same as one TrainJob does it."""
        return self.model_copy(update={"name": name})

    def place(self, name: str) -> str:
        """The URI of something below `work`, which all TrainJobs of the step share."""
        return f"{self.work.rstrip('/')}/{name}"

    def own_place(self, name: str = "") -> str:
        """The URI of something that is this TrainJob's alone."""
        return self.place(f"{self.name}/{name}".strip("/")).rstrip("/")
