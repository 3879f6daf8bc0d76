"""The KFP face of choose."""

from kfp import dsl
from kfp.dsl import Input, Markdown, Metrics, Model, Output


@dsl.component(base_image="choose", install_kfp_package=False)
def choose(models: Input[list[Model]], model: Output[Model], trials: Output[Markdown], metrics: Output[Metrics]):
    """Hands on the model of the trial that did best on the validation pictures."""
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.choose.run import choose
        from components.core.kfp_metrics import log_metrics

        log_metrics(metrics, choose([tried.path for tried in models], model.path, trials.path))
