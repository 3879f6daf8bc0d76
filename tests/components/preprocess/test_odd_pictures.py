"""Every odd kind of picture ends as the pixels it should, and what can't be read says why."""

import gzip
import io
import os
import struct
import types
import zlib

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image, ImageOps

from components.core.pictures.decode import MAX_BYTES, Target, decode, read_header, reason_of
from components.core.pictures.values import NEARLY_BLACK
from components.preprocess.chunks import Chunk, process
from components.preprocess.sources.payloads import InFile
from tests.components.preprocess.sources import encoded, noise, png_file

RGB, GREY = Target(8, 8, 3), Target(8, 8, 1)


def pixels(payload: bytes, target: Target) -> np.ndarray:
    return decode(payload, None, target).pixels


def changes(payload: bytes, target: Target) -> tuple[str, ...]:
    return decode(payload, None, target).changes


def flat(mode: str, colour, size=(8, 8)) -> Image.Image:
    return Image.new(mode, size, colour)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "GIF", "JPEG2000"])
def test_lossless_formats_keep_every_pixel(kind):
    levels = noise(1)[..., 0] // 64 * 64  # few colours, so that GIF loses nothing either
    picture = np.stack([levels] * 3, axis=-1)
    options = {"WEBP": {"lossless": True}}.get(kind, {})
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(picture), kind, **options), RGB), picture)


def test_plain_pictures_are_taken_as_they_are():
    assert changes(encoded(Image.fromarray(noise(1))), RGB) == ()
    assert changes(encoded(Image.fromarray(noise(1)), "JPEG"), RGB) == ()
    assert changes(encoded(Image.fromarray(noise(1, channels=1))), GREY) == ()


def test_greyscale_to_rgb_repeats_the_value():
    grey = noise(2, channels=1)
    payload = encoded(Image.fromarray(grey))
    np.testing.assert_array_equal(pixels(payload, RGB), np.repeat(grey[..., None], 3, axis=2))
    assert changes(payload, RGB) == ("greyscale to RGB",)


def test_colour_to_greyscale_weighs_by_luma():
    payload = encoded(flat("RGB", (200, 100, 50)))
    assert set(pixels(payload, GREY).flat) == {round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)}
    assert changes(payload, GREY) == ("colour to greyscale",)


def test_one_bit_pictures_are_black_and_white():
    bits = noise(3, channels=1) > 127
    assert set(pixels(encoded(Image.fromarray(bits)), GREY)[bits].flat) == {255}
    assert set(pixels(encoded(Image.fromarray(bits)), GREY)[~bits].flat) == {0}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_cut(kind):
    values = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    payload = encoded(Image.fromarray(values), kind)
    np.testing.assert_array_equal(pixels(payload, GREY)[..., 0], np.rint(values / 257))
    np.testing.assert_array_equal(pixels(payload, RGB)[..., 2], np.rint(values / 257))
    assert changes(payload, RGB) == ("16-bit to 8-bit", "greyscale to RGB")


@pytest.mark.parametrize(("white", "noticed"), [(4095, True), (4096, False), (0, True)])
def test_twelve_bits_in_a_file_of_sixteen_are_noticed(white, noticed):
    payload = encoded(Image.fromarray(np.full((8, 8), white, np.uint16)))
    assert (NEARLY_BLACK in changes(payload, GREY)) == noticed


def test_big_endian_sixteen_bits():
    values = np.linspace(0, 65535, 64).astype(">u2").reshape(8, 8)
    image = Image.frombytes("I;16B", (8, 8), values.tobytes())
    np.testing.assert_array_equal(pixels(encoded(image, "TIFF"), GREY)[..., 0], np.rint(values / 257))


def test_sixteen_bit_ppm():
    values = np.linspace(0, 65535, 64).astype(">u2").reshape(8, 8)
    payload = b"P5 8 8 65535\n" + values.tobytes()
    np.testing.assert_array_equal(pixels(payload, GREY)[..., 0], np.rint(values / 257))


