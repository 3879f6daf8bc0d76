"""Why a disk would not take a file, in words."""

import errno

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the quota is used up", errno.EFBIG: "the file grew too large"}
REFUSED = {errno.EROFS: "it is read-only", errno.EACCES: "no permission", errno.EPERM: "no permission"}


def trouble(error: OSError, if_full: str, if_refused: str) -> str | None:
    """`the disk is full; <what to try>` for a full or write-protected disk; None for any other error."""
    if error.errno in FULL:
        return f"{FULL[error.errno]}; {if_full}"
    if error.errno in REFUSED:
        return f"{REFUSED[error.errno]}; {if_refused}"
    return None
