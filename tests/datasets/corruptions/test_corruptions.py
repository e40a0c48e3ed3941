"""Corruptions: the same bytes whatever the order, the batch and the process, and those of the package that they come from."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from datasets import corruptions
from datasets.corruptions import EXTRAS, NAMES, corrupt, seed_words

ROOT = Path(__file__).resolve().parents[3]
ALL = (*NAMES, *EXTRAS)


def photographs(count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth coloured blobs with some grain, and their keys."""
    rng = np.random.default_rng(size)
    rows, columns = np.mgrid[0:size, 0:size] / size
    phases = rng.uniform(0, 6, (count, 1, 1, 3))
    waves = np.sin(5 * rows[None, :, :, None] + phases) + np.cos(7 * columns[None, :, :, None] - phases)
    images = (127 + 50 * waves + rng.normal(0, 8, (count, size, size, 3))).clip(0, 255)
    return images.astype(np.uint8), rng.integers(0, 2**64, count, dtype=np.uint64)


def digests(images: np.ndarray) -> list[str]:
    return [hashlib.sha256(image.tobytes()).hexdigest() for image in images]


@pytest.fixture(scope="module")
def peer() -> Iterator[ModuleType]:
    """imagecorruptions itself, imported with the least that it needs; undone afterwards."""
    import skimage.filters

    patch = pytest.MonkeyPatch()
    pkg_resources = ModuleType("pkg_resources")
    pkg_resources.resource_filename = lambda _, path: str(Path(functions.__file__).parent / path)
    patch.setitem(sys.modules, "pkg_resources", pkg_resources)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import imagecorruptions
    functions = sys.modules["imagecorruptions.corruptions"]
    plain = skimage.filters.gaussian
    patch.setattr(
        functions, "gaussian", lambda x, *a, multichannel=False, **o: plain(x, *a, channel_axis=-1 if multichannel else None, **o)
    )
    patch.setattr(np, "float_", np.float64, raising=False)
    yield imagecorruptions
    patch.undo()
    for name in ("imagecorruptions", "imagecorruptions.corruptions"):
        del sys.modules[name]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [32, 64])
def test_every_corruption_and_severity_runs(name, size):
    images, keys = photographs(2, size)
    seen = set(digests(images))
    for severity in range(1, 6):
        result = corrupt(images, name, severity, keys)
        assert result.dtype == np.uint8
        assert result.shape == images.shape
        assert not np.shares_memory(result, images)
        assert seen.isdisjoint(digests(result))
        seen.update(digests(result))
    np.testing.assert_array_equal(images, photographs(2, size)[0])


@pytest.mark.parametrize("name", [name for name in ALL if name != "glass_blur"])
def test_order_and_batches_do_not_matter(name):
    images, keys = photographs(64, 32)
    whole = digests(corrupt(images, name, 3, keys))
    for batch_size in (1, 7):
        parts = [
            corrupt(images[start : start + batch_size], name, 3, keys[start : start + batch_size]) for start in range(0, 64, batch_size)
        ]
        assert digests(np.concatenate(parts)) == whole
    order = np.random.default_rng(0).permutation(64)
    assert digests(corrupt(images[order], name, 3, keys[order])) == [whole[i] for i in order]


def test_order_does_not_matter_to_glass_blur():
    images, keys = photographs(4, 32)
    whole = digests(corrupt(images, "glass_blur", 2, keys))
    assert digests(corrupt(images[::-1], "glass_blur", 2, keys[::-1])) == whole[::-1]


def test_another_process_and_thread_give_the_same_bytes():
    from concurrent.futures import ThreadPoolExecutor

    names = ("gaussian_noise", "impulse_noise", "elastic_transform", "snow", "shot_noise")
    images, keys = photographs(6, 32)
    here = {name: digests(corrupt(images, name, 4, keys)) for name in names}
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda name: digests(corrupt(images, name, 4, keys)), names)) == list(here.values())
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
        "from test_corruptions import corrupt, digests, photographs\n"
        "images, keys = photographs(6, 32)\n"
        f"print({{name: digests(corrupt(images, name, 4, keys)) for name in reversed({names!r})}})"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str({name: here[name] for name in reversed(names)})
    assert done.stderr == ""


def test_key_corruption_and_severity_each_change_the_noise():
    grey, keys = np.full((2, 32, 32, 3), 128, dtype=np.uint8), np.array([1, 2], dtype=np.uint64)
    for name in ("gaussian_noise", "impulse_noise"):
        first, second = corrupt(grey, name, 3, keys)
        assert not np.array_equal(first, second)
    words = [tuple(seed_words(*case)) for case in [(1, "fog", 3), (2, "fog", 3), (1, "frost", 3), (1, "fog", 4), (2**64 - 1, "fog", 3)]]
    assert len(set(words)) == 5
    assert all(len(case) == 8 and max(case) < 2**32 for case in words)


