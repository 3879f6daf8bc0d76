"""The KFP face of preprocess."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Output


@dsl.component(base_image="preprocess", install_kfp_package=False)
def preprocess(
    raw: Input[Artifact],
    dataset: Output[Dataset],
    data_report: Output[HTML],
    image_size: str,
    resize: str,
    color: str,
    validation: str,
    validation_split: float,
    test_split: float,
    split_seed: int,
    group_column: str,
    max_unreadable: float,
    seed: int,
):
    """Decodes every picture to one shape, splits train, validation and test, and writes them as TFRecord shards."""
    given = dict(locals())
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.preprocess.run import preprocess
        from components.preprocess.settings import PreprocessSettings

        settings = PreprocessSettings.among(given)
        info = preprocess(settings, raw.path, dataset.path, data_report.path)
    dataset.metadata.update(
        fingerprint=info.fingerprint, image_shape=list(info.image_shape), classes=len(info.class_names)
    )
