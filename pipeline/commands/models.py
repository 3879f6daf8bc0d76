"""The commands of the model registry: python -m pipeline models list, show, publish, champion, serve, ..."""

import json
import pathlib
from typing import TYPE_CHECKING

import click

from components.core.errors import PipelineError
from components.core.progress import amount
from pipeline.commands import options
from pipeline.console import table
from pipeline.models.lineage import lineage

if TYPE_CHECKING:
    from components.core.registry import Registry, Version


@click.group("models")
@options.registry
@click.pass_context
def models(context: click.Context, registry: str) -> None:
    """The published models: versions, and which of them is the champion."""
    context.obj = registry


@models.command("list")
@click.argument("name", default="")
@click.pass_obj
def list_command(uri: str, name: str) -> None:
    """Lists the models, or the versions of one."""
    registry = _open(uri)
    if not name:
        names = registry.names()
        champions = [(model, registry.champion(model)) for model in names]
        models = [(model, str(champion.version) if champion else "-") for model, champion in champions]
        print(table(models, ("model", "champion")) if models else f"no models in {registry.store.uri()}")
        return
    versions = registry.versions(name)
    if not versions:
        raise PipelineError(f"expected versions of {name} in {registry.store.uri()}, received none; publish one first")
    rows = [
        (str(found.number), "champion" if found.champion else "", _accuracy(found), found.created[:19], _size(found))
        for found in versions
    ]
    print(table(rows, ("version", "", "accuracy", "published (UTC)", "size")))


@models.command("show")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def show_command(uri: str, name: str, version: int | None, as_json: bool) -> None:
    """Shows a version (the champion by default): its figures, files, and lineage back to the source's bytes."""
    shown = _open(uri).show(name, version)
    if as_json:
        fields = {"name": shown.name, "version": shown.number, "uri": shown.uri, "champion": shown.champion}
        files = {path: file.model_dump() for path, file in shown.files.items()}
        print(json.dumps({**fields, "facts": shown.facts, "files": files}, indent=2))
        return
    print(lineage(shown))


@models.command("publish")
@click.argument("name")
@click.argument("directory", type=click.Path(path_type=pathlib.Path))
@click.option("--champion", is_flag=True, help="Make it the champion at once.")
@click.pass_obj
def publish_command(uri: str, name: str, directory: pathlib.Path, champion: bool) -> None:
    """Publishes an export artifact, or a bare SavedModel directory, as the next version."""
    from components.core.registry import read_export

    registry = _open(uri)
    published = registry.publish(name, *read_export(directory))
    print(f"published {name} version {published.number} at {published.uri}")
    if champion:
        registry.promote(name, published.number)
        print(f"version {published.number} is the champion of {name}")


@models.command("champion")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--over", type=click.IntRange(min=0), help="Only if this one is the champion now (0: none).")
@click.pass_obj
def champion_command(uri: str, name: str, version: int | None, over: int | None) -> None:
    """Makes a version the champion; without one, tells which is."""
    registry = _open(uri)
    if version is None:
        shown = registry.show(name)
        print(f"version {shown.number} is the champion of {name}, at {shown.uri}")
        return
    registry.promote(name, version, over=over)
    print(f"version {version} is the champion of {name}")


@models.command("rollback")
@click.argument("name")
@click.pass_obj
def rollback_command(uri: str, name: str) -> None:
    """Makes the champion before this one champion again."""
    print(f"version {_open(uri).rollback(name).version} is the champion of {name} again")


@models.command("fetch")
@click.argument("name")
@click.argument("directory", type=click.Path(path_type=pathlib.Path))
@click.option("--version", type=click.IntRange(min=1), help="Else the champion.")
@click.pass_obj
def fetch_command(uri: str, name: str, directory: pathlib.Path, version: int | None) -> None:
    """Downloads a version into a new directory, every file proven by its SHA-256."""
    if directory.exists():
        raise PipelineError(f"expected a new directory, received {directory}, which exists; choose another")
    fetched = _open(uri).fetch(name, version, directory)
    print(f"fetched {name} version {fetched.number} to {directory}")


@models.command("serve")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--newest", is_flag=True, help="Whichever is the newest, champion or not.")
@click.pass_obj
def serve_command(uri: str, name: str, version: int | None, newest: bool) -> None:
    """Writes into k8s/overlays/serving which version TensorFlow Serving serves: the champion, or another."""
    from pipeline.models import serving

    if newest:
        serving.unpin()
        print("the newest version is served", end="")
    else:
        print(f"version {serving.pin(_open(uri), name, version)} of {name} is served", end="")
    print(", without a restart, half a minute after: kubectl apply --server-side -k k8s/overlays/serving")


@models.command("delete")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--force", is_flag=True, help="Also the version that a rollback would choose. Never the champion.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete_command(uri: str, name: str, version: int, force: bool, yes: bool) -> None:
    """Deletes a version; its number is not used again."""
    registry = _open(uri)
    if not yes:
        click.confirm(f"delete version {version} of {name} from {registry.uri(name)}?", abort=True)
    registry.delete(name, version, force=force)
    print(f"deleted version {version} of {name}")


@models.command("clean")
@click.argument("name")
@click.option("--older-than-hours", type=click.FloatRange(min=0), default=24.0, show_default=True)
@click.pass_obj
def clean_command(uri: str, name: str, older_than_hours: float) -> None:
    """Removes what is left of publications that never finished. Publishing does it too."""
    swept = _open(uri).sweep(name, older_than_hours * 3600)
    print(f"removed what was left of {name} {', '.join(map(str, swept))}" if swept else "nothing to remove")


COMMANDS = (models,)


def _open(uri: str) -> "Registry":
    from components.core.registry import Registry

    if not uri:
        variable = options.REGISTRY_VARIABLE
        raise PipelineError(f"expected a registry, received none; give --registry gs://bucket or set {variable}")
    return Registry(uri)


def _accuracy(found: "Version") -> str:
    accuracy = found.facts.get("accuracy")
    return f"{accuracy:.4f}" if isinstance(accuracy, float) else ""


def _size(found: "Version") -> str:
    return amount(found.bytes, "B")
