"""The files are read here by a small reader of the genuine format, which knows nothing of the writer."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets.runway import render, vocabulary

_NUM = {"train": 500, "val": 40, "test": 160}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("deepfashion")
    render(folder, "deepfashion", num=_NUM, long_side=48, seed=0)
    return folder


def _rows(root: Path, name: str, values: int | None = None) -> dict[str, list[str]]:
    """Name -> values, where the last `values` words are values; with None, all words after the first."""
    lines = (root / name).read_text().splitlines()
    assert int(lines[0]) == len(lines) - 2
    found = {}
    for line in lines[2:]:
        key, *rest = line.split() if values is None else [part.strip() for part in line.rsplit(None, values)]
        found[key] = rest
    assert len(found) == len(lines) - 2
    return found


def test_every_list_has_its_genuine_header(root):
    headers = {
        "Anno_coarse/list_attr_cloth.txt": ["attribute_name", "attribute_type"],
        "Anno_coarse/list_attr_img.txt": ["image_name", "attribute_labels"],
        "Anno_coarse/list_category_cloth.txt": ["category_name", "category_type"],
        "Anno_coarse/list_category_img.txt": ["image_name", "category_label"],
        "Anno_coarse/list_bbox.txt": ["image_name", "x_1", "y_1", "x_2", "y_2"],
        "Eval/list_eval_partition.txt": ["image_name", "evaluation_status"],
    }
    for name, header in headers.items():
        assert (root / name).read_text().splitlines()[1].split() == header
    landmarks = (root / "Anno_coarse/list_landmarks.txt").read_text().splitlines()[1].split()
    assert landmarks[:5] == ["image_name", "clothes_type", "landmark_visibility_1", "landmark_location_x_1", "landmark_location_y_1"]
    assert len(landmarks) == 2 + 3 * 8


def test_lists_name_the_same_images_and_the_images_are_there(root):
    images = set(_rows(root, "Eval/list_eval_partition.txt"))
    assert len(images) == sum(_NUM.values())
    for name in ("list_attr_img", "list_category_img", "list_bbox", "list_landmarks"):
        assert set(_rows(root, f"Anno_coarse/{name}.txt")) == images
    on_disk = {str(path.relative_to(root / "Img")) for path in (root / "Img").rglob("*.jpg")}
    assert on_disk == images
    assert all(len(Path(name).parts) == 3 and Path(name).name.startswith("img_0000") for name in images)


def test_partition_has_the_counts_asked_for(root):
    assert Counter(row[0] for row in _rows(root, "Eval/list_eval_partition.txt").values()) == _NUM


def test_attributes_and_categories_have_types_and_names_with_spaces(root):
    attributes = {name: int(kind[0]) for name, kind in _rows(root, "Anno_coarse/list_attr_cloth.txt", 1).items()}
    assert set(attributes.values()) == {1, 2, 3, 4, 5}
    assert 30 <= len(attributes) <= 60
    assert {"a-line", "v neck", "faux fur"} <= set(attributes)
    assert all(attributes[name] == 1 for name in vocabulary.SHARED_PATTERNS)
    categories = {name: int(kind[0]) for name, kind in _rows(root, "Anno_coarse/list_category_cloth.txt", 1).items()}
    assert set(categories.values()) == {1, 2, 3}
    assert 15 <= len(categories) <= 20
    ids = [int(row[0]) for row in _rows(root, "Anno_coarse/list_category_img.txt").values()]
    assert min(ids) >= 1
    assert max(ids) <= len(categories)


def _labels(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """int (N, A) labels and int (A,) types."""
    kinds = np.array([int(kind[0]) for kind in _rows(root, "Anno_coarse/list_attr_cloth.txt", 1).values()])
    labels = np.array([[int(value) for value in row] for row in _rows(root, "Anno_coarse/list_attr_img.txt").values()])
    assert labels.shape == (sum(_NUM.values()), len(kinds))
    return labels, kinds


def test_a_type_is_unknown_where_nothing_of_it_is_named(root):
    labels, kinds = _labels(root)
    assert set(np.unique(labels)) == {-1, 0, 1}
    for kind in range(1, 6):
        of_type = labels[:, kinds == kind]
        named = (of_type == 1).any(1)
        assert 0.35 < named.mean() < 0.8  # sparse
        assert (of_type[named] != 0).all()
        assert (of_type[~named] == 0).all()


def test_labels_are_sparse_and_long_tailed(root):
    labels, kinds = _labels(root)
    positive = labels == 1
    assert positive.sum(1).mean() == pytest.approx(3.3, abs=0.25)
    for kind in range(1, 6):
        counts = np.sort(positive[:, kinds == kind].sum(0))[::-1]
        assert counts[0] < 0.6 * counts.sum()
        assert counts[0] > 2 * counts[-1]
    counts = positive.sum(0)
    assert counts.max() > 8 * counts.min()


def test_boxes_lie_inside_and_hold_the_garment(root):
    for name, row in list(_rows(root, "Anno_coarse/list_bbox.txt").items())[:80]:
        height, width = cv2.imread(str(root / "Img" / name)).shape[:2]
        assert all(len(value) == 3 for value in row)
        x1, y1, x2, y2 = map(int, row)
        assert 1 <= x1 < x2 <= width
        assert 1 <= y1 < y2 <= height
        assert (x2 - x1) * (y2 - y1) > 0.08 * width * height


def test_landmarks_fit_the_type_of_clothes(root):
    for row in _rows(root, "Anno_coarse/list_landmarks.txt").values():
        assert len(row) - 1 == 3 * {"1": 6, "2": 4, "3": 8}[row[0]]
        assert {row[k] for k in range(1, len(row), 3)} <= {"0", "1", "2"}


def test_folder_names_tell_what_was_named(root):
    names = list(_rows(root, "Anno_coarse/list_attr_cloth.txt", 1))
    for image, row in list(_rows(root, "Anno_coarse/list_attr_img.txt").items())[:100]:
        folder = image.split("/")[1].lower()
        assert all(name.replace(" ", "_") in folder for name, value in zip(names, row, strict=True) if value == "1")
