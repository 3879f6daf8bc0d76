"""How a source looks now, as a short text: another one if anything about it has changed. The same for the trained model
that a training starts from.

KFP's cache compares arguments, not contents, so the text is an argument of download (`source_version`) or of train
(`start_version`): that step and everything after it are cached exactly as long as it looks the same. To look costs a
request or a listing, never the data.
"""

import hashlib
import os
import pathlib
import secrets
import stat

from components.core.artifacts.model import MODEL_FILE
from components.core.artifacts.served_model import EXTRAS
from components.core.errors import PipelineError
from components.core.pictures.names import hidden
from components.core.start_place import Pinned, is_pinned, named_version
from components.download.places import STORE_SCHEMES, path_behind, places_of, public, scheme_of
from components.download.settings import DownloadSettings

TIMEOUT_S = 10
# Where a registry's version has the model that can be trained on.
MODEL = f"{EXTRAS}/{MODEL_FILE}"
# What servers say that changes with a file. A length alone does not: another file may be as long.
VALIDATORS = ("ETag", "Last-Modified")


def can_change(settings: DownloadSettings) -> bool:
    """Whether other data could lie behind the source's name tomorrow, unnoticed: it is remote, and neither its SHA-256
    nor a version of the user's own is given."""
    remote = any(scheme_of(place) != "file" for place in (*places_of(settings.source), settings.labels))
    return remote and not settings.source_sha256 and not settings.source_version


def refuse_unseen(settings: DownloadSettings) -> None:
    """Refuses a source that no look was taken at.

    Raises:
        PipelineError: the pipeline was compiled without a source, and started with one.
    """
    if can_change(settings):
        received = ", ".join(map(public, places_of(settings.source)))
        raise PipelineError(
            f"source: expected a pipeline that was compiled with a source, received {received} for one "
            "that was not, so that a change of the data would go unnoticed; compile it with SOURCE=, or give a "
            "source_version or the source_sha256"
        )


def look(source: str, source_version: str = "", labels: str = "") -> str:
    """The source's state.

    Args:
        source: as a user gives it; empty: none.
        labels: where the table of labels lies; empty: none is named.
        source_version: a version of the user's own, which stands in for a look; empty: none.

    Returns:
        16 hexadecimal digits; an empty text without a source. A server that tells nothing that changes with the file
        is never taken to have the same one: each look has digits of its own.

    Raises:
        PipelineError: there is nothing, or the store can't be asked.
    """
    if source_version or not source:
        return source_version
    states = [_state(place) for place in places_of(source)]
    if labels:
        states.append(_state(labels, "labels"))
    return states[0] if len(states) == 1 else hashlib.sha256(" ".join(states).encode()).hexdigest()[:16]


def _state(source: str, called: str = "source") -> str:
    """The state of a place; `called` is the parameter that names it."""
    scheme = scheme_of(source)
    if scheme == "file":
        return _of_files(path_behind(source), called)
    if scheme in STORE_SCHEMES:
        from components.download import objects

        return objects.state(source)
    return _of_url(source)


def look_at_start(start_from: str, start_sha256: str, start_version: str, publish_uri: str) -> str:
    """The state of the trained model that a training starts from: of a registry's version which it is, and its SHA-256.

    Args:
        start_from: as a user gives it; empty: none.
        start_version: stands in for a look, as does the SHA-256 of a file.
        publish_uri: the registry.

    Raises:
        PipelineError: there is no such version, no registry is named, or the version has no model.keras.
    """
    if is_pinned(start_from, start_sha256, start_version):
        return start_version
    if not (version := named_version(start_from)):
        return look(start_from)
    if not publish_uri:
        raise PipelineError(
            f"start_from: expected a registry for {start_from}, received none; give publish_uri, such as gs://bucket"
        )
    from components.core.registry import Registry

    model = Registry(publish_uri).show(*version)
    if MODEL not in model.files:
        raise PipelineError(
            f"start_from: expected {model.name} version {model.number} with {MODEL}, received one that was exported "
            "without; export with keras among the formats"
        )
    return str(Pinned(publish_uri, model.name, model.number, model.files[MODEL].sha256))


def _of_files(path: pathlib.Path, called: str) -> str:
    """Size and times of every file stand for the content, as they do for make. The time of a change of its name, owner
    or times (ctime) tells files that changed places."""
    if not path.exists():
        quotes = """; a list is typed '["a.zip", "b/"]', with all its quotes""" if "/[" in str(path) else ""
        raise PipelineError(f"{called}: received {str(path)!a}, which does not exist{quotes}")
    digest, above = hashlib.sha256(), len(os.path.join(path, ""))  # noqa: PTH118
    for file in [str(path)] if path.is_file() else _entries(str(path)):
        try:
            facts = os.stat(file)  # noqa: PTH116 - pathlib costs 1 s more for 60,000 files
            whole = f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"
            said = "folder" if stat.S_ISDIR(facts.st_mode) else whole
        except OSError:  # a dangling link; gone meanwhile
            said = "nothing"
        digest.update(os.fsencode(file[above:] or ".") + f"\0{said}\n".encode())
    return digest.hexdigest()[:16]


def _entries(folder: str) -> list[str]:
    """All files and folders below one, sorted; not what is never packed: a look at them by macOS leaves a .DS_Store."""
    paths: list[str] = []
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not hidden([name], "")]
        names = (*folders, *(name for name in files if not hidden([name], "")))
        paths += [os.path.join(top, name) for name in names]  # noqa: PTH118
    return sorted(paths, key=os.fsencode)


def _of_url(url: str) -> str:
    import requests

    said = ""
    # A URL that is signed for GET alone refuses HEAD.
    for ask in (requests.head, requests.get):
        try:
            with ask(url, allow_redirects=True, timeout=TIMEOUT_S, stream=True) as answer:
                if answer.ok:
                    said = " ".join(answer.headers.get(name, "") for name in VALIDATORS).strip()
                    break
        except requests.RequestException:
            break  # download will try again, and say what is wrong with it
    if not said:
        return secrets.token_hex(8)
    return hashlib.sha256(f"{public(url)} {said}".encode()).hexdigest()[:16]
