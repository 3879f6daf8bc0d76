"""The commands that need a cluster: compile, upload, submit, follow, schedule, schedules, unschedule, doctor."""

import dataclasses
import pathlib
from typing import Any

import click

from components.core.errors import PipelineError
from pipeline.commands import options
from pipeline.console import notes_aside, option, table
from pipeline.parameters.cluster_options import ClusterOptions
from pipeline.parameters.pipeline import Pipeline


@click.command("compile")
@click.option(
    "--to",
    type=options.LocalPath(),
    help="File to write.  [default: build/training.yaml, build/sweep.yaml or build/prediction.yaml]",
)
@click.option("--kubernetes-manifest", is_flag=True, help="Write a Pipeline and a PipelineVersion, for GitOps.")
@options.compiled(with_cache=True)
@options.check_images
def compile_command(pipeline: Pipeline, to: pathlib.Path | None, kubernetes_manifest: bool, check_images: bool) -> None:
    """Compiles the pipeline for Kubeflow. The profile's values are the defaults."""
    from pipeline.cluster.compile import compile_pipeline, step_images
    from pipeline.images.lookup import require_images

    to = to or pathlib.Path(f"build/{pipeline.kind}.{'manifest.' if kubernetes_manifest else ''}yaml")
    compile_pipeline(pipeline, to, kubernetes_manifest)
    print(f"compiled {to}")
    if check_images:
        try:
            note = require_images(image for _, image in step_images(pipeline))
        except PipelineError as absent:  # they may be pushed before a run is started
            note = str(absent)
        if note:
            print(f"note: {note}")


@click.command("upload")
@options.compiled(with_cache=True)
@options.check_images
@options.endpoint
def upload_command(pipeline: Pipeline, check_images: bool, endpoint: Any) -> None:
    """Uploads the pipeline to Kubeflow's Pipelines page. The version is named for the code."""
    from pipeline.cluster.submit import prepared
    from pipeline.cluster.upload import upload
    from pipeline.revision import version_of

    with prepared(pipeline, check_images) as compiled:
        version = version_of(compiled)
        known, page = upload(pipeline.name, version, compiled, endpoint)
    print(f"version {version} of pipeline {pipeline.name} {'is there already' if known else 'uploaded'}")
    if page:
        print(f"  {page}")


@click.command("submit")
@options.compiled(with_cache=True)
@options.check_images
@options.experiment
@options.service_account
@options.endpoint
@options.watched
@click.option("--watch/--no-watch", default=True, show_default=True, help="Follow the run to its end.")
def submit_command(pipeline: Pipeline, check_images: bool, watching: Any, watch: bool, **where: Any) -> None:
    """Runs the pipeline on Kubeflow. Exits 0 only if the run succeeded (with --no-watch: was started)."""
    from pipeline.cluster.submit import prepared, submit

    with prepared(pipeline, check_images) as compiled:
        client, run_id = submit(pipeline, compiled, **where)
    if watch:
        _follow(client, run_id, watching)
    else:
        print(f"follow it with: {client.endpoint.follow_command(run_id)}")


@click.command("follow")
@options.endpoint
@options.watched
@click.argument("run_id", metavar="RUN")
def follow_command(run_id: str, endpoint: Any, watching: Any) -> None:
    """Follows an existing run. Exits 0 only if it succeeded."""
    from pipeline.cluster.kubeflow import connect, run_page

    client = connect(endpoint)
    if page := run_page(client, run_id):
        print(page)
    _follow(client, run_id, watching)


