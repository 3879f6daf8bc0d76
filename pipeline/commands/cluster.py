"""The commands that need a cluster: submit, follow, schedule, schedules, unschedule, doctor."""

import functools
import os
from collections.abc import Callable
from typing import Any

import click

from components.core.errors import PipelineError
from pipeline.commands.sweep import sweep_options
from pipeline.parameters.parameters import DEFAULT_PROFILE
from pipeline.parameters.placement_settings import ClusterOptions, placement_file


def cluster_options(command: Callable) -> Callable:
    """Adds the options that are fixed at compile time; hands them on as `cluster`."""

    @click.option("--evaluate-on", type=click.Choice(["cpu", "gpu"]), default="cpu", help="gpu: where training is.")
    @click.option("--queue", default="", help="Kueue's LocalQueue for the GPU steps.")
    @click.option("--priority", default="", help="Kueue's WorkloadPriorityClass for the GPU steps.")
    @click.option("--webhook-secret", default="", help="Kubernetes secret with the `url` to tell when a run ends.")
    @functools.wraps(command)
    def wrapped(evaluate_on: Any, queue: str, priority: str, webhook_secret: str, **rest: Any) -> Any:
        return command(cluster=ClusterOptions(evaluate_on, queue, priority, webhook_secret), **rest)

    return wrapped


def endpoint_options(command: Callable) -> Callable:
    """Adds --endpoint and --namespace; hands on the resolved `endpoint`."""

    @click.option("--endpoint", "url", default="", help="KFP's address; else KFP_ENDPOINT, else the kubeconfig.")
    @click.option(
        "--namespace", default="", help="Of your Kubeflow profile; else KFP_NAMESPACE. Token: KFP_EXISTING_TOKEN."
    )
    @functools.wraps(command)
    def wrapped(url: str, namespace: str, **rest: Any) -> Any:
        from pipeline.cluster.kubeflow import find_endpoint

        return command(endpoint=find_endpoint(url, namespace), **rest)

    return wrapped


def run_options(command: Callable) -> Callable:
    """Adds what a run and a schedule have in common."""
    for option in reversed(
        (
            click.option(
                "--profile", default=DEFAULT_PROFILE, show_default=True, help="A profile's name or a YAML file."
            ),
            click.option(
                "--placement", default="", help="A file of NAME=VALUE lines that say where, k8s/overlays/*/runs.env."
            ),
            click.option("--experiment", default="conv2d", show_default=True, help="KFP's folder of runs."),
            click.option("--service-account", default="", help="The pods' Kubernetes service account; else KFP's own."),
            click.option(
                "--check-images/--no-check-images", default=True, help="Ask the registry for the images first."
            ),
            click.argument("settings", nargs=-1, metavar="[NAME=VALUE]..."),
        )
    ):
        command = option(command)
    return command


def watch_options(command: Callable) -> Callable:
    """Adds how to follow a run; hands it on as `watch`."""

    @click.option("--interval", default=5.0, show_default=True, help="Seconds between two looks.")
    @click.option("--patience", default=600.0, show_default=True, help="Seconds the connection may be gone.")
    @click.option("--stuck-after", default=1200.0, show_default=True, help="Seconds that steps may wait to start.")
    @click.option("--timeout", default=0.0, help="Seconds after which to stop following.  [default: never]")
    @click.option("--all-lines", is_flag=True, help="Kubeflow's and Argo's lines too; also VERBOSE=1.")
    @functools.wraps(command)
    def wrapped(
        interval: float, patience: float, stuck_after: float, timeout: float, all_lines: bool, **rest: Any
    ) -> Any:
        from pipeline.cluster.follow import Watch

        return command(
            watching=Watch(
                interval, patience, stuck_after, timeout, verbose=all_lines or os.environ.get("VERBOSE") == "1"
            ),
            **rest,
        )

    return wrapped


@click.command("submit")
@run_options
@cluster_options
@sweep_options
@endpoint_options
@watch_options
@click.option("--watch/--no-watch", default=True, show_default=True, help="Follow the run to its end.")
@click.option("--cache/--no-cache", default=True, show_default=True, help="May take earlier runs' results.")
def submit_command(
    profile: str,
    placement: str,
    settings: tuple[str, ...],
    experiment: str,
    service_account: str,
    check_images: bool,
    cluster: ClusterOptions,
    plan: Callable,
    endpoint: Any,
    watching: Any,
    watch: bool,
    cache: bool,
) -> None:
    """Runs the pipeline on Kubeflow; exits 0 only if the run succeeded (or, with --no-watch, was started)."""
    from pipeline.cluster.submit import pods_namespace, prepare, submit
    from pipeline.parameters.parameters import configure

    configuration = configure(profile, [*(placement_file(placement) if placement else []), *settings])
    compiled = prepare(configuration, cluster, check_images, sweep=plan(configuration.parameters))
    client, run_id = submit(configuration, compiled, endpoint, experiment, service_account, cache)
    if watch:
        _follow(client, endpoint, run_id, watching, pods_namespace(client, endpoint))
    else:
        print(f"follow it with: python -m pipeline follow {run_id}")


