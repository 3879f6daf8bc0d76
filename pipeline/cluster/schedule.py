"""Recurring runs: KFP's own scheduler, its cron with seconds, in UTC."""

import functools
import json
import pathlib
import re
from typing import TYPE_CHECKING, Any

from components.check.run import check
from components.core.errors import PipelineError, nearest
from pipeline.cluster.kubeflow import Endpoint, ask_kubeflow, connect
from pipeline.cluster.submit import check_size, obtain_experiment
from pipeline.cluster.upload import all_pages, compiled_of, spec_of, uploaded_version
from pipeline.console import option
from pipeline.images.names import COMPONENTS, image, names
from pipeline.parameters.pipeline import Pipeline

if TYPE_CHECKING:
    import kfp

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Name, smallest, largest, names for values.
FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
EXAMPLE = "'30 2 * * 1' is 02:30 UTC each Monday"
# An image's: its component, for what it was made, the hash of its code.
TAG = re.compile(rf"((?:{'|'.join(COMPONENTS)})(?:-gpu|-jax)?)-[0-9a-f]{{12}}")
# February has its 29th within the five years that KFP's scheduler looks ahead.
LONGEST_MONTHS = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


def check_cron(cron: str) -> str:
    """The six fields KFP wants, for the five that people write (seconds are 0), or six as they are.

    Raises:
        PipelineError: names the field that can't be; or no day is ever meant.
    """
    fields = cron.split()
    if len(fields) == 6 and re.fullmatch("[0-5]?[0-9]", fields[0]):
        seconds, *fields = fields
    elif len(fields) == 5:
        seconds = "0"
    else:
        raise PipelineError(f"expected CRON as minute, hour, day, month, weekday; received {cron!r}; {EXAMPLE}")
    meant = []
    for text, (name, smallest, largest, words) in zip(fields, FIELDS, strict=True):
        parts = [_values(part, smallest, largest, words) for part in text.lower().split(",")]
        if not all(parts):
            raise PipelineError(f"expected {smallest} to {largest} as the {name} of CRON, received {text!r}; {EXAMPLE}")
        meant.append({value for part in parts for value in part})
    _, _, days, months, _ = meant
    # KFP's scheduler would hang over a day that never comes, and with it everybody's schedules. With a weekday too,
    # either of the two is enough.
    if fields[4][0] in "*?" and all(min(days) > LONGEST_MONTHS.get(month, 31) for month in months):
        raise PipelineError(f"expected a day that comes in CRON, received day {fields[2]} of month {fields[3]}")
    return " ".join((seconds, *fields))


def schedule(
    pipeline: Pipeline,
    what: pathlib.Path | str,
    cron: str,
    endpoint: Endpoint,
    experiment: str,
    name: str = "",
    service_account: str = "",
) -> tuple[str, str, str]:
    """Has KFP start a run at each time of `cron`, never two at once, missed ones not made up for.

    Args:
        what: the compiled file, or the name of a version on the Pipelines page. A version keeps the defaults it was
            uploaded with, but for what was given on the command line or by the environment.

    Returns:
        The schedule's name and id, and the version's name; empty: it is of a file.

    Raises:
        PipelineError: an impossible time, a name that is taken, no such version or one without a parameter that was
            given, or KFP refuses.
    """
    from pipeline.cluster.compile import refuse_secrets

    kfp_cron, name = check_cron(cron), name or pipeline.configuration.title
    # KFP names an object of Kubernetes by what is left of it.
    if re.sub("[^a-z0-9-]", "", name.lower()).startswith("-"):
        raise PipelineError(f"expected a name with a letter (a to z) or digit before its first dash, received {name!r}")
    client = connect(endpoint)
    if any(known.display_name == name for known in schedules(client)):
        another = option("name")
        raise PipelineError(f"there is a schedule {name!r} already; unschedule it first, or give another {another}")
    parameters, version = pipeline.defaults.model_dump(), ""
    if isinstance(what, pathlib.Path):  # whose parameters fit: see submit.prepared
        source = {"pipeline_package_path": str(what)}
    else:
        parameters = {given: value for given, value in parameters.items() if pipeline.configuration.is_given(given)}
        check_size(parameters)
        refuse_secrets(parameters)
        found = uploaded_version(client, pipeline.name, what)
        version = found.display_name
        spec = spec_of(found)
        taken = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
        if unknown := [given for given in parameters if given not in taken]:
            raise PipelineError(
                f"version {version} of {pipeline.name} has no parameter {unknown[0]!r}; "
                f"{nearest(unknown[0], sorted(taken))}"
            )
        defaults = {name: one["defaultValue"] for name, one in taken.items() if "defaultValue" in one}
        _check_as_each_run(spec, {**defaults, **parameters})
        source = {"pipeline_id": found.pipeline_id, "version_id": found.pipeline_version_id}
    make = functools.partial(
        client.create_recurring_run,
        obtain_experiment(client, experiment),
        name,
        cron_expression=kfp_cron,
        max_concurrency=1,
        no_catchup=True,
        params=parameters,
        **source,
        service_account=service_account or None,
    )
    return name, ask_kubeflow(make, endpoint, 0.0).recurring_run_id, version


