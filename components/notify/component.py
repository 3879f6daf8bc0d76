"""The KFP faces of notify: one for a run that got to its end, one that KFP starts when a run has failed."""

from kfp import dsl
from kfp.dsl import Artifact, Input, PipelineTaskFinalStatus


@dsl.component(base_image="notify", install_kfp_package=False)
def notify(evaluation: Input[Artifact], outcome: str, run_name: str, run_id: str):
    """Tells the team's webhook how a run ended that reached its end, and what the gate said of its model."""
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.core.artifacts.evaluation import read_decision
        from components.notify.message import Outcome, tell

        decision = read_decision(evaluation.path)
        tell(Outcome(run_name, run_id, outcome, accuracy=decision.accuracy, cause=decision.said))


@dsl.component(base_image="notify", install_kfp_package=False)
def notify_failure(status: PipelineTaskFinalStatus, run_name: str, run_id: str):
    """Tells the team's webhook why a run failed; says nothing of one that succeeded, which `notify` has told."""
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.notify.message import Outcome, tell

        if status.state != "SUCCEEDED":
            step = status.pipeline_task_name or ""
            tell(Outcome(run_name, run_id, status.state.lower(), cause=status.error_message or "", step=step))
