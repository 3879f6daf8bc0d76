"""Hands an export that passed the gate to the model registry, and makes it the champion, which servers find."""

from typing import Any, NamedTuple

from components.core.artifacts.evaluation import read_decision
from components.core.errors import PipelineError
from components.core.registry import OvertakenError, Registry, RolledBackError, read_export
from components.core.storage import Denied
from components.core.storage.errors import tell


class Published(NamedTuple):
    """What became of an export: the version's number, 0 if it was not published; its role; all that in words."""

    version: int
    champion: bool
    said: str


def publish(registry_uri: str, model_name: str, exported_path: str, evaluation_path: str) -> Published:
    """Publishes the export artifact as the model's next version, and makes that the champion, as the gate decided.

    The decision was taken against one champion. If another has taken its place since, the new version was never
    compared with that one, and is withdrawn: it lay where no server looks, and nothing stays of it. The same if an
    identical model was rolled back, which only a person can undo. A step that was killed goes on with the version that
    it had published.

    Args:
        registry_uri: empty: nothing is published.

    Raises:
        PipelineError: the decision is about another registry or model.
        StorageError: the registry can't be reached, refuses, or can't keep two publishers apart.
    """
    decision = read_decision(evaluation_path)
    if not registry_uri:
        return Published(0, False, "exported")
    if (decision.registry, decision.model_name) != (registry_uri, model_name):
        raise PipelineError(
            f"expected the gate's decision on {model_name} in {registry_uri}, received one on {decision.model_name} in "
            f"{decision.registry or 'no registry'}; run evaluate with the same model_name and publish_uri"
        )
    registry, over = Registry(registry_uri), decision.champion
    saved_model, extras, facts = read_export(exported_path)
    number = _published_already(registry, model_name, facts)
    try:
        if not number:
            # Before anything is sent. Promoting looks again, with nothing in between.
            if _champion(registry, model_name) != over:
                return _overtaken(registry, model_name, 0, over)
            number = registry.publish(model_name, saved_model, extras, facts, challenger=True).number
        registry.promote(model_name, number, over=over)
    except OvertakenError:
        return _overtaken(registry, model_name, number, over)
    except RolledBackError as refused:
        kept = _withdraw(registry, model_name, number)
        done = f"exported and published as version {number}, not as the champion" if kept else "exported, not published"
        return _told(number if kept else 0, False, f"{done}: {refused}")
    return _told(number, True, f"exported and published as version {number}, the champion")


def _published_already(registry: Registry, name: str, facts: dict[str, Any]) -> int:
    """The version that an earlier try of this very step has published, by the same decision; 0: none."""

    def identity(said: dict[str, Any]) -> tuple:
        return said.get("model_sha256"), said.get("decision"), sorted(said.get("formats", ()))

    published = registry.versions(name)
    return next((version.number for version in published if identity(version.facts) == identity(facts)), 0)


def _champion(registry: Registry, name: str) -> int:
    champion = registry.champion(name)
    return champion.version if champion else 0


def _overtaken(registry: Registry, name: str, number: int, over: int) -> Published:
    """Tells that another champion has come than the one that was compared with."""
    current = _champion(registry, name) or "none"
    if _withdraw(registry, name, number):
        return _told(number, False, f"exported and published as version {number}, the champion until version {current}")
    return _told(
        0,
        False,
        f"exported, not published: the gate compared with {f'version {over}' if over else 'none'} as the champion, "
        f"which is version {current} now; run again to compare with that",
    )


def _withdraw(registry: Registry, name: str, number: int) -> bool:
    """Removes what was published in vain; True if it stays, since an earlier try of this step made it champion."""
    champion = registry.champion(name)
    if champion and number in champion.crowned:
        return True
    if number:
        try:
            registry.delete(name, number)
            print(f"withdrew version {number} of {name}, which no server has seen", flush=True)
        except Denied as refused:
            if any(version.number == number for version in registry.inventory(name)):
                raise
            tell(f"what was sent as version {number} of {name} stays, counted as deleted: {refused}")
    return False


def _told(version: int, champion: bool, said: str) -> Published:
    print(said, flush=True)
    return Published(version, champion, said)
