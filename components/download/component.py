"""The KFP face of download."""

from kfp import dsl
from kfp.dsl import Artifact, Output


@dsl.component(base_image="download", install_kfp_package=False)
def download(raw: Output[Artifact], dataset: str, source: str, source_sha256: str, mirror: str, source_version: str):
    """Fetches the pictures as their authors published them, byte for byte, and proves them by checksum."""
    given = dict(locals())
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.download.run import download
        from components.download.settings import DownloadSettings

        settings = DownloadSettings.among(given)
        info = download(settings, raw.path)
    raw.metadata.update(dataset=info.dataset, uri=info.uri, bytes=info.bytes, sha256=info.sha256)