@click.command("follow")
@endpoint_options
@watch_options
@click.argument("run_id")
def follow_command(run_id: str, endpoint: Any, watching: Any) -> None:
    """Follows a run that is there; exits 0 only if it succeeded."""
    from pipeline.cluster.kubeflow import connect, run_page
    from pipeline.cluster.submit import pods_namespace

    client = connect(endpoint)
    if page := run_page(client, run_id):
        print(page)
    _follow(client, endpoint, run_id, watching, pods_namespace(client, endpoint))


@click.command("schedule")
@click.argument("cron")
@run_options
@cluster_options
@endpoint_options
@click.option("--name", default="", help="The schedule's name; else the profile's.")
@click.option("--cache/--no-cache", default=False, show_default=True, help="May take earlier runs' results.")
def schedule_command(
    cron: str,
    profile: str,
    placement: str,
    settings: tuple[str, ...],
    experiment: str,
    service_account: str,
    check_images: bool,
    cluster: ClusterOptions,
    endpoint: Any,
    name: str,
    cache: bool,
) -> None:
    """Has KFP start a run at each time of CRON (minute hour day month weekday), in UTC."""
    from pipeline.cluster.schedule import check_cron, schedule
    from pipeline.cluster.submit import prepare
    from pipeline.parameters.parameters import configure

    wanted = check_cron(cron)
    configuration = configure(profile, [*(placement_file(placement) if placement else []), *settings])
    compiled = prepare(configuration, cluster, check_images)
    made, identity = schedule(configuration, compiled, cron, endpoint, experiment, name, service_account, cache)
    print(f"scheduled {made} ({identity}) at {wanted} (seconds first), in UTC unless this KFP is set otherwise")


@click.command("schedules")
@endpoint_options
def schedules_command(endpoint: Any) -> None:
    """Lists the schedules."""
    from pipeline.cluster.schedule import schedules
    from pipeline.console import table

    rows = [
        (
            entry.display_name,
            (entry.trigger and entry.trigger.cron_schedule and entry.trigger.cron_schedule.cron) or "-",
            (entry.status or entry.mode or "").lower(),
            entry.recurring_run_id,
        )
        for entry in schedules(endpoint)
    ]
    print(table(rows, ("name", "cron (seconds first, UTC)", "state", "id")) if rows else "no schedules")


@click.command("unschedule")
@endpoint_options
@click.argument("name")
def unschedule_command(name: str, endpoint: Any) -> None:
    """Removes the schedule of that name or id."""
    from pipeline.cluster.schedule import unschedule

    print(f"unscheduled {name} ({unschedule(name, endpoint)})")


@click.command("doctor")
@click.option("--endpoint", "url", default="", help="KFP's address; else KFP_ENDPOINT, else the kubeconfig.")
@click.option("--namespace", default="", help="Of your Kubeflow profile; else KFP_NAMESPACE.")
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="Whose placement to check.")
@click.option("--placement", default="", help="A file of NAME=VALUE lines that say where.")
@click.option("--bucket", default="", help="Object store to try, such as gs://bucket/prefix.")
@click.option("--tensorboard", default="", help="TensorBoard's address.")
@click.option("--webhook-secret", default="", help="The secret that must be there.")
@click.option("--service-account", default="conv2d-runner", show_default=True, help="Of the pods.")
@click.option("--json", "as_json", is_flag=True, help="For machines: a list of checks.")
@click.argument("settings", nargs=-1, metavar="[NAME=VALUE]...")
def doctor_command(as_json: bool, **setup: Any) -> None:
    """Checks this machine, the registry, the store and the cluster; each finding with its fix."""
    from pipeline.cluster.doctor.examine import examine, show
    from pipeline.cluster.doctor.setup import Setup

    found = examine(Setup(**setup))
    show(found, as_json)
    if any(check.state == "failed" for check in found):
        raise SystemExit(1)


COMMANDS = (submit_command, follow_command, schedule_command, schedules_command, unschedule_command, doctor_command)


def _follow(client: Any, endpoint: Any, run_id: str, watching: Any, namespace: str) -> None:
    from pipeline.cluster.follow import follow
    from pipeline.cluster.pods import find_pods

    pods = find_pods(run_id, namespace)
    if pods is None:
        print("note: no kubeconfig here, or no right to list the cluster's pods: states only, without logs")
    try:
        follow(client, endpoint, run_id, watching, pods)
    except KeyboardInterrupt:
        raise PipelineError(
            f"no longer followed; the run goes on: python -m pipeline follow {run_id}, or end it in the UI"
        ) from None