def test_sixteen_bits_a_channel_in_png():
    row = noise(4)[0]
    payload = png_file(8, 16, 2, (row.astype(np.uint16) * 257).astype(">u2").tobytes())
    np.testing.assert_array_equal(pixels(payload, RGB), np.stack([row] * 8))


def test_cmyk_becomes_rgb():
    payload = encoded(flat("CMYK", (0, 255, 255, 0)), "TIFF")
    np.testing.assert_array_equal(pixels(payload, RGB), np.full((8, 8, 3), (255, 0, 0)))
    assert changes(payload, RGB) == ("CMYK to RGB",)


def test_a_cmyk_jpeg_is_not_inverted():
    red = pixels(encoded(flat("CMYK", (0, 255, 255, 0)), "JPEG", quality=100), RGB)
    assert np.abs(red.astype(int) - (255, 0, 0)).max() <= 3


def test_palettes_are_looked_up():
    colours = noise(5) // 128 * 128
    image = Image.fromarray(colours).quantize(8)
    payload = encoded(image)
    np.testing.assert_array_equal(pixels(payload, RGB), np.asarray(image.convert("RGB")))
    assert changes(payload, RGB) == ("palette to RGB",)


def test_transparency_is_laid_on_white():
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[..., 0] = 200
    picture[:4, :, 3] = 255
    picture[6:, :, 3] = 128
    shown = pixels(encoded(Image.fromarray(picture)), RGB)
    assert shown[0, 0].tolist() == [200, 0, 0]
    assert shown[5, 0].tolist() == [255, 255, 255]
    np.testing.assert_allclose(shown[7, 0], [255 + (200 - 255) * 128 / 255, 127, 127], atol=1)
    assert changes(encoded(Image.fromarray(picture)), RGB) == ("transparency laid on white",)


def test_opaque_rgba_only_loses_its_alpha():
    payload = encoded(Image.fromarray(np.concatenate([noise(6), np.full((8, 8, 1), 255, np.uint8)], axis=2)))
    np.testing.assert_array_equal(pixels(payload, RGB), noise(6))
    assert changes(payload, RGB) == ()


def test_transparent_palette_entries_are_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.paste(1, (0, 0, 8, 4))
    shown = pixels(encoded(image, transparency=0), RGB)
    assert shown[0, 0].tolist() == [200, 100, 0]
    assert shown[7, 7].tolist() == [255, 255, 255]


def test_grey_with_alpha_and_with_a_transparent_value():
    image = Image.merge("LA", [flat("L", 40), flat("L", 0)])
    assert set(pixels(encoded(image), GREY).flat) == {255}
    assert set(pixels(encoded(flat("L", 40), transparency=40), GREY).flat) == {255}
    deep = encoded(Image.fromarray(np.array([[0, 300, 65535]], np.uint16)), transparency=300)
    assert pixels(deep, Target(1, 3, 1)).flatten().tolist() == [0, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "XMP", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation, kind):
    stored = Image.fromarray(np.kron(noise(7, 4, 6) // 2 * 2, np.ones((8, 8, 1), np.uint8)))  # 32 x 48 pixels
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"TIFF": {"tiffinfo": {0x0112: orientation}}, "WEBP": {"exif": exif, "lossless": True}}
    options["XMP"] = {"xmp": b'<rdf:Description tiff:Orientation="%d"/>' % orientation}
    kind, options = "JPEG" if kind == "XMP" else kind, options.get(kind, {"exif": exif})
    payload = encoded(stored, kind, **options)
    steps = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_270],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_90],
    }
    wanted = Image.open(io.BytesIO(encoded(stored, "JPEG"))) if kind == "JPEG" else stored
    for step in steps.get(orientation, []):
        wanted = wanted.transpose(step)
    header = read_header(payload)
    assert (header.height, header.width) == (wanted.height, wanted.width)
    np.testing.assert_array_equal(pixels(payload, Target(wanted.height, wanted.width, 3)), np.asarray(wanted))


