"""The command of the container images."""

import click

from pipeline.images.names import Target, names


@click.command("images")
@click.argument("action", type=click.Choice(["build", "push", "list", "names"]), default="build")
@click.option("--target", type=click.Choice(["cpu", "gpu", "jax"]), default="cpu", show_default=True)
def images_command(action: str, target: Target) -> None:
    """Builds, pushes or lists the container images; `names` asks no Docker engine."""
    from pipeline.images import build

    if action == "names":
        print("\n".join(names([target])))
        return
    {"build": build.build, "push": build.push, "list": build.show}[action]([target])


COMMANDS = (images_command,)