@click.command("schedule")
@click.argument("cron")
@options.compiled(with_cache=False)  # else every run after the first would train nothing
@options.check_images
@options.experiment
@options.service_account
@options.endpoint
@click.option("--name", default="", help="Name of the schedule.  [default: the profile's]")
@click.option("--version", default="", help="Version on the Pipelines page to run, or `newest`, the newest there now.")
@click.pass_context
def schedule_command(
    context: click.Context, cron: str, pipeline: Pipeline, check_images: bool, version: str, **where: Any
) -> None:
    """Schedules a recurring run. CRON is minute hour day month weekday, in UTC."""
    from pipeline.cluster.schedule import check_cron, schedule
    from pipeline.cluster.submit import prepared

    kfp_cron = check_cron(cron)
    if version:
        _refuse_compiled(context)
        made, identity, version = schedule(pipeline, version, cron, **where)
        told = f"version {version} of pipeline {pipeline.name}"
    else:
        with prepared(pipeline, check_images) as compiled:
            made, identity, _ = schedule(pipeline, compiled, cron, **where)
        told = "in UTC unless this KFP is set otherwise"
    print(f"scheduled {made} ({identity}) at {kfp_cron} (seconds first), {told}")


@click.command("schedules")
@options.endpoint
def schedules_command(endpoint: Any) -> None:
    """Lists the schedules. Each keeps the code it was made with: to update it, unschedule it and schedule it again."""
    from pipeline.cluster.kubeflow import connect
    from pipeline.cluster.schedule import code_of, schedules

    client = connect(endpoint)
    rows = [
        (
            entry.display_name,
            (entry.trigger and entry.trigger.cron_schedule and entry.trigger.cron_schedule.cron) or "-",
            (entry.status or entry.mode or "").lower(),
            code_of(entry, client),
            entry.recurring_run_id,
        )
        for entry in schedules(client)
    ]
    print(table(rows, ("name", "cron (seconds first, UTC)", "state", "code", "id")) if rows else "no schedules")


@click.command("unschedule")
@options.endpoint
@click.argument("name", metavar="NAME")
def unschedule_command(name: str, endpoint: Any) -> None:
    """Removes a schedule, by its name or id."""
    from pipeline.cluster.schedule import unschedule

    print(f"unscheduled {name} ({unschedule(name, endpoint)})")


@click.command("doctor")
@options.endpoint_url
@options.namespace
@options.profile
@options.placement
@click.option("--bucket", default="", help="Object store to test, such as gs://bucket/prefix.")
@options.webhook_secret
@click.option("--service-account", default="conv2d-runner", show_default=True, help="The pods' service account.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
@options.settings
def doctor_command(as_json: bool, **setup: Any) -> None:
    """Checks this machine, the registry, the store and the cluster. Says how to fix what fails."""
    from pipeline.cluster.doctor.check import Setup
    from pipeline.cluster.doctor.examine import examine, show

    with notes_aside(as_json):
        found = list(examine(Setup(**setup)))
    show(found, as_json)
    if any(check.state == "failed" for check in found):
        raise SystemExit(1)


COMMANDS = (
    compile_command,
    upload_command,
    submit_command,
    follow_command,
    schedule_command,
    schedules_command,
    unschedule_command,
    doctor_command,
)


def _refuse_compiled(context: click.Context) -> None:
    """Refuses options beside --version that were decided when the version was compiled."""
    for name in (*(field.name for field in dataclasses.fields(ClusterOptions)), "grid", "trials", "parallel"):
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            given = option("cache" if name == "cached" else name.replace("_", "-"))
            raise PipelineError(
                f"expected no {given} beside {option('version')}, which was compiled with its own; upload another"
            )


def _follow(client: Any, run_id: str, watching: Any) -> None:
    try:
        from pipeline.cluster.follow import follow
        from pipeline.cluster.pods import find_pods
        from pipeline.cluster.submit import pods_namespace

        pods = find_pods(run_id, pods_namespace(client, run_id))
        if pods is None:
            print("note: no kubeconfig, or no permission to list pods, so only states are shown, no logs")
        follow(client, run_id, watching, pods)
    except KeyboardInterrupt:
        raise PipelineError(
            f"no longer followed; the run goes on: {client.endpoint.follow_command(run_id)}, or end it in the UI"
        ) from None
