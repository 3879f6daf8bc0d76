"""The command of the container images."""

import click

from components.core.errors import PipelineError
from pipeline.console import option
from pipeline.images.names import Target, names


@click.command("images")
@click.argument("action", metavar="ACTION", type=click.Choice(["build", "push", "names"]), default="build")
@click.option("--target", type=click.Choice(["cpu", "gpu", "jax"]), default="cpu", show_default=True)
@click.option("--sign", "key", default="", help="Sign pushed images: cosign's key, a KMS address, or keyless.")
def images_command(action: str, target: Target, key: str) -> None:
    """Builds or pushes the container images, or prints their names."""
    from pipeline.images import build

    if key and action != "push":
        raise PipelineError(f"expected {option('sign')} with push only, received it with {action}; nothing was signed")
    if action == "names":
        print("\n".join(names([target])))
        return
    if action == "push":
        build.push([target], key)
    else:
        build.build([target])


COMMANDS = (images_command,)
