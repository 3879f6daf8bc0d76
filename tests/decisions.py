"""A gate's decision, for what is done with one."""

from typing import Any

from components.core.artifacts.evaluation import Decision, DecisionReason


def decision(passed: bool, *reasons: str, **changes: Any) -> Decision:
    """A decision for those reasons, which all hold if it `passed`."""
    made = Decision(
        passed=passed,
        reasons=[DecisionReason(said=said, holds=passed) for said in reasons],
        accuracy=0.75,
        pictures=100,
        gate="beat_champion",
        min_accuracy=0.8,
        min_improvement=0.0,
        significance=0.05,
        model_name="digits",
        registry="",
        champion=0,
    )
    return made.model_copy(update=changes)
