"""The options that several commands have, each written once."""

import functools
import inspect
import pathlib
import re
from collections.abc import Callable
from typing import Any

import click

from components.core.errors import PipelineError, nearest, shown
from components.core.storage import location
from pipeline.console import option
from pipeline.parameters.cluster_options import ClusterOptions, placement_file
from pipeline.parameters.parameters import (
    DEFAULT_PROFILE,
    Configuration,
    Parameters,
    configure,
    from_command_line,
    names_by_step,
)
from pipeline.parameters.pipeline import Pipeline
from pipeline.parameters.prediction import PredictionParameters, configure_prediction
from pipeline.parameters.sweep import plan_sweep, refuse_given_twice

REGISTRY_VARIABLE = "CONV2D_PUBLISH_URI"
# What a person may set as NAME=VALUE, for one command or another.
SETTINGS = {**Parameters.model_fields, **PredictionParameters.model_fields}
GRID = "Values to try: 'learning_rate=0.001,0.003 batch_size=50,250'."
PARALLEL = 4
# What is learned from: nothing, as of a script's variable that is not set, would be other pictures in silence.
NEVER_NOTHING = ("source", "labels", "group_column")
# Options of a sweep, which people give to run-local.
SWEPT = ("grid", "trials", "sampler")


class LocalPath(click.Path):
    """A path on this machine. `~` is the home folder: what follows NAME= most shells hand on as it was typed."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> pathlib.Path:
        if not str(value) or re.match(r"[a-z0-9]+://", str(value)):
            self.fail(f"expected a path on this machine, received {shown(str(value))}", param, ctx)
        location.local_path(str(value))  # raises if it can't be one
        return pathlib.Path(value).expanduser()


def check_names(context: click.Context, parameter: click.Parameter, settings: tuple[str, ...]) -> tuple[str, ...]:
    """Refuses a name given twice, and one that is no parameter, which may be a mistyped option of the command."""
    given: set[str] = set()
    for setting in settings:
        [(name, value)] = from_command_line([setting]).items()
        if name in NEVER_NOTHING and not value:
            said = "expected a value, received none (a variable that is not set?); give one, or leave it out"
            raise PipelineError(f"{name}: {said}")
        if name in given:
            raise PipelineError(f"expected {shown(name)} once, received it twice")
        if name not in SETTINGS:
            options = [each.opts[-1] for each in context.command.params if isinstance(each, click.Option)]
            known = [*SETTINGS, *(option(name.removeprefix("--")).rstrip("=") for name in options)]
            hint = f"make sweep takes {option(name)}" if name in SWEPT else nearest(name, known)
            raise PipelineError(f"unknown parameter {shown(name)} in command line; {hint}")
        given.add(name)
    return settings


outputs = click.option(
    "--outputs",
    type=LocalPath(),
    default="local_outputs",
    show_default=True,
    help="Folder of all local runs.",
)
trials = click.option(
    "--trials", type=click.IntRange(min=0), default=0, help="Number of random trials from the grid.  [default: all]"
)
registry = click.option(
    "--registry",
    envvar=REGISTRY_VARIABLE,
    default="",
    help=f"Model registry, such as gs://bucket.  [default: {REGISTRY_VARIABLE}]",
)
profile = click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="Profile name or YAML file.")
what = click.option(
    "--what",
    type=click.Choice(["training", "prediction"]),
    default="training",
    show_default=True,
    help="prediction: the champion classifies new pictures.",
)
settings = click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...", callback=check_names)
placement = click.option(
    "--placement", default="", help="File of NAME=VALUE lines for a cluster, such as k8s/overlays/*/runs.env."
)
endpoint_url = click.option(
    "--endpoint", "url", default="", help="KFP's URL.  [default: KFP_ENDPOINT, else by the kubeconfig]"
)
namespace = click.option(
    "--namespace", default="", help="Kubeflow profile's namespace. Token: KFP_EXISTING_TOKEN.  [default: KFP_NAMESPACE]"
)
webhook_secret = click.option(
    "--webhook-secret", default="", help="Kubernetes secret whose `url` gets a message when a run ends."
)


def cached(default: bool) -> Callable:
    return click.option(
        "--cache/--no-cache", "cached", default=default, show_default=True, help="Reuse results of earlier runs."
    )


def adding(name: str, make: Callable[..., Any], *options: Callable) -> Callable[[Callable], Callable]:
    """Adds options to a command, and hands on to it, as `name`, what `make` makes of their values."""
    taken = inspect.signature(make).parameters

    def decorated(command: Callable) -> Callable:
        @functools.wraps(command)
        def wrapped(**given: Any) -> Any:
            made = make(**{each: given.pop(each) for each in taken})
            return command(**{name: made}, **given)

        for add in reversed(options):
            wrapped = add(wrapped)
        return wrapped

    return decorated


def _configuration(what: str, profile: str, placement: str, settings: tuple[str, ...]) -> Configuration:
    placed = placement_file(placement) if placement else []
    if what == "prediction":
        if profile != DEFAULT_PROFILE:
            raise PipelineError(f"expected no {option('profile')} for a prediction, which trains nothing; leave it out")
        return configure_prediction(settings, placed)
    return configure(profile, [*placed, *settings])


def _job(configuration: Configuration, runner: Any, outputs: pathlib.Path, cached: bool) -> Any:
    from pipeline.local.start import LocalJob

    for name in names_by_step(Parameters)["placement"]:
        if configuration.origins[name] == "command line":
            raise PipelineError(f"{name}: expected none on this machine, as it places a cluster's pods; leave it out")
    return LocalJob(configuration, runner, outputs.absolute(), cached=cached)


def _pipeline(configuration: Any, cluster: ClusterOptions, grid: str, trials: int, parallel: int | None) -> Pipeline:
    if isinstance(configuration.parameters, PredictionParameters):
        trainings = {"grid": grid, "queue": cluster.queue, "priority": cluster.priority}
        trainings["evaluate-on"] = cluster.evaluate_on.removeprefix("cpu")
        if given := next((name for name, value in trainings.items() if value), ""):
            raise PipelineError(f"expected no {option(given)} for a prediction, which trains nothing; leave it out")
    sweep = None
    if grid:
        refuse_given_twice(configuration, grid)
        sweep = plan_sweep(configuration.parameters, grid, trials, parallel or PARALLEL)
    elif trials or parallel:
        given = option("trials" if trials else "parallel")
        raise PipelineError(f"expected {option('grid')} beside {given}, received none; without one, it trains once")
    return Pipeline(configuration, cluster, sweep)


def _endpoint(url: str, namespace: str) -> Any:
    from pipeline.cluster.kubeflow import find_endpoint

    return find_endpoint(url, namespace)


def _watching(interval: float, timeout: float, verbose: bool) -> Any:
    from pipeline.cluster.follow import Watch

    return Watch(interval, timeout=timeout, verbose=verbose)


experiment = click.option("--experiment", default="conv2d", show_default=True, help="KFP experiment of the run.")
service_account = click.option(
    "--service-account", default="", help="Kubernetes service account of the pods.  [default: KFP's own]"
)
check_images = click.option(
    "--check-images/--no-check-images", default=True, help="First check that the registry has the images."
)
configured = adding("configuration", lambda profile, settings: configure(profile, settings), profile, settings)
# Of a training or of a prediction.
configured_for = adding("configuration", _configuration, what, profile, placement, settings)
on_this_machine = adding(
    "job",
    _job,
    click.option(
        "--runner",
        type=click.Choice(["auto", "docker", "process"]),
        default="auto",
        show_default=True,
        help="Where the steps run; auto uses Docker if an engine is running.",
    ),
    outputs,
    cached(True),
    configured,
)
endpoint = adding("endpoint", _endpoint, endpoint_url, namespace)
watched = adding(
    "watching",
    _watching,
    click.option("--interval", default=5.0, show_default=True, help="Seconds between two status requests."),
    click.option("--timeout", default=0.0, help="Stop following after so many seconds.  [default: never]"),
    click.option("--verbose", is_flag=True, help="Also print the log lines of Kubeflow and Argo."),
)


def compiled(with_cache: bool) -> Callable[[Callable], Callable]:
    """Adds the configuration, and all that is fixed at compile time; hands them on as `pipeline`.

    Args:
        with_cache: whether steps may take earlier runs' results if the user does not say.
    """
    fixed = adding(
        "cluster",
        ClusterOptions,
        click.option(
            "--evaluate-on",
            type=click.Choice(["cpu", "gpu"]),
            default="cpu",
            show_default=True,
            help="gpu: on the nodes that train.",
        ),
        click.option("--queue", default="", help="Kueue LocalQueue of the GPU steps."),
        click.option("--priority", default="", help="Kueue WorkloadPriorityClass of the GPU steps."),
        webhook_secret,
        cached(with_cache),
        click.option("--digests", is_flag=True, help="Also pin the images by their digests in the registry."),
        click.option(
            "--proxy",
            type=click.Choice(["site", "kubeflow"]),
            default="site",
            show_default=True,
            help="kubeflow: Kubeflow's API server has HTTPS_PROXY set and passes it to the pods.",
        ),
    )
    return adding(
        "pipeline",
        _pipeline,
        fixed,
        click.option("--grid", default="", help=f"Train one model per combination, and export the best. {GRID}"),
        trials,
        click.option(
            "--parallel", type=click.IntRange(min=1), help=f"Trials that run in parallel.  [default: {PARALLEL}]"
        ),
        configured_for,
    )
