"""The commands of the model registry: python -m pipeline models list, show, publish, champion, serve, ..."""

import json
import pathlib
from typing import TYPE_CHECKING

import click

from components.core.errors import ODD_JSON, PipelineError
from components.core.progress import amount
from pipeline.commands import options
from pipeline.console import notes_aside, option, table
from pipeline.models.lineage import lineage, published

if TYPE_CHECKING:
    from components.core.registry import Registry, Version


@click.group("models")
@options.registry
@click.option(
    "--hub", envvar="CONV2D_MODEL_REGISTRY_URL", default="", help="Kubeflow Hub.  [default: CONV2D_MODEL_REGISTRY_URL]"
)
@click.pass_context
def models(context: click.Context, registry: str, hub: str) -> None:
    """Lists and manages the published models."""
    context.obj = registry
    context.meta["hub"] = hub


@models.command("list")
@click.argument("name", default="")
@click.pass_obj
def list_command(uri: str, name: str) -> None:
    """Lists the models, or the versions of one."""
    from components.core.registry import UnreadableVersion

    registry = _open(uri)
    if not name:
        lines = [_line(registry, model) for model in registry.names()]
        columns = ("model", "champion", "accuracy", "published (UTC)")
        print(table([row for row, _ in lines], columns) if lines else f"no models in {registry.store.uri()}")
        print("".join(f"{damage}\n" for _, damage in lines if damage), end="")
        return
    found = registry.inventory(name)
    if not found:
        raise PipelineError(f"expected versions of {name} in {registry.store.uri()}, received none; publish one first")
    rows = [
        (str(each.number), "unreadable", "", "", "", "")
        if isinstance(each, UnreadableVersion)
        else (str(each.number), _role(each), _accuracy(each), _decided(each), published(each), amount(each.bytes, "B"))
        for each in found
    ]
    print(table(rows, ("version", "role", "accuracy", "gate metric", "published (UTC)", "size")))
    damage = [f"version {each.number}: {each.reason}" for each in found if isinstance(each, UnreadableVersion)]
    print("".join(f"{line}\n" for line in [*damage, _champion(registry, name)[1]] if line), end="")


@models.command("show")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show_command(uri: str, name: str, version: int | None, as_json: bool) -> None:
    """Shows a version, by default the champion. Prints metrics, files, and lineage back to the source's SHA-256."""
    with notes_aside(as_json):
        shown = _open(uri).show(name, version)
    if as_json:
        fields = {"name": shown.name, "version": shown.number, "uri": shown.uri, "champion": shown.champion}
        files = {path: file.model_dump() for path, file in shown.files.items()}
        print(json.dumps({**fields, "facts": shown.facts, "files": files}, indent=2))
        return
    print(lineage(shown))


@models.command("publish")
@click.argument("name")
@click.argument("directory", type=options.LocalPath())
@click.option("--champion", is_flag=True, help="Make it the champion at once.")
@click.pass_obj
def publish_command(uri: str, name: str, directory: pathlib.Path, champion: bool) -> None:
    """Publishes an export, a fetched version or a SavedModel directory as the next version.

    Servers do not see it until it is the champion.
    """
    from components.core.registry import read_export

    registry = _open(uri, new=True)
    published = registry.publish(name, *read_export(directory))
    print(f"published {name} version {published.number} at {published.uri}")
    if champion:
        registry.promote(name, published.number)
        print(f"version {published.number} is the champion of {name}")
    _register(uri, name)


@models.command("champion")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.pass_obj
def champion_command(uri: str, name: str, version: int | None) -> None:
    """Makes a version the champion, also after a rollback. Without VERSION, prints the champion.

    If it was champion before, the champions since then count as rolled back.
    """
    registry = _open(uri)
    if version is None:
        shown = registry.show(name)
        print(f"version {shown.number} is the champion of {name}, at {shown.uri}")
        return
    registry.promote(name, version, named=True)
    print(f"version {version} is the champion of {name}")
    _tell_served(registry, name)
    _register(uri, name)


@models.command("rollback")
@click.argument("name")
@click.pass_obj
def rollback_command(uri: str, name: str) -> None:
    """Makes the previous champion the champion again.

    The version that is rolled back, or an identical model, becomes champion again only by `champion NAME VERSION`.
    """
    registry = _open(uri)
    version = registry.rollback(name).version
    print(f"version {version} is the champion of {name} again")
    _tell_served(registry, name)
    _register(uri, name)


@models.command("fetch")
@click.argument("name")
@click.argument("directory", type=options.LocalPath())
@click.option("--version", type=click.IntRange(min=1), help="Version to fetch.  [default: the champion]")
@click.pass_obj
def fetch_command(uri: str, name: str, directory: pathlib.Path, version: int | None) -> None:
    """Downloads a version into a new directory. Verifies the SHA-256 of every file."""
    if directory.exists():
        raise PipelineError(f"expected a new directory, received {directory}, which exists; choose another")
    fetched = _open(uri).fetch(name, version, directory)
    print(f"fetched {name} version {fetched.number} to {directory}")


