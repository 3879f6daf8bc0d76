"""champion.json: a pointer that moves by compare-and-set."""

import uuid

import pydantic

from components.core.registry import layout
from components.core.storage import Corrupted, NotFound, PreconditionFailed, Store

HISTORY = 50


class Champion(pydantic.BaseModel):
    """What champion.json says. `history` holds the champions before, the latest last."""

    version: int = pydantic.Field(ge=1)
    history: list[int] = []
    moved: str
    # Makes the bytes of every pointer differ: S3's generation token is a function of the content.
    token: str


def read(store: Store, name: str) -> tuple[Champion | None, str | None]:
    """The pointer and the generation to move it by; None and None where there has been no champion yet.

    Raises:
        Corrupted: what is there is no pointer.
    """
    key = _key(name)
    try:
        data, stored = store.read(key)
    except NotFound:
        return None, None
    try:
        return Champion.model_validate_json(data), stored.generation
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise Corrupted(
            f"expected a champion in {store.uri(key)}, received something else ({reason}); name one: make models "
            f"ARGS='champion {name} VERSION'"
        ) from None


def generation(store: Store, name: str) -> str:
    """The generation to move a pointer by that can't be read."""
    return store.stat(_key(name)).generation


def move(store: Store, name: str, version: int, history: list[int], generation: str | None) -> Champion:
    """Points at `version`, if nobody has moved the pointer since `generation` was read.

    Raises:
        PreconditionFailed: somebody has.
    """
    moved = Champion(version=version, history=history[-HISTORY:], moved=layout.now(), token=uuid.uuid4().hex)
    data = moved.model_dump_json(indent=2).encode() + b"\n"
    try:
        if generation is None:
            store.write_bytes(_key(name), data, if_absent=True)
        else:
            store.write_bytes(_key(name), data, if_generation=generation)
    except PreconditionFailed:
        raise PreconditionFailed(
            f"the champion of {name} was moved by somebody else meanwhile; look at it and try again"
        ) from None
    return moved


def _key(name: str) -> str:
    return f"{layout.home(name)}/champion.json"
