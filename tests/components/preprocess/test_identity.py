"""What makes two files the same picture, and what does not."""

import io

import numpy as np
import pytest
from PIL import Image

from components.core.artifacts.dataset import SPLITS, read_info
from components.core.artifacts.picture_hashes import learned_hashes, split_hashes
from components.core.errors import PipelineError
from components.core.pictures.decode import LARGE, Target, open_picture
from components.preprocess import targets
from components.preprocess.identity import HASH_BYTES, identity
from components.preprocess.run import preprocess
from components.preprocess.settings import PreprocessSettings
from tests.components.preprocess.conftest import make_raw
from tests.components.preprocess.sources import archive, class_folders, encoded, noise
from tests.datasets import load_split

SMALL, OTHER = Target(8, 8, 3), Target(30, 40, 1, "resize")


def hash_of(payload: bytes, target: Target = SMALL, shape: tuple[int, int, int] | None = None) -> bytes:
    return identity(payload, open_picture(payload, shape, target))


def jpeg(picture: Image.Image, orientation: int = 1, comment: bytes = b"") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture, "JPEG", quality=90, exif=exif, comment=comment)


def test_a_copy_in_other_clothes_is_the_same_picture():
    picture = Image.fromarray(noise(1, 20, 30))
    same = [encoded(picture, kind) for kind in ("PNG", "BMP", "PPM", "TIFF")]
    same.append(encoded(picture.convert("RGBA")))
    assert len({hash_of(payload) for payload in same}) == 1
    assert hash_of(picture.tobytes(), shape=(20, 30, 3)) == hash_of(same[0])
    grey = Image.fromarray(noise(1, 20, 30, 1))
    assert hash_of(encoded(grey)) == hash_of(encoded(grey.convert("RGB"))) == hash_of(grey.tobytes(), shape=(20, 30, 1))
    photograph = jpeg(picture)
    decoded = Image.open(io.BytesIO(photograph)).convert("RGB")
    assert hash_of(photograph) == hash_of(jpeg(picture, comment=b"hello")) == hash_of(encoded(decoded))


def test_neither_size_nor_colour_that_is_asked_for_changes_it():
    for picture in (Image.fromarray(noise(2, 20, 30)), Image.fromarray(noise(3, 700, 900))):
        for payload in (jpeg(picture), encoded(picture)):
            assert len({hash_of(payload, target) for target in (SMALL, OTHER, Target(600, 800, 3))}) == 1


def test_another_picture_has_another_hash():
    picture = noise(4, 20, 30)
    changed = picture.copy()
    changed[7, 7, 1] ^= 1
    different = [picture, changed, picture[:, ::-1], picture.reshape(30, 20, 3), picture[..., ::-1], picture[:19]]
    hashes = {hash_of(encoded(Image.fromarray(np.ascontiguousarray(pixels)))) for pixels in different}
    assert len(hashes) == len(different)
    assert {len(found) for found in hashes} == {HASH_BYTES}


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_turned_photograph_is_the_one_that_it_shows(orientation):
    turn = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270}[orientation]
    payload = jpeg(Image.fromarray(noise(5, 24, 32)), orientation)
    upright = Image.open(io.BytesIO(payload)).convert("RGB")
    upright = upright.transpose(turn) if turn is not None else upright
    assert hash_of(payload) == hash_of(encoded(upright))


