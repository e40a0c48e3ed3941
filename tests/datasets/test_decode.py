import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datasets import _decode
from datasets._decode import crop_and_resize, decode
from datasets._files import ImageError


def smooth(width=48, height=32, channels=3):
    y, x = np.mgrid[:height, :width]
    planes = [(x * 5 + y * 2) % 256, 255 - x * 4, y * 7, np.where(x < width // 2, 0, 255)]
    return np.stack(planes[:channels], -1).astype(np.uint8)


def encoded(image, kind="JPEG", **settings):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **settings)
    return buffer.getvalue()


def by_pillow(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def close(actual, expected, tolerance=3):
    assert actual.dtype == np.uint8
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize("settings", [{"quality": 95}, {"quality": 80, "progressive": True}, {"quality": 95, "subsampling": 0}])
def test_jpeg_equals_pillow(settings):
    data = encoded(smooth(), **settings)
    close(decode(data, "x.jpg"), by_pillow(data))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
def test_lossless_formats(kind):
    image = np.repeat(smooth()[..., :1], 3, axis=2)
    close(decode(encoded(image, kind), "x"), image, tolerance=0)


def test_webp():
    close(decode(encoded(smooth(), "WEBP", lossless=True), "x"), smooth(), tolerance=0)


def test_grey_jpeg_has_three_equal_channels():
    found = decode(encoded(smooth()[..., 0]), "x.jpg")
    assert found.shape == (32, 48, 3)
    assert np.array_equal(found[..., 0], found[..., 2])


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation, kind):
    from PIL import ImageOps

    image = Image.fromarray(smooth())
    exif = image.getexif()
    exif[0x0112] = orientation
    data = encoded(image, kind, exif=exif, **({"quality": 95, "subsampling": 0} if kind == "JPEG" else {}))
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    close(decode(data, "x"), upright)


def test_cmyk_becomes_rgb():
    data = encoded(Image.fromarray(smooth()).convert("CMYK"), quality=95, subsampling=0)
    close(decode(data, "x.jpg"), smooth(), tolerance=12)


def test_sixteen_bits_keep_their_upper_eight():
    import cv2

    wide = smooth().astype(np.uint16) * 256 + 200
    for image in (wide[..., ::-1], wide[..., 0]):
        _, data = cv2.imencode(".png", image)
        found = decode(data.tobytes(), "x.png")
        close(found, smooth() if image.ndim == 3 else np.repeat(smooth()[..., :1], 3, axis=2), tolerance=1)


def test_transparent_pixels_lie_on_white():
    found = decode(encoded(smooth(channels=4), "PNG"), "x.png")
    assert (found[:, :24] == 255).all()
    close(found[:, 24:], smooth()[:, 24:], tolerance=0)


def test_transparent_palette_lies_on_white():
    image = Image.fromarray(smooth()[..., 0]).quantize(4)
    corner = image.getpixel((0, 0))
    found = decode(encoded(image, "PNG", transparency=corner), "x.png")
    where = np.asarray(image) == corner
    assert (found[where] == 255).all()
    close(found[~where], np.asarray(image.convert("RGB"))[~where], tolerance=0)


def test_palette():
    image = Image.fromarray(smooth()).quantize(16)
    close(decode(encoded(image, "PNG"), "x.png"), np.asarray(image.convert("RGB")), tolerance=0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_files_are_refused(kind, share):
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), kind)
    with pytest.raises(ImageError, match=r"^x is truncated|^x cannot be decoded|^x is damaged"):
        decode(data[: int(len(data) * share)], "x")


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_jpeg_cut_near_its_end_is_refused(cut):
    with pytest.raises(ImageError, match="x is truncated: a JPEG without its end marker; fetch it again"):
        decode(encoded(smooth())[:-cut], "x")


