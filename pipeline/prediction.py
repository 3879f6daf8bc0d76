"""The prediction pipeline: the champion answers what is new, each time it runs."""

from collections.abc import Callable
from typing import Any

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.predict.component import predict
from components.predict.settings import PredictSettings
from pipeline.parameters.cluster_options import ClusterOptions
from pipeline.parameters.prediction import PredictionParameters
from pipeline.placement import Placement, told_at_its_end
from pipeline.training import signature


def prediction_pipeline(
    defaults: PredictionParameters, image: Callable[[str], str], cluster: ClusterOptions
) -> BaseComponent:
    """Builds the pipeline, as training_pipeline does. Its parameters are those of PredictionParameters."""

    def prediction(*channels: Any) -> None:
        values = dict(zip(PredictionParameters.model_fields, channels, strict=True))
        placement = Placement(image, cluster, values)
        with told_at_its_end(placement, "Prediction"):
            answered = predict(**{name: values[name] for name in PredictSettings.model_fields})
            placement.place(answered.set_display_name("Predict"), "predict")
            # What is new, and who is the champion, is another matter each time.
            answered.set_caching_options(False)

    function: Any = prediction
    function.__signature__ = signature(defaults)
    return dsl.pipeline(
        name="prediction",
        display_name="Image classifier prediction",
        description="Have the champion answer the pictures that are new, and compare them with what it learned from.",
    )(prediction)