def test_broken_exif_is_no_reason_to_drop_a_picture():
    payload = encoded(Image.fromarray(noise(8)), "JPEG", exif=b"Exif\0\0II*\0rubbish")
    assert pixels(payload, RGB).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first(kind):
    frames = [flat("RGB", colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    payload = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(pixels(payload, RGB), np.full((8, 8, 3), (255, 0, 0)))
    assert "first of several frames" in changes(payload, RGB)


def test_the_first_picture_of_a_camera_s_mpo():
    frames = [flat("RGB", (128, 128, 128)), flat("RGB", (0, 0, 0))]
    shown = pixels(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:]), RGB)
    assert np.abs(shown.astype(int) - 128).max() <= 1


@pytest.mark.parametrize("height", [20, 10])
def test_stretched_to_size(height):
    halves = np.zeros((10, 40, 3), np.uint8)
    halves[:, 20:] = 255
    shown = pixels(encoded(Image.fromarray(halves)), Target(height, 20, 3, "resize"))
    assert shown[5, 2].tolist() == [0, 0, 0]
    assert shown[5, 17].tolist() == [255, 255, 255]
    assert changes(encoded(Image.fromarray(halves)), Target(height, 20, 3, "resize")) == ("resized",)


@pytest.mark.parametrize("turned", [False, True])
def test_cropped_to_the_middle(turned):
    bands = np.zeros((20, 60, 3), np.uint8)
    bands[:, 20:40] = (10, 200, 30)
    image = Image.fromarray(bands.transpose(1, 0, 2) if turned else bands)
    shown = pixels(encoded(image), Target(10, 10, 3, "crop"))
    inner = shown[1:-1, 1:-1]  # at the edges the antialiasing reaches over
    np.testing.assert_array_equal(inner, np.full((8, 8, 3), (10, 200, 30)))


