"""Small sources of every kind, made on the spot: pictures, archives of them, binary files."""

import gzip
import io
import json
import pathlib
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import pytest
from PIL import Image

from components.core.errors import PipelineError
from components.preprocess.sources.folders import find_packed
from components.preprocess.sources.source import Source
from components.preprocess.sources.together import together


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    """A picture file's bytes."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(number: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    """Pixels that differ from number to number."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def png(number: int, height: int = 8, width: int = 8) -> bytes:
    return encoded(Image.fromarray(noise(number, height, width)))


def png_file(size: int, bits: int, kind: int, row: bytes, transparent: bytes | None = None) -> bytes:
    """A PNG of size x size pixels, all rows alike: Pillow writes no 2 and 4 bits, and no colour of 16.

    Args:
        kind: 0 is grey, 2 colour.
    """

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, bits, kind, 0, 0, 0))
    trns = b"" if transparent is None else chunk(b"tRNS", transparent)
    body = chunk(b"IDAT", zlib.compress((b"\0" + row) * size)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + trns + body


def class_folders(counts: Mapping[str, int], height: int = 8, width: int = 8, start: int = 0) -> dict[str, bytes]:
    """Members of an archive: `counts` different pictures in each folder."""
    members = {}
    for folder, count in counts.items():
        for number in range(count):
            members[f"{folder}/{number:04d}.png"] = png(start + len(members), height, width)
    return members


def archive(path: pathlib.Path, members: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> pathlib.Path:
    """Packs members, in their order, into the kind of archive the path's ending says; a name with `/` at its end is a
    folder."""
    pairs = list(members.items()) if isinstance(members, Mapping) else list(members)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for name, data in pairs:
                packed.writestr(zipfile.ZipInfo(name), data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as packed:
        for name, data in pairs:
            info = tarfile.TarInfo(name.rstrip("/"))
            info.size = len(data)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            packed.addfile(info, io.BytesIO(data))
    return path


def cifar_archive(
    path: pathlib.Path,
    batches: Mapping[str, tuple[np.ndarray, np.ndarray]],
    names: tuple[str, str] = ("batches.meta.txt", "cat dog bird"),
    label_bytes: int = 1,
) -> pathlib.Path:
    """An archive in CIFAR's binary layout from file name -> (uint8 pictures [n, 32, 32, 3], labels [n])."""
    members = {}
    for name, (pictures, labels) in batches.items():
        planes = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
        fine = labels.astype(np.uint8)[:, None]
        coarse = np.full_like(fine, 77)
        members[f"cifar/{name}"] = np.concatenate([*[coarse] * (label_bytes - 1), fine, planes], axis=1).tobytes()
    members[f"cifar/{names[0]}"] = ("\n".join(names[1].split()) + "\n\n").encode()
    return archive(path, members)


def idx_file(path: pathlib.Path, values: np.ndarray) -> pathlib.Path:
    """uint8 values as a gzipped IDX file."""
    header = np.array([2048 + values.ndim, *values.shape], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes(), mtime=0))
    return path


def read_folders(packed: pathlib.Path, scratch: pathlib.Path) -> Source:
    """The pictures of one archive."""
    return together([find_packed(packed, packed.name, scratch)])


# Pictures without class folders, and the table that labels them.
FLAT = {f"images/{number:03d}.png": png(number) for number in range(24)}
LABELS = {name: "cat" if number % 2 else "dog" for number, name in enumerate(FLAT)}
CSV = "image,label\n" + "".join(f"{name},{label}\n" for name, label in LABELS.items())


def counts(info) -> dict[str, int]:
    """How many pictures each class has, in all splits."""
    per_class = zip(*(split.per_class for split in info.splits.values()), strict=True)
    return dict(zip(info.class_names, map(sum, per_class), strict=True))


def quarantine(tmp_path: pathlib.Path) -> dict[str, str]:
    """What a data set has left out, and why."""
    listed = json.loads((tmp_path / "dataset" / "quarantine.json").read_text())["listed"]
    return {item["name"]: item["reason"] for item in listed}


def refused(run, *arguments, **settings) -> str:
    """The line with which a call is refused."""
    with pytest.raises(PipelineError) as error:
        run(*arguments, **settings)
    return str(error.value)
