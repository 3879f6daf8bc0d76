"""The model that answers: a version of the registry, every file proven by its SHA-256, asked as it is served."""

import contextlib
import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator

from components.core.artifacts.reference import IN_VERSION, Reference, read_reference
from components.core.artifacts.served_model import DESCRIPTION, load_answering, read_description
from components.core.errors import PipelineError
from components.core.pictures.decode import Target
from components.core.registry import Registry
from components.core.start_place import named_version
from components.predict.answering import Classifier
from components.predict.answers import AnsweringModel, model_digest
from components.predict.settings import PredictSettings


@dataclasses.dataclass(frozen=True)
class Served:
    """A version of the registry, fetched.

    Attributes:
        class_names: in the order of its probabilities.
        load: loads it, once; a run that finds nothing new does without, and without TensorFlow's 4 s of a core.
        reference: what it learned from; None: it does not say.
    """

    model: AnsweringModel
    class_names: list[str]
    load: Callable[[], Classifier]
    reference: Reference | None


@contextlib.contextmanager
def fetched_model(settings: PredictSettings) -> Iterator[Served]:
    """Fetches the version that the settings name; it is there for as long as the body runs.

    Raises:
        PipelineError: none is named, or it does not say what its classes are. StorageError: the registry can't be
            asked, there is no such version, or a file is not what the version's manifest says.
    """
    version = named_version(settings.model)
    for name, value, example in (
        ("model", version, "digits@champion"),
        ("registry", settings.registry, "gs://bucket"),
        ("source", settings.source, "gs://bucket/new"),
        ("out", settings.out, "gs://bucket/answers"),
    ):
        if not value:
            raise PipelineError(f"{name}: expected one, such as {example}, received none")
    assert version is not None, "refused above"
    with tempfile.TemporaryDirectory(prefix="model-") as directory:
        path = pathlib.Path(directory) / "version"
        fetched = Registry(settings.registry).fetch(*version, path)
        model = AnsweringModel(
            name=fetched.name,
            version=str(fetched.number),
            sha256=model_digest({name: file.sha256 for name, file in fetched.files.items()}),
        )
        role = ", the champion" if fetched.champion else ""
        print(f"model: {model.said}{role}, proven by its files' hashes", flush=True)
        described = read_description(path)
        if described is None:
            raise PipelineError(
                f"expected a version with {DESCRIPTION}, which names its classes, received none; export the model again"
            )
        names, target = described.class_names, Target(*described.image_shape, described.resize)

        @functools.cache
        def load() -> Classifier:
            return Classifier(names, target, load_answering(path))

        yield Served(model, names, load, read_reference(path / IN_VERSION))
