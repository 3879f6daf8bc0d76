"""Many writers who each create the same object, if nobody has before."""

import concurrent.futures

from components.core.storage import PreconditionFailed, Store


def winners(store: Store) -> list[int]:
    """Which of 24 writers of their number to `claim`, 8 at once, were told that they created it."""

    def create(number: int) -> bool:
        try:
            store.write_bytes("claim", str(number).encode(), if_absent=True)
        except PreconditionFailed:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return [number for number, done in enumerate(pool.map(create, range(24))) if done]