def test_crop_equals_pillow_s_fit():
    image = Image.fromarray(noise(9, 37, 53))
    wanted = ImageOps.fit(image, (16, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels(encoded(image), Target(12, 16, 3, "crop")), np.asarray(wanted))


@pytest.mark.parametrize(("side", "wanted"), [(225, 224), (123, 224), (99, 90), (84, 75), (55, 100)])
def test_a_crop_whose_box_rounding_puts_outside_is_cut_all_the_same(side, wanted):
    target = Target(wanted, wanted, 3)
    tall = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2 * side, side, 3), np.uint8))
    for picture in (tall, tall.transpose(Image.Transpose.ROTATE_90)):
        found = pixels(encoded(picture), target).astype(int)
        fit = np.asarray(ImageOps.fit(picture, (wanted, wanted), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(found - fit).max() <= 1


def test_small_pictures_are_enlarged():
    assert pixels(encoded(flat("RGB", (1, 2, 3), (2, 2))), Target(9, 7, 3)).tolist() == [[[1, 2, 3]] * 7] * 9


def test_raw_pixels_are_converted_and_resized_too():
    raw = noise(10, 4, 4)
    same = decode(raw.tobytes(), (4, 4, 3), Target(4, 4, 3))
    assert (same.pixels.tobytes(), same.changes) == (raw.tobytes(), ())
    doubled = decode(raw.tobytes(), (4, 4, 3), Target(8, 8, 1))
    assert doubled.pixels.shape == (8, 8, 1)
    assert doubled.changes == ("colour to greyscale", "resized and cropped")


def jpegs():
    for height, width in ((64, 64), (333, 501), (17, 300)):
        smooth = Image.fromarray(noise(11, -(-height // 4), -(-width // 4))).resize((width, height))
        for mode in ("RGB", "L"):
            for options in ({"subsampling": 0}, {"subsampling": 2}, {"progressive": True}, {"keep_rgb": True}):
                yield encoded(smooth.convert(mode), "JPEG", **options), height, width


def test_the_short_way_to_jpeg_gives_pillow_s_pixels(monkeypatch):
    short, long = [], []
    for way in (short, long):
        for payload, height, width in jpegs():
            for target in (Target(height, width, 3), Target(16, 16, 3), Target(5, 9, 1, "resize")):
                found = decode(payload, None, target)
                way.append((found.pixels.tobytes(), found.height, found.width, found.changes))
        monkeypatch.setattr("components.core.pictures.decode.decode_plain_jpeg", lambda *_: None)
    assert short == long


def test_a_large_jpeg_reduced_while_decoding_looks_the_same():
    smooth = Image.fromarray(noise(12, 30, 40)).resize((2000, 1500), Image.Resampling.BICUBIC)
    payload = encoded(smooth, "JPEG", quality=95)
    whole = Image.open(io.BytesIO(payload)).resize((40, 30), Image.Resampling.BILINEAR)
    difference = np.abs(pixels(payload, Target(30, 40, 3)).astype(int) - np.asarray(whole))
    assert Target(30, 40, 3).reduction(1500, 2000) == 8
    assert Target(400, 400, 3).reduction(1500, 2000) == 1, "to no less than twice what is needed"
    assert difference.mean() < 2


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "empty"),
        (b"<html>not found</html>", "not a picture of a known format"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "a pointer of Git LFS; fetch the file itself"),
        (gzip.compress(encoded(flat("L", 0)), mtime=0), "Content-Encoding: gzip"),
        (encoded(Image.fromarray(noise(13, 64, 64)), "JPEG")[:-200], "truncated"),
        (encoded(Image.fromarray(noise(13, 64, 64)))[:-3000], "truncated"),
        (encoded(Image.fromarray(noise(13, 64, 64)), "GIF")[:500], ""),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not a picture of a known format"),
        (encoded(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF"), "floating-point"),
        (encoded(Image.fromarray(np.full((8, 8), 70_000, np.int32)), "TIFF"), "above 65,535"),
    ],
)
def test_unreadable_pictures_say_why(payload, said):
    reasons = set()
    for _ in range(2):
        with pytest.raises(Exception) as caught:  # noqa: PT011, Pillow has no common class
            decode(payload, None, RGB)
        reasons.add(reason_of(caught.value))
    assert len(reasons) == 1
    (reason,) = reasons
    assert said in reason
    assert reason
    assert "\n" not in reason
    assert "0x" not in reason


def test_a_picture_has_one_thread_however_many_cores_the_machine_has(monkeypatch):
    asked, decoder = [], AvifImagePlugin._avif.AvifDecoder
    seen = types.SimpleNamespace(AvifDecoder=lambda *given: asked.append(given[2]) or decoder(*given))
    payload = encoded(Image.fromarray(noise(1)), "AVIF")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(AvifImagePlugin, "_avif", seen)
    pixels(payload, RGB)
    assert asked == [1]


@pytest.mark.parametrize(("kind", "side"), [("PNG", 10_000), ("GIF", 10_000), ("BMP", 10_000), ("BMP", 20_000)])
def test_a_picture_of_far_too_many_pixels_is_refused_before_it_is_decoded(kind, side):
    payload = {
        "PNG": encoded(flat("1", 0))[:16] + struct.pack(">II", side, side) + encoded(flat("1", 0))[24:],
        "GIF": b"GIF89a" + struct.pack("<HH", side, side) + encoded(flat("L", 0), "GIF")[10:],
        "BMP": encoded(flat("L", 0), "BMP")[:18] + struct.pack("<ii", side, side) + encoded(flat("L", 0), "BMP")[26:],
    }[kind]
    if kind == "PNG":
        body = payload[12:29]
        payload = payload[:29] + struct.pack(">I", zlib.crc32(body)) + payload[33:]
    with pytest.raises(Image.DecompressionBombError) as refused:
        decode(payload, None, RGB)
    assert reason_of(refused.value) == "more than 89,478,485 pixels; make it smaller"


def test_a_film_that_is_called_a_picture_is_passed_over_unread(tmp_path):
    png = encoded(Image.fromarray(noise(1)))
    with (tmp_path / "pictures").open("wb") as file:
        file.write(png)
        file.truncate(len(png) + MAX_BYTES + 1)  # a hole: it takes no room
    offsets, sizes = np.array([0, len(png)]), np.array([len(png), MAX_BYTES + 1])
    [(place, why)] = process(Chunk(InFile(tmp_path / "pictures"), None, RGB, offsets, sizes)).failures
    assert place == 1 and "more than a picture has" in why
