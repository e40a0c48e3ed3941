"""fix_torchvision in processes of their own: what it does depends on what was imported before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(code: str, *path: Path) -> subprocess.CompletedProcess[str]:
    start = f"import sys; sys.path[:0] = {[str(part) for part in (*path, ROOT)]!r}\n"
    return subprocess.run([sys.executable, "-W", "error", "-c", start + code], capture_output=True, text=True, cwd="/", check=False)


@pytest.fixture
def fake_torchvision(tmp_path) -> Path:
    """A torchvision that fails like the real one until its operators are declared, and leaves a half-imported part behind."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "part.py").write_text("count = 0\n")
    (package / "__init__.py").write_text(
        "import torch\n"
        "from torchvision import part\n"
        "part.count += 1\n"
        "names = [schema.name for schema in torch._C._jit_get_all_schemas()]\n"
        "if 'torchvision::nms' not in names or 'torchvision::qnms' not in names:\n"
        "    raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    return tmp_path


def test_timm_runs_after_the_fix():
    done = run(
        "from bench.compat import fix_torchvision\n"
        "first, second = fix_torchvision(), fix_torchvision()\n"
        "import timm, torch\n"
        "model = timm.create_model('test_resnet', num_classes=3).eval()\n"
        "print(second, tuple(model(torch.zeros(1, 3, 64, 64)).shape))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "False (1, 3)"  # the second call had nothing to do


def test_declares_the_operators_and_imports_anew(fake_torchvision):
    done = run(
        "from bench.compat import fix_torchvision\n"
        "print(fix_torchvision(), fix_torchvision())\n"
        "import torchvision\n"
        "print(torchvision.part.count)",
        fake_torchvision,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "False", "1"]  # 1: the half-imported module was dropped


def test_does_nothing_where_torchvision_imports(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("")
    done = run("from bench.compat import fix_torchvision\nprint(fix_torchvision(), 'torch' in sys.modules)", tmp_path)
    assert done.stdout.split() == ["False", "False"], done.stderr


@pytest.mark.parametrize("failure", ["RuntimeError('something else')", "ImportError('no such file')"])
def test_other_failures_are_raised(tmp_path, failure):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(f"print('tried')\nraise {failure}")
    done = run("from bench.compat import fix_torchvision\nfix_torchvision()", tmp_path)
    assert (done.returncode, done.stdout) == (1, "tried\n")
    assert failure.split("'")[1] in done.stderr.splitlines()[-1]


def test_the_fix_waits_for_timm(fake_torchvision):
    (fake_torchvision / "timm.py").write_text("import torchvision")
    done = run(
        "from bench.compat import fix_torchvision_before_timm\n"
        "fix_torchvision_before_timm(); fix_torchvision_before_timm()\n"
        "print(len([finder for finder in sys.meta_path if 'BeforeTimm' in str(finder)]), 'torchvision' in sys.modules)\n"
        "import timm\n"
        "print(timm.torchvision.part.count, len([finder for finder in sys.meta_path if 'BeforeTimm' in str(finder)]))",
        fake_torchvision,
    )
    assert done.stdout.split() == ["1", "False", "1", "0"], done.stderr
