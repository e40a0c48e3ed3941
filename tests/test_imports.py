"""Who may import whom (docs/architecture.md), and what stays unimported until it is needed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "methods", "datasets", "slurm")


def imported(source: str, module: str) -> set[str]:
    """Project modules that a source text imports, relative imports resolved against the module's own name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in (*PACKAGES, "results")}


def allowed(module: str, target: str) -> bool:
    """The directions of the design. module and target are dotted names; target may end in a name inside a module."""
    parts, package = module.split("."), module.split(".")[0]

    def within(*names: str) -> bool:
        return any(target == name or target.startswith(f"{name}.") for name in names)

    if target.split(".")[0] == "results":
        return False
    if package == "methods" and len(parts) > 1 and parts[1] in ("losses", "parts"):
        return within("methods.losses", "methods.parts")
    if package == "methods":
        return within("bench.protocol", "bench.registry", "methods.losses", "methods.parts")
    if package == "datasets" and len(parts) > 1 and parts[1] == "runway":
        return within("bench.protocol", "datasets.runway")
    if package == "datasets":
        return within("bench.protocol", "bench.registry", "datasets.runway", "datasets.corruptions") or target.startswith("datasets._")
    if package == "bench":
        return package == target.split(".")[0]
    of_slurm = ("bundles", "costs", "launchers", "leases", "protocol", "registry", "spec", "stages", "stopping", "store", "toml_files")
    return within("slurm", *(f"bench.{name}" for name in of_slurm))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def violations(path: Path, module: str) -> list[str]:
    return [f"{module} imports {name}" for name in sorted(imported(path.read_text(), module)) if not allowed(module, name)]


def test_every_import_goes_in_an_allowed_direction():
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(paths) > 20
    assert [line for path in paths for line in violations(path, module_name(path))] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("methods.new", "import methods.mtss"),
        ("methods.new", "from methods import mtss"),
        ("methods.new", "from . import mtss"),
        ("methods.new", "from bench.training import TrainingRun"),
        ("methods.losses.new", "from bench.protocol import Schema"),
        ("datasets.new", "from methods.mtss import MTSS"),
        ("datasets.new", "from datasets.darn import read"),
        ("bench.new", "import datasets._open"),
        ("bench.new", "def f():\n    from methods import mtss"),
        ("slurm.new", "from bench.plan import Stage"),
        ("methods.new", "import results.reference"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, module, source):
    path = tmp_path / "new.py"
    path.write_text(source)
    assert len(violations(path, module)) == 1


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], ("torch", "numpy", "pandas", "rich")),
        (["run", "--help"], ("torch", "numpy", "pandas", "rich")),
        (["data", "show", "--help"], ("torch", "numpy", "pandas", "rich")),
        (["clean"], ("torch", "numpy", "pandas", "rich")),
        (["list", "methods"], ("torch", "pandas", "timm")),
        (["status"], ("torch", "pandas", "timm")),
    ],
)
def test_a_command_leaves_heavy_packages_alone(arguments, unwanted, tmp_path):
    code = (
        "import sys; from bench.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        f"loaded = [name for name in {unwanted!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