@models.command("serve")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@click.option("--newest", is_flag=True, help="Follow the highest version number among present and past champions.")
@click.pass_obj
def serve_command(uri: str, name: str, version: int | None, newest: bool) -> None:
    """Sets the version that k8s/overlays/serving serves, also by KServe. Default: the champion."""
    from pipeline.models import serving

    overlay = "k8s/overlays/serving"
    if newest:
        served = serving.unpin(name)
        print("servers follow the newest present or past champion, after: ", end="")
        onnx = "left as it was, since it serves a version by its number"
    else:
        pinned = serving.pin(_open(uri), name, version)
        served = pinned.uri
        print(f"version {pinned.number} of {name} is served, after: ", end="")
        missing = "left as it was, since the version has no ONNX (FORMATS=saved_model,keras,onnx)"
        onnx = "KServe's Triton, in new pods" if pinned.onnx else missing
    print("kubectl apply --server-side -k OVERLAY, which is one of these, or yours that includes it")
    reads_none = served.startswith(("s3://", "minio://"))
    alone = "can't read S3: use KServe" if reads_none else "loads it within two minutes, without a restart"
    print(f"  {overlay}: TensorFlow Serving {alone}")
    print(f"  {overlay}/kserve: KServe, in new pods")
    print(f"  {overlay}/kserve-v2: {onnx}")
    if not newest:
        print("to serve a later champion, repeat this command, or use --newest")
    elif uri:
        _tell_served(_open(uri), name)


@models.command("delete")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--force", is_flag=True, help="Also delete a version that a rollback could reach. Never the champion.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.pass_obj
def delete_command(uri: str, name: str, version: int, force: bool, yes: bool) -> None:
    """Deletes a version. Its number is not used again."""
    registry = _open(uri)
    if not yes:
        click.confirm(f"delete version {version} of {name} from {registry.uri(name)}?", abort=True)
    registry.delete(name, version, force=force)
    print(f"deleted version {version} of {name}")
    _register(uri, name)


@models.command("register")
@click.argument("name")
@click.pass_obj
def register_command(uri: str, name: str) -> None:
    """Registers all versions and the champion with Kubeflow Hub. Commands that change them do so too."""
    if not click.get_current_context().meta["hub"]:
        raise PipelineError("expected the URL of Kubeflow Hub, received none; set CONV2D_MODEL_REGISTRY_URL=http://...")
    _open(uri)
    if not _register(uri, name):
        raise SystemExit(1)


COMMANDS = (models,)


def _tell_served(registry: "Registry", name: str) -> None:
    """Tells if the cluster's servers, as the overlays are at first, serve another version than the champion."""
    highest, champion = registry.highest(name), registry.champion(name)
    if champion and highest > champion.version:
        what = f"still serve version {highest}: make models ARGS='serve {name}'"
        print(f"note: servers that follow the highest number {what}")


def _register(uri: str, name: str) -> bool:
    """Tells Kubeflow Hub, if there is one."""
    from components.export.hub import tell_hub

    return tell_hub(click.get_current_context().meta["hub"], uri, name)


def _open(uri: str, new: bool = False) -> "Registry":
    """The registry there; one in a directory must exist unless it may be `new`."""
    from components.core.registry import Registry
    from components.core.storage.location import parse

    if not uri:
        given = option("registry", "gs://bucket")
        raise PipelineError(f"expected a registry, received none; give {given} or set {options.REGISTRY_VARIABLE}")
    location = parse(uri)
    if location.scheme == "file" and not new and not pathlib.Path(location.uri()).is_dir():
        raise PipelineError(
            f"expected a registry, found no directory {location.uri()}; check its name: only publishing makes one"
        )
    return Registry(uri)


def _champion(registry: "Registry", name: str) -> tuple[str, str]:
    """Its number, `-` for none, `?` if that can't be read, and then why."""
    from components.core.storage import Corrupted

    try:
        champion = registry.champion(name)
    except Corrupted as damage:
        return "?", str(damage)
    return str(champion.version) if champion else "-", ""


def _line(registry: "Registry", name: str) -> tuple[tuple[str, ...], str]:
    """A model in the list of all: its name, champion, that one's accuracy and time; and what is damaged of it."""
    from components.core.storage import StorageError

    champion, damage = _champion(registry, name)
    if not champion.isdecimal():
        return (name, champion, "", ""), damage
    try:
        shown = registry.show(name, int(champion))
    except StorageError as damaged:
        return (name, champion, "?", "?"), str(damaged)
    return (name, champion, _accuracy(shown), published(shown)), ""


def _role(found: "Version") -> str:
    return "champion" if found.champion else "" if found.served else "never champion"


def _accuracy(found: "Version") -> str:
    accuracy = found.facts.get("accuracy")
    return f"{accuracy:.4f}" if isinstance(accuracy, float) else ""


def _decided(found: "Version") -> str:
    """The gate's metric, and the version's figure if it is another than accuracy."""
    decision = found.facts.get("decision") or {}
    try:
        metric = decision.get("metric", "accuracy") if decision else ""
        return metric if metric in ("", "accuracy") else f"{metric} {decision[metric]:.4f}"
    except ODD_JSON:
        return "?"
