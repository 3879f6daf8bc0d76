"""The KFP face of export."""

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Markdown, Model, Output


@dsl.component(base_image="export", install_kfp_package=False)
def export(
    dataset: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    exported: Output[Model],
    card: Output[Markdown],
    model_name: str,
    model_version: int,
    publish_uri: str,
    model_registry_url: str,
    formats: str,
    int8_tolerance: float,
    proof_pictures: int,
    example_pictures: int,
) -> str:
    """Writes what serving loads, proves in a fresh process that it answers as it was measured, and publishes it.

    A model that the gate refused is not exported; only why is written. Returns what became of the model, in words.
    """
    given = dict(locals())
    from components.core.errors import one_line_errors

    with one_line_errors():
        import pathlib
        import shutil

        from components.core.artifacts.evaluation import read_decision
        from components.export.hub import tell_hub
        from components.export.keep import keep
        from components.export.publish import publish
        from components.export.run import CARD_FILE, export
        from components.export.settings import ExportSettings

        settings = ExportSettings.among(given)
        decision = read_decision(evaluation.path)
        if not decision.passed:
            return keep(decision, exported.path, card.path)
        manifest = export(settings, dataset.path, model.path, evaluation.path, exported.path)
        shutil.copyfile(pathlib.Path(exported.path) / CARD_FILE, card.path)
        published = publish(settings.publish_uri, settings.model_name, exported.path, evaluation.path)
        tell_hub(settings.model_registry_url, settings.publish_uri, settings.model_name)
    exported.metadata.update(
        model_name=model_name, model_version=model_version, formats=settings.formats, files=len(manifest.files)
    )
    if published.version:
        exported.metadata.update(published_version=published.version, champion=published.champion)
    return published.said
