"""The command of the container images."""

import click

from pipeline.images.names import Target, names


@click.command("images")
@click.argument("action", metavar="ACTION", type=click.Choice(["build", "push", "names"]), default="build")
@click.option("--target", type=click.Choice(["cpu", "gpu", "jax"]), default="cpu", show_default=True)
def images_command(action: str, target: Target) -> None:
    """Builds or pushes the container images, or prints their names."""
    from pipeline.images import build

    if action == "names":
        print("\n".join(names([target])))
        return
    if action == "push":
        build.push([target])
    else:
        build.build([target])


COMMANDS = (images_command,)
