"""The command line, `python -m pipeline` or `conv2d`. The Makefile calls it; `--help` tells what there is."""

import pathlib
from collections.abc import Callable

import click

from components.core.errors import one_line_errors
from pipeline.commands.cluster import COMMANDS, cluster_options
from pipeline.commands.model import model
from pipeline.commands.models import URI_VARIABLE, models
from pipeline.commands.sweep import sweep_command, sweep_options
from pipeline.parameters.parameters import DEFAULT_PROFILE, Parameters, configure
from pipeline.parameters.placement_settings import ClusterOptions
from pipeline.parameters.sweep import Sweep

profile_option = click.option(
    "--profile", default=DEFAULT_PROFILE, show_default=True, help="A profile's name or a YAML file."
)
settings_argument = click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")


@click.group()
def main() -> None:
    """Trains image classifiers: on this machine, or on Kubeflow Pipelines."""


@main.command("run-local")
@profile_option
@click.option("--runner", type=click.Choice(["auto", "docker", "process"]), default="auto", show_default=True)
@click.option("--outputs", type=click.Path(path_type=pathlib.Path), default="local_outputs", show_default=True)
@settings_argument
def run_local_command(profile: str, runner: str, outputs: pathlib.Path, settings: tuple[str, ...]) -> None:
    """Runs the pipeline on this machine."""
    from pipeline.local.run import run_local

    run_local(configure(profile, settings), runner, outputs)


@main.command("compile")
@profile_option
@click.option(
    "--to",
    type=click.Path(path_type=pathlib.Path),
    help="The file to write.  [default: build/training.yaml, of a sweep build/sweep.yaml]",
)
@click.option("--mask-images", is_flag=True, help="Leave the image tags out, for the golden file in the tests.")
@cluster_options
@sweep_options
@settings_argument
def compile_command(
    profile: str,
    to: pathlib.Path | None,
    mask_images: bool,
    settings: tuple[str, ...],
    cluster: ClusterOptions,
    plan: Callable[[Parameters], Sweep | None],
) -> None:
    """Compiles the pipeline for Kubeflow, the profile's values as its defaults."""
    from pipeline.cluster import compile as compiling

    parameters = configure(profile, settings).parameters
    sweep = plan(parameters)
    to = to or pathlib.Path("build/sweep.yaml" if sweep else "build/training.yaml")
    compiling.compile_pipeline(parameters, to, cluster, sweep)
    if mask_images:
        to.write_text(compiling.mask_images(to.read_text()))
    print(f"compiled {to}")


@main.command("config")
@profile_option
@settings_argument
def config_command(profile: str, settings: tuple[str, ...]) -> None:
    """Prints every parameter: its value, where that came from, and what it is."""
    from pipeline.console import table

    configuration = configure(profile, settings)
    rows = [
        (name, str(getattr(configuration.parameters, name)), configuration.origins[name], field.description or "")
        for name, field in Parameters.model_fields.items()
    ]
    print(table(rows, ("name", "value", "from", "what it is")))


@main.command("images")
@click.argument("action", type=click.Choice(["build", "push", "list", "names"]), default="build")
@click.option("--target", type=click.Choice(["cpu", "gpu", "jax"]), default="cpu", show_default=True)
def images_command(action: str, target: str) -> None:
    """Builds, pushes or lists the container images; `names` asks no Docker engine."""
    from pipeline.images import build
    from pipeline.images.names import names

    if action == "names":
        print("\n".join(names([target])))
        return
    {"build": build.build, "push": build.push, "list": build.show}[action]([target])


@main.command("predict")
@click.option(
    "--model", default="", help="A file, export or run, NAME@VERSION or NAME@champion; else the latest run's."
)
@click.option(
    "--registry", envvar=URI_VARIABLE, default="", help=f"Of NAME@VERSION: gs://bucket, ...; else {URI_VARIABLE}."
)
@click.option("--out", default="", help="A CSV file to write.")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="Classes told of each picture.")
@click.option("--outputs", type=click.Path(path_type=pathlib.Path), default="local_outputs", show_default=True)
@click.argument("images", nargs=-1, metavar="IMAGE...")
def predict_command(
    model: str, registry: str, out: str, top: int, outputs: pathlib.Path, images: tuple[str, ...]
) -> None:
    """Tells the classes of pictures, or of all pictures in a folder."""
    from pipeline.models.predict import predict

    predict(model, images, out, top, outputs, registry)


for command in (*COMMANDS, model, models, sweep_command):
    main.add_command(command)


def run() -> None:
    with one_line_errors():
        main()


if __name__ == "__main__":
    run()
