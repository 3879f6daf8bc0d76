"""Takes the symbol tables out of shared libraries: python strip_symbols.py DIRECTORY

They name functions that a library keeps for itself, for debuggers; TensorFlow ships 253 MB of them. What a program
loads is described by the program headers alone and ends before them (ELF, System V ABI, chapter 5), so the file is cut
there and the section headers, which nothing reads at run time, are struck out. That is binutils' `strip`, which a slim
base image lacks.
"""

import pathlib
import struct
import sys

MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little-endian: x86-64 and ARM64
HEADER = 64


def main() -> None:
    saved = sum(strip(path) for path in pathlib.Path(sys.argv[1]).rglob("*.so*") if not path.is_symlink())
    print(f"symbol tables taken out: {saved / 1e6:.0f} MB")


def strip(path: pathlib.Path) -> int:
    """Cuts what follows the last byte that is loaded, and returns how many bytes that were; 0 if it is no library."""
    with path.open("r+b") as file:
        header = file.read(HEADER)
        if header[: len(MAGIC)] != MAGIC:
            return 0
        (start,) = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(start)
        table = file.read(size * count)
        loaded = [struct.unpack_from("<Q16xQ", table, size * number + 8) for number in range(count)]
        end = max(HEADER, start + size * count, *(offset + length for offset, length in loaded))
        before = path.stat().st_size
        file.seek(40)
        file.write(bytes(8))  # where the section headers are
        file.seek(58)
        file.write(bytes(6))  # their size and number, and which of them names the others
        file.truncate(end)
    return before - end


if __name__ == "__main__":
    main()
