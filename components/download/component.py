"""The KFP faces of download: the look at the source, which is never cached, and the step that is."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Output


@dsl.component(base_image="download", install_kfp_package=False)
def look(
    source: str,
    source_version: str,
    labels: str,
    start_from: str,
    start_sha256: str,
    start_version: str,
    publish_uri: str,
) -> NamedTuple("Looked", [("source_version", str), ("start_version", str)]):  # type: ignore[valid-type]
    """Tells how the source and the model to start from look now: all that follows is cached as long as that stays."""
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.download.look import look, look_at_start

        seen = look(source, source_version, labels)
        print(f"the source looks like {seen}" if seen else "there is no source", flush=True)
        start = look_at_start(start_from, start_sha256, start_version, publish_uri)
        if start:
            print(f"training starts from {start}", flush=True)
        return seen, start


@dsl.component(base_image="download", install_kfp_package=False)
def download(
    raw: Output[Artifact],
    dataset: str,
    source: str,
    labels: str,
    source_sha256: str,
    mirror: str,
    source_version: str,
):
    """Fetches the pictures as their authors published them, byte for byte, and proves them by checksum."""
    given = dict(locals())
    from components.core.errors import one_line_errors

    with one_line_errors():
        from components.download.look import refuse_unseen
        from components.download.run import download
        from components.download.settings import DownloadSettings

        settings = DownloadSettings.among(given)
        refuse_unseen(settings)
        info = download(settings, raw.path)
    raw.metadata.update(dataset=info.dataset, uri=info.uri, bytes=info.bytes, sha256=info.sha256)
