"""The KFP face of notify: the task that KFP starts when the steps have ended, however they did."""

from kfp import dsl
from kfp.dsl import Artifact, Output, PipelineTaskFinalStatus


@dsl.component(base_image="notify", install_kfp_package=False)
def notify(status: PipelineTaskFinalStatus, place: Output[Artifact], run_name: str, run_id: str):
    """Tells the team's webhook how a run ended: one message, with name, step and cause, or with the gate's verdict.

    KFP hands on no more than a state. The rest is read in the artifact store, where the steps left it; `place` is never
    written, its URI tells where the run's artifacts lie.
    """
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.notify.findings import find_outcome
        from components.notify.message import post_message

        # A schedule's runs have no name of their own.
        name = run_name or status.pipeline_job_resource_name
        post_message(find_outcome(status.state, status.error_message or "", place.uri, name, run_id))
