"""What a user may choose about the data's origin, and what is refused before anything is fetched."""

from pydantic import Field, ValidationInfo, field_validator

from components.core.catalog import DATASETS
from components.core.errors import PipelineError, nearest
from components.core.settings import Settings, Sha256, StorePlace
from components.download.places import places_of, scheme_of


class DownloadSettings(Settings):
    """The parameters of the download step."""

    dataset: str = Field("digits", description=f"one of {', '.join(DATASETS)}")
    source: str = Field(
        "",
        validate_default=True,
        description="your own copy of the data or your own pictures: a local path, or a file, http(s), gs, s3 or minio "
        "URI. It is an archive, a folder of class folders (image_folder, also a list of sources), or a folder with the "
        "four IDX files (mnist, fashion_mnist)",
    )
    labels: str = Field(
        "",
        description="label table: a local path or URI of a CSV or JSON lines file with columns such as path, label and "
        "split. By default labels.csv, .tsv, .jsonl or .manifest beside the pictures; without a table the folders are "
        "the classes",
    )
    source_sha256: Sha256 = Field(
        "",
        description="the SHA-256 that the source must have, also in place of the published checksum. For several "
        "files: of their sorted `sha256  name` lines; for a folder of pictures: of the tar it is packed into; for a "
        "prefix in a store: of its listing, or of that tar",
    )
    mirror: StorePlace = Field(
        "",
        description="a gs, s3 or minio URI or a directory with the team's copies of downloaded files: files with a "
        "known checksum are read from there, and added once downloaded. Without a mirror, pictures below a prefix in a "
        "store are read in place; with one they are fetched and packed first",
    )
    source_version: str = Field(
        "",
        description="name of the source's current state; a new name makes cached results invalid. By default each run "
        "looks at the source and derives it",
    )

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, name: str) -> str:
        if name not in DATASETS:
            raise ValueError(f"unknown data set; {nearest(name, list(DATASETS))}")
        return name

    @field_validator("source")
    @classmethod
    def _a_place(cls, source: str, others: ValidationInfo) -> str:
        known = DATASETS.get(others.data.get("dataset", ""))
        if not source and known and not known.originals:
            raise ValueError(f"{others.data['dataset']} needs one: a folder, .tar, .tar.gz or .zip of class folders")
        places = places_of(source)
        for place in places:
            scheme_of(place)  # its PipelineError passes through pydantic as it is, without the source's password
        if len(places) > 1 and known and known.originals:
            # No ValueError: pydantic's line would repeat the value, and what stands before an @ in it.
            raise PipelineError(
                f"source: expected one place for dataset={others.data['dataset']}, received {len(places)}; only "
                "dataset=image_folder takes several"
            )
        return source

    @field_validator("labels")
    @classmethod
    def _of_pictures(cls, labels: str, others: ValidationInfo) -> str:
        known = DATASETS.get(others.data.get("dataset", ""))
        if labels and known and known.originals:
            raise PipelineError(
                f"labels: expected none for dataset={others.data['dataset']}, which has its own, received a place; it "
                "takes dataset=image_folder"
            )
        scheme_of(labels)
        return labels