def _check_as_each_run(spec: dict[str, Any], values: dict[str, Any]) -> None:
    """Refuses what the version's step check would refuse in each run; of another code's check nothing is known here."""
    executor = spec.get("deploymentSpec", {}).get("executors", {}).get("exec-check", {})
    if _tag(executor.get("container", {}).get("image", "")) != _tag(image("check")):
        return
    graphs = [part["dag"]["tasks"] for part in (spec["root"], *spec["components"].values()) if "dag" in part]
    (task,) = [tasks["check"] for tasks in graphs if "check" in tasks]
    check(values, json.loads(task["inputs"]["parameters"]["compiled"]["runtimeValue"]["constant"]))


def _tag(name: str) -> str:
    """An image's tag, which is a hash of the code; the repository is another matter."""
    return name.partition("@")[0].rpartition(":")[2]


def schedules(client: "kfp.Client") -> list[Any]:
    """All schedules, as KFP describes them."""
    # Other than with experiments, the SDK does not look for the user's namespace itself.
    listed = functools.partial(client.list_recurring_runs, namespace=client.get_user_namespace() or None)
    return ask_kubeflow(lambda: all_pages(listed, "recurring_runs"), client.endpoint)


def code_of(entry: Any, client: "kfp.Client") -> str:
    """Whether the code here is another than a schedule runs, which keeps that of the day it was made.

    Returns:
        `unchanged`, `changed since: ` and the components whose code changed, or `-` if it runs none of our images.
    """
    executors = compiled_of(client, entry).get("deploymentSpec", {}).get("executors", {})
    found = [executor.get("container", {}).get("image", "") for executor in executors.values()]
    tags = {tag for tag in map(_tag, found) if TAG.fullmatch(tag)}
    here = {_tag(name) for name in names(("cpu", "gpu", "jax"))}
    others = sorted(TAG.fullmatch(tag)[1] for tag in tags - here)  # type: ignore[index]
    return f"changed since: {', '.join(others)}" if others else "unchanged" if tags else "-"


def unschedule(name: str, endpoint: Endpoint) -> str:
    """Removes the schedule of that name or id, and returns its id. A run that it has started goes on.

    Raises:
        PipelineError: there is none; names the nearest.
    """
    client = connect(endpoint)
    known = schedules(client)
    found = [entry for entry in known if name in (entry.display_name, entry.recurring_run_id)]
    if not found:
        names = [entry.display_name for entry in known]
        raise PipelineError(f"no schedule {name!r}; {nearest(name, names) if names else 'there is none at all'}")
    if len(found) > 1:
        raise PipelineError(f"{len(found)} schedules are named {name!r}; give an id: {found[0].recurring_run_id}, ...")
    ask_kubeflow(lambda: client.delete_recurring_run(found[0].recurring_run_id), endpoint)
    return found[0].recurring_run_id


def _values(part: str, smallest: int, largest: int, names: tuple[str, ...]) -> range:
    """The values that `*`, `?`, `5`, `1-5`, `*/15`, `5/15`, `1-5/2` or a name stands for; empty if it is none such."""
    span, slash, step = part.partition("/")
    ends = [smallest, largest] if span in ("*", "?") else [_value(end, smallest, names) for end in span.split("-")]
    every = _value(step, smallest, ()) if slash else 1
    # A step that is longer than the field would be taken for none: */90 minutes is every hour.
    if len(ends) > 2 or not all(smallest <= end <= largest for end in ends) or not 0 < every <= largest - smallest:
        return range(0)
    return range(ends[0], (largest if slash and len(ends) == 1 else ends[-1]) + 1, every)


def _value(text: str, smallest: int, names: tuple[str, ...]) -> int:
    """A number or a name as a number; -1 if it is neither."""
    if text in names:
        return names.index(text) + smallest
    return int(text) if re.fullmatch("[0-9]{1,2}", text) else -1