@pytest.mark.parametrize("name", ALL)
def test_equals_the_package_under_the_same_seed(name, peer, monkeypatch):
    import skimage.util

    images, keys = photographs(2, 64)
    plain = skimage.util.random_noise
    for severity in (1, 5) if name == "glass_blur" else range(1, 6):
        ours = corrupt(images, name, severity, keys)
        for image, key, result in zip(images, keys, ours, strict=True):
            words = seed_words(int(key), name, severity)
            generator = np.random.default_rng(words)
            np.random.seed(words)
            with monkeypatch.context() as patch, np.errstate(all="ignore"):
                patch.setattr(skimage.util, "random_noise", lambda x, g=generator, **options: plain(x, rng=g, **options))
                expected = peer.corrupt(image, severity=severity, corruption_name=name)
            np.testing.assert_array_equal(result, expected)


def test_a_spatter_without_drops_leaves_the_image():
    grey = np.full((300, 32, 32, 3), 150, dtype=np.uint8)
    result = corrupt(grey, "spatter", 1, np.arange(300, dtype=np.uint64))
    untouched = (result == grey).all(axis=(1, 2, 3))
    assert 0 < untouched.sum() < 30
    assert result.any(axis=(1, 2, 3)).all()  # the package returns black


def test_callers_random_state_is_untouched():
    images, keys = photographs(2, 32)
    np.random.seed(7)
    expected = np.random.random(3)
    np.random.seed(7)
    for name in ("gaussian_noise", "motion_blur", "impulse_noise", "frost"):
        corrupt(images, name, 2, keys)
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_no_corruption_returns_the_input():
    images, keys = photographs(2, 32)
    assert corrupt(images, "fog", 0, keys) is images
    assert corrupt(images, "none", 3, keys) is images
    small = images[:, :8, :8]
    assert corrupt(small, "none", 0, keys) is small


def test_a_batch_without_images():
    assert corrupt(np.empty((0, 32, 32, 3), dtype=np.uint8), "fog", 1, np.empty(0, dtype=np.uint64)).shape == (0, 32, 32, 3)


def test_errors():
    images, keys = photographs(2, 32)
    with pytest.raises(KeyError, match="no corruption 'fogg'; did you mean 'fog'\\? python -m bench list corruptions shows all 19"):
        corrupt(images, "fogg", 0, keys)
    for severity in (6, -1, 2.5, "3"):
        with pytest.raises(ValueError, match=f"severity {severity!r}: expected 0"):
            corrupt(images, "fog", severity, keys)
    with pytest.raises(ValueError, match="images of 32x31 pixels: corruptions need at least 32x32"):
        corrupt(images[:, :, :31], "fog", 1, keys)
    with pytest.raises(ValueError, match="1 keys for 2 images"):
        corrupt(images, "fog", 1, keys[:1])
    with pytest.raises(ValueError, match=r"images float64 \(2, 32, 32, 3\): expected uint8"):
        corrupt(images / 255, "fog", 1, keys)


def test_names():
    assert len(set(NAMES)) == 15
    assert len({*NAMES, *EXTRAS}) == 19
    assert corruptions.NONE not in ALL


def test_importing_is_light_and_using_leaves_nothing_behind():
    code = (
        f"import sys, types; sys.path.insert(0, {str(ROOT)!r})\n"
        "theirs = sys.modules['pkg_resources'] = types.ModuleType('pkg_resources')\n"
        "import datasets.corruptions\n"
        "print([name for name in ('numpy', 'cv2', 'skimage', 'scipy', 'PIL', 'torch') if name in sys.modules])\n"
        "import numpy as np, skimage.filters, skimage.util\n"
        "before = skimage.filters.gaussian, skimage.util.random_noise, np.random.get_state()[1].tolist()\n"
        "datasets.corruptions.corrupt(np.zeros((1, 32, 32, 3), np.uint8), 'impulse_noise', 1, np.zeros(1, np.uint64))\n"
        "print([name for name in sys.modules if name.startswith('imagecorruptions')], hasattr(np, 'float_'))\n"
        "print(sys.modules['pkg_resources'] is theirs, not hasattr(theirs, 'resource_filename'))\n"
        "print(before == (skimage.filters.gaussian, skimage.util.random_noise, np.random.get_state()[1].tolist()))\n"
        "print(sys.modules.get('scipy.ndimage.interpolation', np).__spec__ is not None)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (["[]", "[] False", "True True", "True", "True"], "")