def test_a_large_jpeg_is_told_by_what_is_compressed_whatever_is_asked_for():
    picture = Image.fromarray(noise(6, 30, 40)).resize((2000, 1500))
    assert picture.width * picture.height > LARGE
    plain = jpeg(picture)
    assert hash_of(plain, SMALL) == hash_of(plain, OTHER) == hash_of(plain, Target(1500, 2000, 3))
    assert (
        hash_of(plain) == hash_of(jpeg(picture, 6, b"other metadata")) == hash_of(encoded(picture, "JPEG", quality=90))
    )
    assert hash_of(plain) != hash_of(encoded(picture, "JPEG", quality=91))
    cut = plain[: len(plain) // 2] + b"\xff\xd9"
    assert identity(cut, open_picture(plain, None, SMALL)) != hash_of(plain)


def made(tmp_path, raw: str, name: str, **settings):
    preprocess(PreprocessSettings.checked(**settings), raw, str(tmp_path / name), str(tmp_path / f"{name}.html"))
    return tmp_path / name


def test_the_artifact_has_the_hash_of_each_picture_in_the_order_of_its_shards(tmp_path, raw_artifact):
    raw = raw_artifact(archive(tmp_path / "a.tar", class_folders({"cat": 40, "dog": 40})))
    first, resized, other = (
        made(tmp_path, raw, name, **settings)
        for name, settings in {
            "first": {},
            "resized": {"image_size": "16", "color": "grayscale", "seed": 3},
            "other": {"split_seed": 4},
        }.items()
    )
    info = read_info(first)
    every = {hash_of(encoded(Image.fromarray(noise(number)))) for number in range(80)}
    for split in SPLITS:
        pictures, _ = load_split(first, info, split)
        wanted = [hash_of(picture.tobytes(), shape=(8, 8, 3)) for picture in pictures]
        assert split_hashes(first, info, split).tobytes() == b"".join(wanted)
        every -= set(wanted)
        # Neither the shape nor the order's seed moves a picture.
        assert set(split_hashes(resized, read_info(resized), split)) == set(split_hashes(first, info, split))
    assert not every
    assert set(split_hashes(other, read_info(other), "test")) != set(split_hashes(first, info, "test"))
    learned = learned_hashes(first, info)
    assert len(learned) == info.splits["train"].count + info.splits["validation"].count
    assert not np.isin(split_hashes(first, info, "test"), learned).any()


def test_more_pictures_under_other_names_move_none_that_was_there(tmp_path, raw_artifact):
    """One more picture a class once moved 122 of 360 test pictures into what the champion had been trained on."""
    members = class_folders({"cat": 100, "dog": 100})
    before = made(tmp_path, raw_artifact(archive(tmp_path / "a.tar", members)), "before")
    renamed = {f"{name.partition('/')[0]}/{abs(hash(name))}.png": data for name, data in members.items()}
    more = class_folders({"cat": 1, "dog": 1}, start=1000) | renamed | class_folders({"ape": 30}, start=2000)
    after = made(tmp_path, raw_artifact(archive(tmp_path / "a.tar", more)), "after", seed=1)
    for split in SPLITS:
        old, new = (set(split_hashes(place, read_info(place), split).tolist()) for place in (before, after))
        assert old <= new


def test_pictures_of_one_hash_have_one_order_and_shape_however_they_are_packed(tmp_path, monkeypatch):
    """A large photograph and the same turned by its EXIF alone have one hash and one size."""
    monkeypatch.setattr(targets, "SAMPLE", 1)
    picture = Image.fromarray(noise(6, 30, 40)).resize((2000, 1500))
    members = class_folders({"cat": 10, "dog": 10}, 32, 32)
    members |= {f"cat/turned-{orientation}.jpg": jpeg(picture, orientation) for orientation in (1, 3, 6, 8)}
    found = set()
    for number, packed in enumerate((members, {f"mine/{name}": members[name] for name in reversed(members)})):
        raw = make_raw(tmp_path / f"raw-{number}", archive(tmp_path / f"{number}.tar", packed))
        found.add(read_info(made(tmp_path, raw, f"made-{number}")).fingerprint)
    assert len(found) == 1


@pytest.mark.parametrize("spoil", [lambda data: data[:-8], lambda data: data[:-1] + b"x", lambda data: b"", None])
def test_hashes_that_do_not_fit_are_refused(tmp_path, raw_artifact, spoil):
    raw = raw_artifact(archive(tmp_path / "a.tar", class_folders({"cat": 20, "dog": 20})))
    directory = made(tmp_path, raw, "dataset")
    path = directory / "hashes.npy"
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(PipelineError, match="expected the pictures' hashes in .*; run preprocess again"):
        split_hashes(directory, read_info(directory), "test")
