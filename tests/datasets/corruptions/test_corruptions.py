"""Corruptions: the same bytes whatever the order, the batch and the process, and those of the package that they come from."""

from __future__ import annotations

import hashlib
import multiprocessing
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from datasets import corruptions
from datasets.corruptions import BACKENDS, EXTRAS, NAMES, corrupt, is_compiled, seed_words, warm_up

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


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [32, 64])
def test_every_corruption_and_severity_runs(name, size, backend):
    images, keys = photographs(2, size)
    seen = set(digests(images))
    for severity in range(1, 6):
        result = corrupt(images, name, severity, keys, backend=backend)
        assert result.dtype == np.uint8
        assert result.shape == images.shape
        assert not np.shares_memory(result, images)
        assert seen.isdisjoint(digests(result))
        seen.update(digests(result))
    np.testing.assert_array_equal(images, photographs(2, size)[0])


@pytest.mark.parametrize("name", ALL)
def test_order_batches_and_threads_do_not_matter(name):
    images, keys = photographs(64, 32)
    whole = digests(corrupt(images, name, 3, keys))
    assert len(set(whole)) == 64
    for batch_size in (1, 7):
        parts = [
            corrupt(images[start : start + batch_size], name, 3, keys[start : start + batch_size]) for start in range(0, 64, batch_size)
        ]
        assert digests(np.concatenate(parts)) == whole
    order = np.random.default_rng(0).permutation(64)
    assert digests(corrupt(images[order], name, 3, keys[order])) == [whole[i] for i in order]
    assert digests(corrupt(images, name, 3, keys, threads=3)) == whole


@pytest.mark.parametrize("size", [(64, 64), (96, 48), (224, 224)])
def test_batches_that_the_kernels_split_give_the_same_bytes(size):
    images, keys = photographs(3, 224)
    images = np.concatenate([images[:, : size[0], : size[1]]] * 4)
    keys = np.arange(12, dtype=np.uint64)
    for name in ALL:
        whole = corrupt(images, name, 2, keys, threads=2)
        for n in (0, 7, 11):
            np.testing.assert_array_equal(corrupt(images[n : n + 1], name, 2, keys[n : n + 1])[0], whole[n], err_msg=name)


@pytest.mark.parametrize("name", [name for name in ALL if name != "glass_blur"])
def test_order_and_batches_do_not_matter_to_the_reference(name):
    images, keys = photographs(16, 32)
    whole = digests(corrupt(images, name, 3, keys, backend="reference"))
    for batch_size in (1, 7):
        starts = range(0, 16, batch_size)
        parts = [corrupt(images[i : i + batch_size], name, 3, keys[i : i + batch_size], backend="reference") for i in starts]
        assert digests(np.concatenate(parts)) == whole
    order = np.random.default_rng(0).permutation(16)
    assert digests(corrupt(images[order], name, 3, keys[order], backend="reference")) == [whole[i] for i in order]


def test_order_does_not_matter_to_the_reference_glass_blur():
    images, keys = photographs(4, 32)
    whole = digests(corrupt(images, "glass_blur", 2, keys, backend="reference"))
    assert digests(corrupt(images[::-1], "glass_blur", 2, keys[::-1], backend="reference")) == whole[::-1]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_worker_processes_give_the_same_bytes(num_workers):
    images, keys = photographs(24, 32)
    with ProcessPoolExecutor(num_workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {
            (name, start): pool.submit(corrupt, images[start : start + 8], name, 4, keys[start : start + 8])
            for start in (16, 0, 8)
            for name in ALL
        }
    for (name, start), job in jobs.items():
        assert digests(job.result()) == digests(corrupt(images, name, 4, keys))[start : start + 8]


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_process_and_thread_give_the_same_bytes(backend):
    names = ("gaussian_noise", "impulse_noise", "elastic_transform", "snow", "shot_noise")
    images, keys = photographs(6, 32)
    here = {name: digests(corrupt(images, name, 4, keys, backend=backend)) for name in names}
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda name: digests(corrupt(images, name, 4, keys, backend=backend)), names)) == list(here.values())
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
        "from test_corruptions import corrupt, digests, photographs\n"
        "images, keys = photographs(6, 32)\n"
        f"print({{name: digests(corrupt(images, name, 4, keys, backend={backend!r})) for name in reversed({names!r})}})"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str({name: here[name] for name in reversed(names)})
    assert done.stderr == ""


def test_key_corruption_severity_and_seed_each_change_the_noise():
    grey, keys = np.full((2, 32, 32, 3), 128, dtype=np.uint8), np.array([1, 2], dtype=np.uint64)
    for name in ("gaussian_noise", "impulse_noise"):
        for backend in BACKENDS:
            first, second = corrupt(grey, name, 3, keys, backend=backend)
            assert not np.array_equal(first, second)
    cases = [(1, "fog", 3), (2, "fog", 3), (1, "frost", 3), (1, "fog", 4), (2**64 - 1, "fog", 3), (1, "fog", 3, 1), (1, "fog", 3, 2)]
    words = [tuple(seed_words(*case)) for case in cases]
    assert len(set(words)) == 7
    assert seed_words(1, "fog", 3, 0) == seed_words(1, "fog", 3)
    assert all(len(case) == 8 and max(case) < 2**32 for case in words)


