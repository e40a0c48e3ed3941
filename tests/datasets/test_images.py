import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.protocol import BadDataError, Problem
from datasets import deepfashion as loader
from datasets._files import ImageError, ImageFiles
from datasets._images import _reserve, damaged, landmarks_seen, pixel_cache, slug
from datasets._schema import Problems

ROOT = Path(__file__).resolve().parents[2]
WHERE = "Eval/list_eval_partition.txt"


@pytest.fixture
def annotations(deepfashion):
    return loader.read(deepfashion.root, Problems())


def build(deepfashion, annotations, tmp_path, size=16, **more):
    more = {"name": "deepfashion", "content_hash": "h", "cache_dir": tmp_path / "cache", **more}
    return pixel_cache(deepfashion.root, annotations, image_size=size, **more)


def test_pixels_equal_a_slow_decode(deepfashion, annotations, tmp_path):
    import cv2

    cache = build(deepfashion, annotations, tmp_path)
    assert isinstance(cache.pixels, np.memmap)
    assert (cache.pixels.shape, cache.pixels.dtype, cache.pixels.flags.writeable) == ((20, 16, 16, 3), np.uint8, False)
    assert cache.valid.all()
    assert cache.problems == ()
    for row, path in enumerate(annotations.paths):
        with Image.open(deepfashion.root / "Img" / path) as image:
            x1, y1, x2, y2 = annotations.boxes[row]
            expected = np.asarray(image.convert("RGB"))[y1:y2, x1:x2]
        expected = cv2.resize(expected, (16, 16), interpolation=cv2.INTER_AREA if min(x2 - x1, y2 - y1) >= 16 else cv2.INTER_LINEAR)
        assert np.abs(cache.pixels[row].astype(int) - expected).max() <= 3  # the two JPEG decoders may round differently


def test_a_second_opening_decodes_nothing(deepfashion, annotations, tmp_path, monkeypatch):
    first = build(deepfashion, annotations, tmp_path)
    monkeypatch.setattr("datasets._images.decode", lambda *_: pytest.fail("decoded"))
    assert np.array_equal(build(deepfashion, annotations, tmp_path).pixels, first.pixels)


def test_size_hash_root_and_name_have_caches_of_their_own(deepfashion, annotations, tmp_path, data_root, make_deepfashion):
    for more in ({}, {"size": 8}, {"content_hash": "other"}, {"name": "folder:/some/My Catalogue!"}):
        build(deepfashion, annotations, tmp_path, **more)
    build(make_deepfashion(data_root / "copy"), annotations, tmp_path)
    found = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "cache/pixels").iterdir() if path.is_dir())
    assert found == ["My-Catalogue-16", "deepfashion-16", "deepfashion-16", "deepfashion-16", "deepfashion-8"]


