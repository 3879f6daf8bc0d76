"""What a URI of a user means: one object, or all objects below a prefix."""

import contextlib
import dataclasses
import unicodedata
from collections.abc import Iterable, Iterator

from components.core.pictures.names import hidden
from components.core.storage import location
from components.core.storage.backend import Stored
from components.core.storage.errors import NotFound
from components.core.storage.store import Store, open_store


@dataclasses.dataclass(frozen=True)
class StoreSource:
    """Objects that a URI stands for.

    Attributes:
        uri: as given, without a slash at its end, and with accents as the store spells them.
        key: the object, or the prefix that is taken as a directory, below the bucket.
        file: the object; None for a prefix.
    """

    uri: str
    store: Store
    key: str
    file: Stored | None

    def objects(self) -> Iterator[Stored]:
        """All of it, with keys below the bucket, without the empty objects that stand for a directory, and without what
        is hidden or left by programs: a .DS_Store that came with the pictures trains nothing anew."""
        if self.file:
            yield self.file
            return
        for stored in without_markers(self.store.list(self.key)):
            if not hidden(self.below(stored).split("/"), ""):
                yield stored

    def below(self, stored: Stored) -> str:
        """An object's name below the prefix."""
        return stored.key.removeprefix(f"{self.key}/" if self.key else "")


def find_source(uri: str) -> StoreSource:
    """Looks at what gs://, s3:// or minio://bucket[/key] stands for. A slash at the end means a prefix.

    Consoles, gcsfuse and others leave an empty object `photos` or `photos/cat` for a directory: what has objects below
    it is a directory.

    Raises:
        NotFound: neither an object nor a prefix with objects below it.
    """
    place = location.parse(uri)
    store = open_store(f"{place.scheme}://{place.bucket}")
    # macOS takes accents apart: what was uploaded there has another name than what is typed, and looks the same.
    for key in dict.fromkeys((place.prefix, *(unicodedata.normalize(form, place.prefix) for form in ("NFC", "NFD")))):
        spelt, stored = dataclasses.replace(place, prefix=key).uri(), None
        if key and not uri.endswith("/"):
            with contextlib.suppress(NotFound):
                stored = store.stat(key)
        if not (stored and stored.size) and next(store.list(key), None) is not None:
            return StoreSource(spelt, store, key, None)
        if stored:
            return StoreSource(spelt, store, key, stored)
    raise NotFound(f"expected an object {place.uri()} or objects below it, received none; check the name")


def without_markers(objects: Iterable[Stored]) -> Iterator[Stored]:
    """Leaves out each empty object that has others below it: `photos/cat`, if there is a `photos/cat/1.jpg`.

    Args:
        objects: sorted by key. Between the two may lie `photos/cat-2.jpg`, so that an empty object is held back until
            none below it can come any more: a few at a time, however many objects there are.
    """
    held: list[Stored] = []
    for stored in objects:
        passed = [empty for empty in held if f"{empty.key}/" < stored.key]
        yield from (empty for empty in passed if not stored.key.startswith(f"{empty.key}/"))
        held = [empty for empty in held if f"{empty.key}/" > stored.key]
        if stored.size:
            yield stored
        else:
            held.append(stored)
    yield from held
