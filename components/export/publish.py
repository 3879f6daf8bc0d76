"""Hands an export to the model registry, where servers find it."""

from components.core.registry import Registry
from components.core.registry.exported import read_export


def publish(registry_uri: str, model_name: str, exported_path: str) -> int:
    """Publishes the export artifact as the model's next version, and returns that version's number.

    The first version of a model becomes its champion; a later one only when somebody, or a gate, says so.

    Raises:
        StorageError: the registry can't be reached, refuses, or can't keep two publishers apart.
    """
    registry = Registry(registry_uri)
    saved_model, extras, facts = read_export(exported_path)
    version = registry.publish(model_name, saved_model, extras, facts)
    champion = registry.champion(model_name)
    if champion is None:
        champion = registry.promote(model_name, version.number, over=0)
    role = "the champion" if champion.version == version.number else f"the champion stays version {champion.version}"
    print(f"published {version.uri}, {role}", flush=True)
    return version.number
