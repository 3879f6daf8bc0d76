"""What lies at a source to be answered: pictures below a folder or a prefix, in an archive, or one picture alone.

Left out is what training leaves out: hidden files, and those that are no pictures by their ending. Nothing is held of a
prefix but the pictures at hand, however many there are.
"""

import collections
import contextlib
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from components.core.errors import PipelineError
from components.core.pictures.archives import iter_members
from components.core.pictures.decode import MAX_BYTES
from components.core.pictures.names import SUFFIXES, ending_of, endings, hidden
from components.core.storage import NotFound, PreconditionFailed, StorageError, Store, Stored, location, open_store
from components.core.wording import counted, listed, printable
from components.predict.answering import batches_of, refuse_films

# So many bytes of an archive, whose members can only be read in their order, are in memory at once.
BATCH_BYTES = 64 << 20


class Picture(NamedTuple):
    """A picture to answer.

    Attributes:
        name: its whole place, as the answers call it.
        generation: another one if its bytes are others: the store's; of a file, from its time, inode and size; of an
            archive's member, the archive's.
        key: what its source finds it by.
        payload: its bytes, of an archive's member that is at hand.
    """

    name: str
    generation: str
    size: int
    key: str
    payload: bytes = b""

    @property
    def mark(self) -> bytes:
        """8 bytes for this state of this picture: two of ten million share them with a chance of 3 in a million."""
        return hashlib.blake2b(f"{self.name}\0{self.generation}".encode(), digest_size=8).digest()


class PictureSource:
    """Pictures below a folder or a prefix.

    Attributes:
        remote: whether a read waits for a network.
        left_out: files that are no pictures, by their ending; complete once all pictures were listed.
        refused: what the disk would not read so far, by a picture's key, and why. That may be another thing tomorrow.
        links: as of `linked_folders`.
    """

    links: Sequence[str] = ()

    def __init__(self, store: Store, found: Iterator[Stored]):
        self.store, self.found = store, found
        self.remote = store.location.scheme != "file"
        self.left_out: collections.Counter[str] = collections.Counter()
        self.refused: dict[str, str] = {}

    def pictures(self) -> Iterator[Picture]:
        """Lists the pictures."""
        for stored in self.found:
            if is_picture(stored.key, self.left_out):
                yield Picture(printable(self.store.uri(stored.key)), stored.generation, stored.size, stored.key)

    def batches(self, pictures: Sequence[Picture], size: int) -> Iterator[Sequence[Picture]]:
        """Some of the pictures, in their order, at most `size` at a time."""
        return batches_of(pictures, size)

    def read(self, picture: Picture) -> bytes:
        """The bytes of a picture.

        Raises:
            OSError, ValueError: there are none to be had, or too many. StorageError: the store is away.
        """
        refuse_films(picture.size)
        if not self.remote:
            try:
                with open(f"{self.store.location.prefix}/{picture.key}", "rb", buffering=0) as file:  # noqa: PTH123, twice as fast
                    return file.read()
            except OSError as error:
                if not isinstance(error, FileNotFoundError):
                    self.refused[picture.key] = error.strerror or str(error)
                raise
        try:
            location.check_key(picture.key)
        except StorageError as odd:  # one such name among all would end every run
            raise ValueError(str(odd)) from None
        try:
            return self.store.read_as_listed(Stored(picture.key, picture.size, picture.generation))
        except (NotFound, PreconditionFailed) as gone:
            done = "deleted" if isinstance(gone, NotFound) else "changed"
            raise ValueError(f"it was {done} after it was listed") from None


