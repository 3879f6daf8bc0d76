"""The KFP face of evaluate."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="evaluate", install_kfp_package=False)
def evaluate(
    dataset: Input[Dataset],
    model: Input[Model],
    evaluation: Output[Artifact],
    report: Output[HTML],
    tensorboard: Output[Artifact],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
    behaviour: str,
    behaviour_kept: float,
    behaviour_certain: float,
    gate_metric: str,
    min_accuracy: float,
    gate: str,
    min_improvement: float,
    significance: float,
    model_name: str,
    publish_uri: str,
):
    """Measures the model on the test pictures, which nothing before this step has looked at.

    The gate's verdict and its reasons are in decision.json in `evaluation`: export goes by that.
    """
    given = dict(locals())
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.core.kfp_metrics import log_metrics
        from components.evaluate.kfp_page import log_classification
        from components.evaluate.run import evaluate
        from components.evaluate.settings import EvaluateSettings

        settings = EvaluateSettings.among(given)
        facts, roc = evaluate(settings, dataset.path, model.path, evaluation.path, report.path, tensorboard.path)
        log_metrics(metrics, facts.metrics())
        log_classification(classification, facts.class_names, facts.confusion, roc)