def spoil(deepfashion, row: int, how: str) -> str:
    """Damages the image of a row and returns the message that it should cause."""
    path = deepfashion.root / "Img" / deepfashion.paths[row]
    data = path.read_bytes()
    path.unlink()
    if how == "truncated":
        path.write_bytes(data[: len(data) // 2])
        return f"{deepfashion.paths[row]} is truncated: a JPEG without its end marker; fetch it again"
    if how == "empty":
        path.write_bytes(b"")
        return f"{deepfashion.paths[row]} is empty (0 bytes); fetch it again"
    if how == "link":
        path.symlink_to("/etc/passwd")
        return f"{deepfashion.paths[row]} leads out of the data set's folder through a symbolic link; put the files themselves there"
    return f"{deepfashion.paths[row]} is missing; fetch the images again, or take the line out of the list"


DAMAGE = {2: "truncated", 5: "empty", 7: "link", 11: "missing"}


def test_damaged_images_are_named_with_their_line(deepfashion, annotations, tmp_path):
    messages = {row: spoil(deepfashion, row, how) for row, how in DAMAGE.items()}
    with pytest.raises(BadDataError) as caught:
        build(deepfashion, annotations, tmp_path)
    assert str(caught.value).splitlines()[:5] == ["deepfashion: 4 damaged", *(f"{WHERE}:{row + 3}: {messages[row]}" for row in DAMAGE)]


def test_damaged_images_are_skipped_where_that_is_allowed(deepfashion, annotations, tmp_path):
    whole = np.array(build(deepfashion, annotations, tmp_path, content_hash="whole").pixels)
    messages = {row: spoil(deepfashion, row, how) for row, how in DAMAGE.items()}
    cache = build(deepfashion, annotations, tmp_path, on_bad="skip")
    assert np.flatnonzero(~cache.valid).tolist() == list(DAMAGE)
    assert cache.problems == tuple(Problem(WHERE, row + 3, message) for row, message in messages.items())
    assert np.array_equal(cache.pixels[cache.valid], whole[cache.valid])


def test_mended_images_are_read_anew(deepfashion, annotations, tmp_path, make_photo, monkeypatch):
    monkeypatch.setattr("datasets._index._SAMPLE", 2)  # sizes of 0 and 10 alone are compared
    spoil(deepfashion, 3, "empty")
    with pytest.raises(BadDataError):
        build(deepfashion, annotations, tmp_path)
    make_photo(deepfashion.root / "Img" / deepfashion.paths[3], 3)
    assert build(deepfashion, annotations, tmp_path).valid.all()


def test_an_image_restored_with_as_many_bytes_is_read_anew(deepfashion, annotations, tmp_path):
    path = deepfashion.root / "Img" / deepfashion.paths[3]
    data = path.read_bytes()
    path.write_bytes(b"\0" * len(data))
    with pytest.raises(BadDataError):
        build(deepfashion, annotations, tmp_path)
    path.write_bytes(data)
    assert build(deepfashion, annotations, tmp_path).valid.all()


def test_an_image_that_a_disk_did_not_give_once_is_read_anew(deepfashion, annotations, tmp_path, monkeypatch):
    plain = ImageFiles.read

    def failing(files, path):
        if path == deepfashion.paths[3]:
            raise ImageError(f"{path} cannot be read: Input/output error")
        return plain(files, path)

    monkeypatch.setattr(ImageFiles, "read", failing)
    assert not build(deepfashion, annotations, tmp_path, on_bad="skip").valid[3]
    monkeypatch.undo()
    assert build(deepfashion, annotations, tmp_path, on_bad="skip").valid.all()


def test_pixels_are_built_anew_where_the_identity_of_the_data_moves(deepfashion, annotations, tmp_path, make_photo, monkeypatch):
    monkeypatch.setattr("datasets._index._SAMPLE", 2)
    before = np.array(build(deepfashion, annotations, tmp_path).pixels)
    make_photo(deepfashion.root / "Img" / deepfashion.paths[9], 999, width=80, height=60)  # not in the sample
    assert np.array_equal(build(deepfashion, annotations, tmp_path).pixels, before)
    after = build(deepfashion, annotations, tmp_path, on_bad="skip").pixels  # where all sizes are part of the identity
    assert [row for row in range(20) if not np.array_equal(before[row], after[row])] == [9]


def test_images_are_read_where_the_system_lacks_calls_of_linux(deepfashion, annotations, tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.delattr(os, "sched_getaffinity")
    assert build(deepfashion, annotations, tmp_path).valid.all()


def test_replaced_images_are_read_anew(deepfashion, annotations, tmp_path, make_photo):
    before = np.array(build(deepfashion, annotations, tmp_path).pixels)
    make_photo(deepfashion.root / "Img" / deepfashion.paths[9], 999, width=80, height=60)
    after = build(deepfashion, annotations, tmp_path).pixels
    assert [row for row in range(20) if not np.array_equal(before[row], after[row])] == [9]


def test_nothing_readable_is_an_error_even_when_skipping(deepfashion, annotations, tmp_path):
    for path in (deepfashion.root / "Img/img").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(BadDataError, match=r"^deepfashion: none of its 20 images can be read: Eval/list_eval_partition.txt:3: img/"):
        build(deepfashion, annotations, tmp_path, on_bad="skip")
    assert not list((tmp_path / "cache/pixels").glob("*-*/"))


def test_a_full_disk_is_an_error_with_its_size(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    (tmp_path / "pixels.npy").write_bytes(b"x" * 2**20)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no room for 0.0 GiB of pixels: No space left on device"):
        _reserve(tmp_path / "pixels.npy")


BUILDER = f"""
import sys; sys.path[:0] = [{str(ROOT)!r}]
import time
from pathlib import Path
from datasets import _images, deepfashion
from datasets._schema import Problems
root, cache, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
annotations = deepfashion.read(root, Problems())
plain = _images.decode
def slow(data, path):
    time.sleep(pause)
    print("decoded", flush=True)
    return plain(data, path)
_images.decode = slow
found = _images.pixel_cache(root, annotations, name="deepfashion", image_size=16, cache_dir=cache, content_hash="h")
print("sum", int(found.pixels.astype(int).sum()))
"""


def builder(deepfashion, tmp_path, pause):
    command = [sys.executable, "-c", BUILDER, str(deepfashion.root), str(tmp_path / "cache"), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_builder_killed_half_way_leaves_no_half_cache(deepfashion, annotations, tmp_path):
    with builder(deepfashion, tmp_path, 0.5) as process:
        assert process.stdout.readline() == "decoded\n"
        process.send_signal(signal.SIGKILL)
    assert list((tmp_path / "cache/pixels").glob(".*")) != []
    cache = build(deepfashion, annotations, tmp_path)
    reference = build(deepfashion, annotations, tmp_path, cache_dir=tmp_path / "other")
    assert np.array_equal(cache.pixels, reference.pixels)
    assert not list((tmp_path / "cache/pixels").glob(".*"))


def test_two_processes_at_once_build_one_cache(deepfashion, annotations, tmp_path):
    processes = [builder(deepfashion, tmp_path, 0.01) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    total = int(build(deepfashion, annotations, tmp_path).pixels.astype(int).sum())
    assert [lines[-1] for lines in outputs] == [f"sum {total}"] * 2
    assert sorted(len(lines) - 1 for lines in outputs) == [0, 20]


def test_damaged_looks_at_every_image_and_at_letter_case(deepfashion, annotations):
    messages = {row: spoil(deepfashion, row, how) for row, how in DAMAGE.items()}
    old = deepfashion.root / "Img" / deepfashion.paths[14]
    old.rename(old.with_name(old.name.upper()))
    name = deepfashion.paths[14]
    other = f"{name.rpartition('/')[0]}/{old.name.upper()}"
    messages[14] = f"{name} is spelled {other} on the disk; rename it, other systems tell them apart"
    assert list(damaged(deepfashion.root, annotations)) == [Problem(WHERE, row + 3, messages[row]) for row in sorted(messages)]


def test_letter_case_on_the_disk_does_not_matter_for_pixels(deepfashion, annotations, tmp_path):
    expected = np.array(build(deepfashion, annotations, tmp_path).pixels)
    for folder in sorted((deepfashion.root / "Img/img").iterdir()):
        folder.rename(folder.with_name(folder.name.swapcase()))
    assert np.array_equal(build(deepfashion, annotations, tmp_path, content_hash="again").pixels, expected)


@pytest.mark.parametrize(
    ("name", "expected"), [("darn", "darn"), ("folder:/a/B c", "B-c"), ("folder:x", "folder-x"), ("folder:/é/", "data")]
)
def test_slug(name, expected):
    assert slug(name) == expected


def test_faults_are_kept_as_json(deepfashion, annotations, tmp_path):
    spoil(deepfashion, 5, "empty")
    build(deepfashion, annotations, tmp_path, on_bad="skip")
    (folder,) = (tmp_path / "cache/pixels").glob("deepfashion-16-*/")
    assert [row for row, _ in json.loads((folder / "faults.json").read_text())] == [5]


def test_landmarks_by_hand():
    """A crop of 10 x 20 pixels at (5, 10): a pixel's landmark lies at its centre, and what the crop does not show is not visible."""
    landmarks = np.array([[[1, 5, 10], [1, 14, 29], [1, 4, 15], [1, 15, 15], [0, 8, 15], [1, 7, 30]]], np.int32)
    found = landmarks_seen(landmarks, np.array([[5, 10, 15, 30]], np.int32))
    assert found.dtype == np.float32
    expected = [[1, 0.5 / 10, 0.5 / 20], [1, 9.5 / 10, 19.5 / 20], [0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([10, 5, 20, 25], [10, 5, 20, 25]),
        ([-4, 5, 60, 25], [0, 5, 40, 25]),  # clipped to the picture of 40 x 30
        ([0, 0, 0, 0], [0, 0, 40, 30]),  # no box: all of it
        ([50, 0, 60, 10], [0, 0, 40, 30]),
    ],
)
def test_crops_are_kept_for_landmarks(deepfashion, annotations, tmp_path, box, expected):
    boxes, points = np.tile(np.array(box, np.int32), (20, 1)), np.ones((20, 8, 3), np.int32)
    for _ in ("built", "opened"):
        cache = build(deepfashion, replace(annotations, boxes=boxes, landmarks=points), tmp_path)
        assert cache.crops.tolist() == [expected] * 20
    assert build(deepfashion, replace(annotations, boxes=boxes), tmp_path, content_hash="other").crops is None


def test_a_landmark_of_a_rendered_photo_lies_where_it_was_put(tmp_path):
    """A dot painted on the file where the list says is the reddest place of the cached picture at the landmark's x and y."""
    import cv2

    from datasets.runway import render

    render(tmp_path, "deepfashion", num={"train": 40}, long_side=120, seed=0)
    found = loader.read(tmp_path, Problems())
    raw = {line.split()[0]: line.split()[2:] for line in (tmp_path / "Anno_coarse/list_landmarks.txt").read_text().splitlines()[2:]}
    checked = 0
    for row, path in enumerate(found.paths):
        values = list(map(int, raw[path]))
        shown = [(x, y) for visibility, x, y in zip(values[::3], values[1::3], values[2::3], strict=True) if visibility == 0]
        # the list's landmarks in its own order are those that were read, counted from 0
        assert [(x - 1, y - 1) for x, y in shown] == [(x, y) for visibility, x, y in found.landmarks[row].tolist() if visibility]
        picture = cv2.imread(str(tmp_path / "Img" / path)) // 4
        x1, y1, x2, y2 = found.boxes[row]
        inside = [(x, y) for x, y in shown if x1 + 3 < x < x2 - 3 and y1 + 3 < y < y2 - 3]
        if inside:
            x, y = inside[row % len(inside)]
            cv2.circle(picture, (x - 1, y - 1), 2, (0, 0, 255), -1)
            checked += 1
        assert cv2.imwrite(
            str(tmp_path / "Img" / path), picture, [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
        )
    assert checked > 20
    cache = pixel_cache(tmp_path, found, name="deepfashion", image_size=96, cache_dir=tmp_path / "cache", content_hash="h")
    seen = landmarks_seen(found.landmarks, cache.crops)
    near = 0
    for row in range(len(found)):
        red = cache.pixels[row, ..., 0].astype(float) - cache.pixels[row, ..., 1:].mean(axis=2)
        if red.max() > 120:
            rows, columns = np.nonzero(red > 0.7 * red.max())
            place = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) / 96
            near += np.abs(seen[row, :, 1:] - place)[seen[row, :, 0] == 1].max(axis=1).min() < 1.5 / 96
    assert near == checked