class ArchiveSource(PictureSource):
    """Pictures in an archive, which are read in its order. All its members are answered anew if it is another one."""

    def __init__(self, archive: pathlib.Path, uri: str, generation: str):
        super().__init__(open_store(str(archive.parent)), iter(()))
        self.archive, self.uri, self.generation = archive, uri, generation
        self.members = enumerate(iter_members(archive))
        self.lying = self.store.stat(archive.name)

    def pictures(self) -> Iterator[Picture]:
        latest: dict[str, Picture] = {}  # of a name that comes twice the last one counts, as tar has it
        for number, (name, size, _) in enumerate(iter_members(self.archive)):
            if is_picture(name, self.left_out):
                latest.pop(name, None)
                latest[name] = Picture(f"{self.uri}/{printable(name)}", self.generation, size, str(number))
        yield from latest.values()

    def batches(self, pictures: Sequence[Picture], size: int) -> Iterator[Sequence[Picture]]:
        wanted = {int(picture.key): picture for picture in pictures}
        batch: list[Picture] = []
        held = 0
        for number, (_, length, file) in self.members:
            if number in wanted:
                picture = wanted.pop(number)
                batch.append(picture._replace(payload=file.read()) if length <= MAX_BYTES else picture)
                held += length
            if batch and (len(batch) == size or held > BATCH_BYTES or not wanted):
                if self.store.stat(self.archive.name) != self.lying:  # its members go by their places
                    break
                yield batch
                batch, held = [], 0
            if not wanted:
                return
        raise PipelineError(
            f"expected {self.uri!a} as it was when its pictures were listed, received one that was changed since; run "
            "again once it is whole"
        )

    def read(self, picture: Picture) -> bytes:
        refuse_films(picture.size)
        return picture.payload


@contextlib.contextmanager
def open_source(uri: str) -> Iterator[PictureSource]:
    """Finds out what lies at `uri`; an archive in a store is fetched for as long as the body runs.

    Raises:
        PipelineError: there is nothing, or it is neither. StorageError: the store can't be asked.
    """
    place = location.parse(uri)
    name = place.prefix.rpartition("/")[2]
    if place.scheme == "file" and pathlib.Path(place.prefix).is_dir():
        store = open_store(uri)
        source = PictureSource(store, store.list())
        source.links = linked_folders(place.prefix)
        yield source
        return
    folder = location.Location(place.scheme, place.bucket, place.prefix.rpartition("/")[0])
    beside = open_store(folder.uri() or "/")
    stored = None
    if name and not uri.endswith("/"):
        with contextlib.suppress(NotFound):
            stored = beside.stat(name)
    if stored and (stored.size or ending_of(name) in SUFFIXES):
        if ending_of(name) in SUFFIXES:
            yield PictureSource(beside, iter([stored]))
        elif place.scheme == "file":
            yield ArchiveSource(pathlib.Path(place.prefix), printable(place.uri()), stored.generation)
        else:
            with tempfile.TemporaryDirectory(prefix="pictures-") as directory:
                archive = pathlib.Path(directory) / name
                [stored] = beside.download_files([(stored, archive)])
                yield ArchiveSource(archive, place.uri(), stored.generation)
    elif place.scheme == "file":
        raise PipelineError(f"expected a picture, an archive or a folder at {uri!a}, which does not exist")
    else:
        store = open_store(uri)
        yield PictureSource(store, store.list())


def nothing_found(uri: str, source: PictureSource) -> PipelineError:
    """That a source has no picture at all, and what it has."""
    held = endings(source.left_out) or "nothing"
    held += f"; {not_followed(source.links)}" if source.links else ""
    return PipelineError(f"expected pictures ({' '.join(sorted(SUFFIXES))}) at {uri!a}, received {held}")


def linked_folders(folder: str | pathlib.Path) -> list[str]:
    """The links to folders below a folder, by their names below it: a link may lead anywhere, or in a circle.

    Raises:
        PipelineError: a folder can't be read, so that its pictures would be missing without a word.
    """

    def unread(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):  # gone meanwhile
            raise PipelineError(
                f"expected folders that can be read below {str(folder)!a}, received {listed([error.filename])}: "
                f"{error.strerror}; check its owner and mode"
            )

    found = []
    for directory, names, _ in os.walk(folder, onerror=unread):
        names[:] = [name for name in names if not hidden([name], "")]
        links = (name for name in names if os.path.islink(f"{directory}/{name}"))  # noqa: PTH114, twice as fast
        found += [os.path.relpath(f"{directory}/{name}", folder) for name in links]
    return sorted(found)


def not_followed(links: Sequence[str]) -> str:
    """That they are left out."""
    behind = f"{counted(len(links), 'link')}, for instance {listed(list(links[:1]))}"
    return f"left out: the folders behind {behind}; put a copy in its place"


def is_picture(name: str, left_out: collections.Counter[str]) -> bool:
    """Whether it is one by its name; counts it if it is not and could be missed."""
    *folders, base = name.split("/")
    if hidden(folders, base):
        return False
    if ending_of(base) in SUFFIXES:
        return True
    left_out[ending_of(base)] += 1
    return False
