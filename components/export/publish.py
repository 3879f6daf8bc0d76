"""Hands an export that passed the gate to the model registry, where servers find it, and makes it the champion."""

from typing import Any, NamedTuple

from components.core.artifacts.evaluation import Decision, read_decision
from components.core.errors import PipelineError
from components.core.registry import Registry, read_export
from components.core.storage import StorageError


class Published(NamedTuple):
    """What became of an export: the version's number, 0 where it was not published; its role; all that in words."""

    version: int
    champion: bool
    said: str


def publish(registry_uri: str, model_name: str, exported_path: str, evaluation_path: str) -> Published:
    """Publishes the export artifact as the model's next version, and makes that the champion, as the gate decided.

    The decision was taken against one champion. Where another has taken its place since, the new version was never
    compared with that one: it is not published, since servers take the highest number. A step that was killed after it
    had published goes on with that version.

    Args:
        registry_uri: empty: nothing is published.

    Raises:
        PipelineError: the decision is about another registry or model.
        StorageError: the registry can't be reached, refuses, or can't keep two publishers apart.
    """
    decision = read_decision(evaluation_path)
    if not registry_uri:
        return Published(0, False, "exported")
    _check(decision, registry_uri, model_name)
    registry = Registry(registry_uri)
    saved_model, extras, facts = read_export(exported_path)
    number = _published_already(registry, model_name, facts, decision.champion)
    champion = registry.champion(model_name)
    current = champion.version if champion else 0
    if current not in (decision.champion, number or decision.champion):
        why = _overtaken(decision, current)
        return _told(0, False, f"exported, not published: {why}; run again to compare with that")
    if not number:
        number = registry.publish(model_name, saved_model, extras, facts).number
    if current != number:
        try:
            registry.promote(model_name, number, over=decision.champion)
        except StorageError as refused:
            # Somebody was quicker by seconds, or the store failed: the version is there, and known not to be champion.
            now = registry.champion(model_name)
            if now is None or now.version in (decision.champion, number):
                raise refused from None
            why = _overtaken(decision, now.version)
            return _told(number, False, f"exported and published as version {number}, not as the champion: {why}")
    return _told(number, True, f"exported and published as version {number}, the champion")


def _check(decision: Decision, registry_uri: str, model_name: str) -> None:
    """Refuses a decision that is not about this."""
    if (decision.registry, decision.model_name) != (registry_uri, model_name):
        raise PipelineError(
            f"expected the gate's decision on {model_name} in {registry_uri}, received one on {decision.model_name} in "
            f"{decision.registry or 'no registry'}; run evaluate with the same model_name and publish_uri"
        )


def _published_already(registry: Registry, name: str, facts: dict[str, Any], champion: int) -> int:
    """The version that an earlier try of this very step has published since the decision; 0: none."""

    def identity(said: dict[str, Any]) -> tuple:
        return said.get("model_sha256"), said.get("decision"), sorted(said.get("formats", ()))

    later = [version for version in registry.versions(name) if version.number > champion]
    return next((version.number for version in later if identity(version.facts) == identity(facts)), 0)


def _overtaken(decision: Decision, current: int) -> str:
    compared = f"version {decision.champion}" if decision.champion else "none"
    return f"the gate compared with {compared} as the champion, which is version {current} now"


def _told(version: int, champion: bool, said: str) -> Published:
    print(said, flush=True)
    return Published(version, champion, said)
