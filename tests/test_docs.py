"""The examples of the documentation do what it says."""

import re
import subprocess
import sys

from PIL import Image
from planted import ROOT, bench, environment


def example(page):
    """The first block of Python of a page."""
    return re.search(r"^```python\n(.*?)^```$", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[1]


def test_the_method_of_the_page_keeps_the_contract(tmp_path):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/prototypes.py").write_text(example("adding-a-method.md"))
    suite = [ROOT / "tests/methods/test_contract.py", "--plugins", tmp_path, "-k", "prototypes", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *map(str, suite)]
    found = subprocess.run(command, cwd=ROOT, env=environment(tmp_path, tmp_path), capture_output=True, text=True, timeout=240)
    assert found.returncode == 0, found.stdout + found.stderr
    assert re.search(r"^10 passed, \d+ deselected", found.stdout, re.MULTILINE), found.stdout


def test_the_data_set_of_the_page_is_read_and_its_faults_are_named(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/heels.py").write_text(example("adding-a-data-set.md"))
    root = tmp_path / "cache/data/heels"
    (root / "images").mkdir(parents=True)
    rows = []
    for number in range(24):
        Image.new("RGB", (32, 32), (10 * number, 60, 60)).save(root / f"images/{number}.png")
        rows.append(f"{number}.png {('train', 'train', 'val', 'test')[number % 4]} {('flat', 'block', 'stiletto', '-')[number % 3]}")
    (root / "list.txt").write_text("\n".join(rows) + "\n")
    found = bench("doctor", "heels", cwd=tmp_path, plugins=tmp_path)
    assert (found.returncode, found.stdout) == (0, "heels: ok\n"), found.stdout + found.stderr
    words = ("run", "--methods", "floor/prior", "--datasets", "heels", "--data", "real", "--severities", 0, "--store", tmp_path / "store")
    found = bench(*words, cwd=tmp_path, plugins=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    rows += ["../out.png train flat", "3.png train flat", "24.png train wedge", "24.png trian flat", "24.png"]
    (root / "list.txt").write_text("\n".join(rows) + "\n")
    found = bench("doctor", "heels", cwd=tmp_path, plugins=tmp_path)
    assert found.returncode == 1
    assert re.findall(r"list.txt:(\d+): (.*)", found.stdout) == [
        ("25", "'../out.png' leads out of the data set's folder"),
        ("26", "3.png is listed twice"),
        ("27", "heel is 'wedge', expected one of flat, block, stiletto, -"),
        ("28", "split is 'trian', expected one of train, val, test, unlabeled"),
        ("29", "1 fields, expected 3"),
    ]
