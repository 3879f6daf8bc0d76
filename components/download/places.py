"""The names of places to fetch from: their scheme, their parts, and what may be said of them in public."""

import contextlib
import json
import pathlib
import re
import urllib.parse

from components.core.errors import PipelineError, nearest
from components.core.storage import location
from components.core.wording import printable

STORE_SCHEMES = location.BUCKET_SCHEMES
# "package" is a file inside an installed Python package, for data that came with one; only the catalog uses it.
SCHEMES = ("file", "http", "https", "package", *STORE_SCHEMES)
ARCHIVE = re.compile(r"\.(tar|tar\.gz|tgz|zip)$", re.IGNORECASE)


def scheme_of(place: str) -> str:
    """`http` of `http://...`; `file` for a plain path.

    Raises:
        PipelineError: a scheme that can't be fetched from.
    """
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?", place)
    if match is None or (match[2] is None and match[1].lower() not in SCHEMES):
        return "file"
    scheme = match[1].lower()
    if scheme in STORE_SCHEMES:
        location.parse(place)
    if scheme in ("http", "https") and not location.is_url(place):  # not repeated: before an @ may stand a secret
        raise PipelineError("expected a URL such as https://host/file.tar, received one without a host, or a bad one")
    if scheme in SCHEMES:
        return scheme
    raise PipelineError(f"unknown scheme {scheme!r} in {public(place)}; {nearest(scheme, list(SCHEMES))}")


def places_of(source: str) -> list[str]:
    """The places that a source names: none, itself, or all of a JSON list.

    Raises:
        PipelineError: a list of something else than places.
    """
    if source.startswith("["):
        with contextlib.suppress(ValueError, RecursionError):  # a name that begins so
            places = json.loads(source)
            if not places or not all(isinstance(place, str) and place for place in places):
                raise PipelineError('source: expected a list of places, ["a.zip", "b/"], received another list')
            return places
    return [source] if source else []


def path_behind(place: str) -> pathlib.Path:
    """The absolute path behind a plain path (`~` is the home folder) or a file:// URI.

    Raises:
        PipelineError: a file:// URI that names another host, or no path, or the home folder of nobody here.
    """
    if re.match(r"file:", place, re.IGNORECASE):
        return pathlib.Path(location.parse(place).prefix)
    return location.local_path(place)


def name_of(place: str) -> str:
    """Its name for people: the last part of the path, or the host or bucket, without the ending of an archive. A link
    has its own: what it leads to may be called otherwise tomorrow."""
    if scheme_of(place) == "file":
        name = path_behind(place).name
    else:
        parts = urllib.parse.urlsplit(place)
        name = pathlib.PurePosixPath(urllib.parse.unquote(parts.path)).name or parts.hostname or ""
    return ARCHIVE.sub("", name)


def inside(place: str, name: str) -> str:
    """The place of the file `name` in the folder or under the base URI `place`."""
    if scheme_of(place) == "file":
        return str(path_behind(place) / name)
    if scheme_of(place) in STORE_SCHEMES:
        return f"{place.rstrip('/')}/{name}"
    parts = urllib.parse.urlsplit(place)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{urllib.parse.quote(name)}").geturl()


def public(place: str) -> str:
    """The place as logs and artifacts may show it: no user, password, query or fragment; a path made absolute."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", place)
    if place.startswith("package:"):
        return place
    if scheme is None or scheme[1].lower() == "file":
        return printable(str(path_behind(place)))
    if scheme[1].lower() in STORE_SCHEMES and "@" not in place[scheme.end() :].partition("/")[0]:
        return place  # `?`, `#` and `@` are plain characters in a key
    parts = urllib.parse.urlsplit(place)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
