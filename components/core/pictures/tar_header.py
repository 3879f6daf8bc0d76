"""Headers of tar members, read more strictly than tarfile does, and faster if they are plain."""

import tarfile

# Long names and extended attributes of one member; tarfile reads them whole into memory.
MAX_HEADER_BYTES = 1 << 20
EndOfArchive = tarfile.EOFHeaderError  # type: ignore[attr-defined]  # the types of tarfile lack it
_EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class StrictHeader(tarfile.TarInfo):
    """tarfile takes a broken or missing header after the first one as the end of the archive; here it is damage.

    For use as `tarfile.open(..., tarinfo=StrictHeader)`. Damage is raised as EOFError, which tarfile lets through.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "StrictHeader":
        try:
            header = cls._plain_file(buf, encoding, errors) or super().frombuf(buf, encoding, errors)
        except EndOfArchive:
            raise
        except tarfile.HeaderError as error:
            raise EOFError(f"no end mark: {error}") from None
        if header.size < 0 or (header.type in _EXTENDED and header.size > MAX_HEADER_BYTES):
            raise EOFError(f"a header of {header.size:,} bytes")
        return header

    @classmethod
    def _plain_file(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "StrictHeader | None":
        """The header of a regular file with a short name, parsed no further than name, size and checksum; None for any
        other. tarfile also parses owner, times and modes: 2.6 s of CPU for 60,000 members read, this way 1.4 s."""
        plain = buf[156:157] == tarfile.REGTYPE and buf[257:262] == b"ustar" and len(buf) == tarfile.BLOCKSIZE
        # A size above 8 GiB is binary, with the highest bit set; a name above 100 bytes goes on in the prefix.
        if not plain or buf[124] & 0x80 or buf[345] or sum(buf) - sum(buf[148:156]) + 256 != _octal(buf[148:156]):
            return None
        header = cls(buf[:100].partition(b"\0")[0].decode(encoding, errors))
        header.size = _octal(buf[124:136])
        return header


def is_tar(block: bytes) -> bool:
    """Whether a file that begins with these 512 bytes is a tar. Old ones carry no magic number, but all a checksum."""
    try:
        tarfile.TarInfo.frombuf(block, tarfile.ENCODING, "surrogateescape")
    except EndOfArchive:
        return True  # an empty tar is a tar
    except tarfile.HeaderError:
        return False
    return True


def _octal(field: bytes | bytearray) -> int:
    return int(field.partition(b"\0")[0].strip() or b"0", 8)
