"""The KFP face of export."""
from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output


@dsl.component(base_image="export", install_kfp_package=False)
def export(
    dataset: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    exported: Output[Model],
    model_name: str,
    model_version: int,
):
    """Writes what serving loads, and proves in a fresh process that it answers as it was measured."""
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.export.run import export
        from components.export.settings import ExportSettings

        settings = ExportSettings.checked(model_name=model_name, model_version=model_version)
        manifest = export(settings, dataset.path, model.path, evaluation.path, exported.path)
    exported.metadata.update(model_name=model_name, model_version=model_version, files=len(manifest.files))