@pytest.mark.parametrize("name", ALL)
def test_the_reference_equals_the_package_under_the_same_seed(name, peer, monkeypatch):
    import skimage.util

    images, keys = photographs(2, 64)
    plain = skimage.util.random_noise
    for severity in (1, 5) if name == "glass_blur" else range(1, 6):
        ours = corrupt(images, name, severity, keys, backend="reference")
        for image, key, result in zip(images, keys, ours, strict=True):
            words = seed_words(int(key), name, severity)
            generator = np.random.default_rng(words)
            np.random.seed(words)
            with monkeypatch.context() as patch, np.errstate(all="ignore"):
                patch.setattr(skimage.util, "random_noise", lambda x, g=generator, **options: plain(x, rng=g, **options))
                expected = peer.corrupt(image, severity=severity, corruption_name=name)
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_spatter_without_drops_leaves_the_image(backend):
    grey = np.full((300, 32, 32, 3), 150, dtype=np.uint8)
    result = corrupt(grey, "spatter", 1, np.arange(300, dtype=np.uint64), backend=backend)
    untouched = (result == grey).all(axis=(1, 2, 3))
    assert 0 < untouched.sum() < 30
    assert result.any(axis=(1, 2, 3)).all()  # the package returns black


@pytest.mark.parametrize("backend", BACKENDS)
def test_callers_random_state_is_untouched(backend):
    images, keys = photographs(2, 32)
    np.random.seed(7)
    expected = np.random.random(3)
    np.random.seed(7)
    for name in ("gaussian_noise", "motion_blur", "impulse_noise", "frost"):
        corrupt(images, name, 2, keys, backend=backend)
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_any_layout_gives_the_same_bytes(tmp_path):
    """Read-only memory maps, slices and reversed images; the input is never written to."""
    images, keys = photographs(5, 48)
    expected = {name: corrupt(images, name, 1, keys) for name in ALL}
    stored = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, images.shape)
    stored[...] = images
    stored.flush()
    mapped, wide = np.load(tmp_path / "images.npy", mmap_mode="r"), np.zeros((5, 48, 96, 3), dtype=np.uint8)
    wide[:, :, ::2] = images
    for name in ALL:
        for given in (mapped, wide[:, :, ::2], images[:, ::-1][:, ::-1]):
            np.testing.assert_array_equal(corrupt(given, name, 1, keys), expected[name], err_msg=name)
    np.testing.assert_array_equal(mapped, images)
    np.testing.assert_array_equal(images, photographs(5, 48)[0])


def test_the_seed_is_another_axis():
    images, keys = photographs(2, 32)
    for backend in BACKENDS:
        plain, zero, one = (corrupt(images, "snow", 2, keys, backend=backend, **seed) for seed in ({}, {"seed": 0}, {"seed": 1}))
        np.testing.assert_array_equal(plain, zero)
        assert not np.array_equal(plain, one)


def test_no_corruption_returns_the_input():
    images, keys = photographs(2, 32)
    assert corrupt(images, "fog", 0, keys) is images
    assert corrupt(images, "none", 3, keys) is images
    small = images[:, :8, :8]
    assert corrupt(small, "none", 0, keys) is small


def test_a_batch_without_images():
    for backend in BACKENDS:
        none = corrupt(np.empty((0, 32, 32, 3), dtype=np.uint8), "fog", 1, np.empty(0, dtype=np.uint64), backend=backend)
        assert none.shape == (0, 32, 32, 3)


def test_errors():
    images, keys = photographs(2, 32)
    with pytest.raises(KeyError, match="no corruption 'fogg'; did you mean 'fog'\\? python -m bench list corruptions shows all 19"):
        corrupt(images, "fogg", 0, keys)
    for severity in (6, -1, 2.5, "3"):
        with pytest.raises(ValueError, match=f"severity {severity!r}: expected 0"):
            corrupt(images, "fog", severity, keys)
    with pytest.raises(ValueError, match="images of 32x31 pixels: corruptions need at least 32x32"):
        corrupt(images[:, :, :31], "fog", 1, keys)
    with pytest.raises(KeyError, match="no corruption backend 'nativ'; did you mean 'native'\\?"):
        corrupt(images, "fog", 0, keys, backend="nativ")
    with pytest.raises(ValueError, match="threads 0: expected 1 or more"):
        corrupt(images, "fog", 1, keys, threads=0)
    with pytest.raises(KeyError, match="no corruption 'fogg'; did you mean 'fog'"):
        warm_up(["fogg"])
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
        "print([name for name in ('numpy', 'numba', 'cv2', 'skimage', 'scipy', 'PIL', 'torch') if name in sys.modules])\n"
        "import numpy as np, skimage.filters, skimage.util\n"
        "before = skimage.filters.gaussian, skimage.util.random_noise, np.random.get_state()[1].tolist()\n"
        "image, key = np.zeros((1, 32, 32, 3), np.uint8), np.zeros(1, np.uint64)\n"
        "datasets.corruptions.corrupt(image, 'impulse_noise', 1, key, backend='reference')\n"
        "print([name for name in sys.modules if name.startswith('imagecorruptions')], hasattr(np, 'float_'))\n"
        "print(sys.modules['pkg_resources'] is theirs, not hasattr(theirs, 'resource_filename'))\n"
        "print(before == (skimage.filters.gaussian, skimage.util.random_noise, np.random.get_state()[1].tolist()))\n"
        "print(sys.modules.get('scipy.ndimage.interpolation', np).__spec__ is not None)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (["[]", "[] False", "True True", "True", "True"], "")


def test_native_needs_neither_the_package_nor_scikit_image(tmp_path):
    """All but the textures: imagecorruptions is found but never imported, and skimage never asked for."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from datasets.corruptions import warm_up\n"
        "warm_up()\n"
        "print([name for name in ('imagecorruptions', 'skimage', 'torch') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert is_compiled()
