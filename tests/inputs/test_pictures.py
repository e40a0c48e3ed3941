"""Pictures of every odd kind in one catalogue: shown as stated, or refused with the line that lists them. tests/datasets/test_decode.py
has what decode does with each format by itself."""

import io
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.protocol import BadDataError, DataOptions
from datasets._decode import decode
from datasets._open import check, open_dataset

ROOT = Path(__file__).resolve().parent.parent.parent
SIZE = 16
RED, BLUE = (200, 30, 40), (20, 40, 210)


def encoded(image, kind, **settings):
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def plain(colour=RED, mode="RGB", size=(SIZE, SIZE)):
    return Image.new(mode, size, colour)


def animated(kind):
    return encoded(plain(RED), kind, save_all=True, append_images=[plain(BLUE), plain((0, 255, 0))], duration=50)


def rotated():
    """Red above blue as a viewer shows it, stored on its side."""
    image = Image.new("RGB", (SIZE, SIZE), BLUE)
    image.paste(RED, (0, 0, SIZE, SIZE // 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    return encoded(image.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)


def bomb(side):
    """A sound black PNG of one bit a pixel: side * side / 8 bytes shrink to almost nothing."""

    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    header = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(bytes((side // 8 + 1) * side), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


SHOWN = {  # file -> its bytes, and the colour that all of it has
    "animated.gif": (animated("GIF"), RED),
    "animated.png": (animated("PNG"), RED),
    "animated.webp": (encoded(plain(RED), "WEBP", save_all=True, append_images=[plain(BLUE)], lossless=True), RED),
    "two pictures.jpg": (encoded(plain(RED), "MPO", save_all=True, append_images=[plain(BLUE)], quality=95), RED),
    "cmyk.jpg": (encoded(plain((0, 255, 255, 0), "CMYK"), "JPEG", quality=95), (255, 0, 0)),
    "grey with alpha.png": (encoded(plain((0, 0), "LA"), "PNG"), (255, 255, 255)),  # transparent: the white below
    "palette.png": (encoded(plain(RED).convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), RED),
    "sixteen bits.png": (encoded(Image.fromarray(np.full((SIZE, SIZE), 0x80FF, np.uint16)), "PNG"), (128, 128, 128)),
    "one pixel.png": (encoded(plain(RED, size=(1, 1)), "PNG"), RED),
    "a png by content.jpg": (encoded(plain(RED), "PNG"), RED),
    "a jpeg by content.gif": (encoded(plain((128, 128, 128)), "JPEG", quality=95), (128, 128, 128)),
}
REFUSED = {
    "truncated.jpg": (encoded(plain(), "JPEG")[:-20], "is truncated"),
    "truncated.png": (encoded(plain(), "PNG")[:-20], "is truncated"),
    "empty.jpg": (b"", r"is empty \(0 bytes\)"),
    "text.jpg": (b"Not found\n", "is no JPEG, PNG, WebP, BMP or GIF image"),
    "drawing.png": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no JPEG, PNG, WebP, BMP or GIF image"),
    "layers.jpg": (b"8BPS" + bytes(60), "is no JPEG, PNG, WebP, BMP or GIF image"),
    "stars.jpg": (b"SIMPLE  =                    T" + bytes(60), "is no JPEG, PNG, WebP, BMP or GIF image"),
    "bomb.png": (bomb(20_000), "claims 20000 x 20000 pixels, more than the 100000000 allowed"),
}


def catalogue(root, pictures):
    root.mkdir()
    lines = ["file_name,split,kind"]
    for place, (file, data) in enumerate(pictures.items()):
        (root / file).write_bytes(data)
        lines.append(f"{file},{('train', 'val', 'test')[place % 3]},{'xy'[place % 2]}")
    (root / "metadata.csv").write_text("\n".join(lines) + "\n")
    return f"folder:{root}"


def test_every_odd_picture_is_shown_as_stated(tmp_path):
    dataset = catalogue(tmp_path / "photos", {file: data for file, (data, _) in SHOWN.items()})
    opened = open_dataset(dataset, DataOptions(tmp_path, tmp_path / "cache"))
    for place, split in enumerate(("train", "val", "test")):
        images = opened.examples(split, image_size=SIZE).images(slice(None)).astype(int)
        for file, image in zip(list(SHOWN)[place::3], images, strict=True):
            assert np.abs(image - np.array(SHOWN[file][1])).max() <= 3, file
    assert check(dataset, DataOptions(tmp_path, tmp_path / "cache")) == []


def test_a_picture_on_its_side_is_turned_upright():
    image = decode(rotated(), "x")
    assert tuple(image[0, 0]) == RED
    assert tuple(image[-1, -1]) == BLUE
    assert tuple(image[0, -1]) == RED


@pytest.mark.parametrize("file", REFUSED)
def test_a_damaged_picture_is_named_with_its_line_or_left_out(tmp_path, file):
    sound = {f"{number}.png": encoded(plain(), "PNG") for number in range(6)}
    dataset = catalogue(tmp_path / "photos", {**sound, file: REFUSED[file][0]})
    options = DataOptions(tmp_path, tmp_path / "cache")
    with pytest.raises(BadDataError, match=rf"metadata\.csv:8: {file} {REFUSED[file][1]}"):
        open_dataset(dataset, options).examples("train", image_size=SIZE)
    skipping = open_dataset(dataset, DataOptions(tmp_path, tmp_path / "cache", on_bad_data="skip"))
    assert len(skipping.examples("train", image_size=SIZE)) == 2
    assert [(problem.file, problem.line) for problem in skipping.problems] == [("metadata.csv", 8)]


def test_no_other_reader_of_pillows_is_tried(monkeypatch):
    tried = []
    keep = Image.open
    monkeypatch.setattr(Image, "open", lambda *given, formats=None: tried.append(formats) or keep(*given, formats=formats))
    for data, _ in SHOWN.values():
        decode(data, "x")
    assert tried
    assert all(set(formats or ()) == {"BMP", "GIF", "JPEG", "PNG", "WEBP"} for formats in tried)


def test_a_bomb_takes_no_memory(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb(20_000))
    script = (
        "import resource, sys\nfrom datasets._decode import decode\nfrom datasets._files import ImageError\nimport cv2, PIL.Image\n"
        "data = open(sys.argv[1], 'rb').read()\nbefore = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    decode(data, 'bomb.png')\nexcept ImageError as refused:\n    print(refused)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "bomb.png"], cwd=ROOT, capture_output=True, text=True, timeout=120)
    message, grown_kib = done.stdout.splitlines()
    assert message.startswith("bomb.png claims 20000 x 20000 pixels")
    assert int(grown_kib) < 16 * 1024  # decoded it would take 1.2 GB