def test_a_truncated_jpeg_padded_with_zeros_is_refused():
    data = encoded(smooth())
    with pytest.raises(ImageError, match="truncated"):
        decode(data[: len(data) // 2].ljust(len(data), b"\0"), "x")


def test_a_truncated_jpeg_with_an_end_marker_in_its_thumbnail_is_refused():
    exif = Image.Exif()
    data = encoded(smooth(), exif=exif.tobytes() + encoded(smooth(8, 8)))
    assert b"\xff\xd9" in data[: len(data) // 2]
    close(decode(data, "x"), by_pillow(data))
    with pytest.raises(ImageError, match="truncated"):
        decode(data[:-60], "x")


def test_bytes_after_the_end_are_harmless():
    data = encoded(smooth())
    expected = decode(data, "x")
    for tail in (b"\0" * 99, b"<html>", b"\n"):
        assert np.array_equal(decode(data + tail, "x"), expected)


def test_a_png_with_a_flipped_bit_is_refused():
    data = bytearray(encoded(smooth(), "PNG"))
    data[len(data) // 2] ^= 16
    with pytest.raises(ImageError, match="x is damaged: PNG chunk b'IDAT' does not match its checksum; fetch it again"):
        decode(bytes(data), "x")


def png_of(width, height):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_bombs_are_refused_before_they_are_decoded(monkeypatch):
    import cv2

    jpeg = bytearray(encoded(smooth()))
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 65000, 65000)
    gif = bytearray(encoded(smooth()[..., 0], "GIF"))
    gif[6:10] = struct.pack("<HH", 60000, 60000)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="x claims 65000 x 65000 pixels, more than the 100000000 allowed; shrink it"):
        decode(bytes(jpeg), "x")
    with pytest.raises(ImageError, match="x claims 40000 x 40000 pixels"):
        decode(png_of(40000, 40000), "x")
    with pytest.raises(ImageError, match=r"x claims 60000 x 60000 pixels|x cannot be decoded: Image size"):
        decode(bytes(gif), "x")


def test_an_empty_picture_is_refused():
    with pytest.raises(ImageError, match="x claims 0 x 5 pixels; fetch it again"):
        decode(png_of(0, 5), "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"x is empty \(0 bytes\); fetch it again"),
        (b"<html>404</html>", r"x is no JPEG, PNG, WebP, BMP or GIF image \(it starts with b'<html>40'\)"),
        (b"\xff\xd8\xff\xd9", "x is truncated"),
        (b"\xff\xd8" + b"\xff" * 50, "x is truncated"),
        (b"BM" + b"\0" * 60, "x cannot be decoded"),
        (b"GIF89a", "x cannot be decoded"),
        (png_of(5, 5), "x cannot be decoded; fetch it again"),
    ],
)
def test_what_is_no_image(data, message):
    with pytest.raises(ImageError, match=message):
        decode(data, "x")


def test_random_damage_raises_nothing_but_image_errors():
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        good = encoded(smooth(16, 16), kind)
        for _ in range(40):
            data = bytearray(good)
            for place in rng.integers(0, len(data), 3):
                data[place] = rng.integers(0, 256)
            with contextlib.suppress(ImageError):
                assert decode(bytes(data), "x").ndim == 3


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([4, 2, 20, 18], (slice(2, 18), slice(4, 20))),
        ([-5, -5, 20, 18], (slice(0, 18), slice(0, 20))),
        ([4, 2, 999, 999], (slice(2, 32), slice(4, 48))),
        ([0, 0, 0, 0], (slice(0, 32), slice(0, 48))),
        ([20, 2, 4, 18], (slice(0, 32), slice(0, 48))),
        ([60, 2, 90, 18], (slice(0, 32), slice(0, 48))),
    ],
)
def test_boxes_are_clipped_and_empty_ones_ignored(box, expected):
    assert np.array_equal(crop_and_resize(smooth(), np.array(box), 8), crop_and_resize(smooth()[expected].copy(), None, 8))


def test_shrinking_averages_areas():
    image = smooth(32, 32)
    expected = image.reshape(8, 4, 8, 4, 3).mean((1, 3))
    assert np.abs(crop_and_resize(image, None, 8) - expected).max() <= 0.5


def test_growing_is_linear():
    image = np.array([[0, 100]], np.uint8)[..., None].repeat(3, 2).repeat(2, 0)
    assert crop_and_resize(image, None, 4)[0, :, 0].tolist() == [0, 25, 75, 100]


def test_the_limit_is_a_picture_that_fits_in_memory():
    assert _decode.MAX_PIXELS * 4 < 2**30
