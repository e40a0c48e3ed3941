"""Small data sets in each official layout, written here line by line and not by the renderer."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from bench.protocol import DataOptions

ATTRIBUTES = [("a-line", 3), ("abstract print", 1), ("denim", 2), ("crew neck", 4), ("boho", 5), ("dotted", 1)]
CATEGORIES = ["Anorak", "Tee", "Cape", "Dress"]  # no image is a Cape
SPLIT_CYCLE = ["train", "train", "train", "val", "test"]


def photo(path: Path, seed: int, width: int = 40, height: int = 30) -> np.ndarray:
    """A smooth random picture written as JPEG or PNG; returns it as RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    assert cv2.imwrite(str(path), image[..., ::-1])
    return image


def official_list(path: Path, rows: list[str], count: int | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([str(len(rows) if count is None else count), "image_name  something", *rows]) + "\n")


class DeepFashion:
    """Twenty images: attribute k of image i is 1, -1 or 0 by (i + k) % 3, its category is Anorak, Tee or Dress by i % 3."""

    def __init__(self, root: Path, anno: str = "Anno_coarse", num: int = 20) -> None:
        self.root, self.anno = root, root / anno
        self.paths = [f"img/Women's_Blouse_No.{i // 4}/img_{i:08d}.jpg" for i in range(num)]
        self.pictures = [photo(root / "Img" / path, i) for i, path in enumerate(self.paths)]
        self.values = [[(1, -1, 0)[(i + k) % 3] for k in range(len(ATTRIBUTES))] for i in range(num)]
        official_list(self.anno / "list_attr_cloth.txt", [f"{name:<30}{kind}" for name, kind in ATTRIBUTES])
        official_list(self.anno / "list_category_cloth.txt", [f"{name:<20} 1" for name in CATEGORIES])
        self.write("list_attr_img.txt", [" ".join(f"{value:2d}" for value in row) for row in self.values])
        self.write("list_category_img.txt", [str((1, 2, 4)[i % 3]) for i in range(num)])
        self.write("list_bbox.txt", [f"{1 + i % 5:03d} 003 020 025" for i in range(num)])
        official_list(root / "Eval/list_eval_partition.txt", [f"{path:<60} {SPLIT_CYCLE[i % 5]}" for i, path in enumerate(self.paths)])

    def write(self, name: str, values: list[str]) -> None:
        official_list(self.anno / name, [f"{path:<60} {value}" for path, value in zip(self.paths, values, strict=True)])

    def edit(self, name: str, line: int, text: str | None) -> None:
        """Replaces one line (1-based) of a list, or takes it away."""
        path = self.root / "Eval" / name if "partition" in name else self.anno / name
        lines = path.read_text().splitlines()
        lines[line - 1 : line] = [] if text is None else [text]
        path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def data_root(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def options(tmp_path, data_root):
    return DataOptions(data_root, tmp_path / "cache", data="real")


@pytest.fixture
def deepfashion(data_root):
    return DeepFashion(data_root / "deepfashion")


@pytest.fixture
def make_deepfashion():
    return DeepFashion


@pytest.fixture
def make_photo():
    return photo
