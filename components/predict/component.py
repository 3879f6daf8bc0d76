"""The KFP face of predict."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Metrics, Output


@dsl.component(base_image="predict", install_kfp_package=False)
def predict(
    answered: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    source: str,
    out: str,
    top: int,
    answers_as: str,
    max_drift: float,
    drift_significance: float,
    model: str,
    registry: str,
) -> str:
    """Has a version of the registry answer the pictures that are new, and compares them with what it learned from.

    The answers lie at `out`, and the drift report beside them, also if it fails the step. Returns what became of it.
    """
    given = dict(locals())
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.core.artifacts.answered import write_answered
        from components.core.kfp_metrics import log_metrics
        from components.core.settings import refuse_places_here
        from components.predict.run import predict
        from components.predict.settings import PredictSettings

        settings = PredictSettings.among(given)
        refuse_places_here(settings)
        done = predict(settings, report.path)
        write_answered(answered.path, done)
        log_metrics(metrics, done.model_dump(include={"pictures", "unreadable", "pictures_per_second", "drift"}))
        return done.said
