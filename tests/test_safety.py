"""Nothing that came from a disk is unpickled or evaluated: no source of ours even names what would."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bench", "methods", "datasets", "slurm")
UNPICKLING = ("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "yaml")
EVALUATING = ("eval", "exec", "compile", "__import__")


def dangers(source: str) -> list[str]:
    """What a source does that could run somebody else's code: `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [f"{node.lineno}: import {name}" for name in names if name.split(".")[0] in UNPICKLING]
        elif isinstance(node, ast.Call):
            found += [f"{node.lineno}: {problem}" for problem in call_dangers(node)]
    return found


def call_dangers(node: ast.Call) -> list[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    found = []
    if name in EVALUATING:
        found.append(name)
    if name == "torch.load" and given.get("weights_only") != "True":
        found.append("torch.load without weights_only=True")
    if given.get("allow_pickle", "False") != "False":
        found.append("allow_pickle")
    if given.get("shell", "False") != "False" or name in ("os.system", "os.popen"):
        found.append("a shell")
    if name.endswith("read_pickle") or name.endswith("DelayedSubmission.load"):
        found.append(name)
    return found


def test_no_source_unpickles_evaluates_or_starts_a_shell():
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(paths) > 100
    assert [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in dangers(path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import yaml",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "exec(code)",
        "subprocess.run(line, shell=True)",
        "os.system(line)",
        "pandas.read_pickle(path)",
    ],
)
def test_a_planted_danger_is_found(source):
    assert len(dangers(source)) == 1


def test_what_is_harmless_is_left_alone():
    harmless = (
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "model.eval()",
        "re.compile(x)",
        "run(a, shell=False)",
    )
    assert dangers("\n".join(harmless)) == []
