"""Methods and data sets by file name. Listing reads source text only; importing waits until something is to run."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import declared

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("methods", "datasets")
PROJECT_PACKAGES = ("bench", "methods", "datasets", "slurm")
_MARKER = "PRESETS"  # the class of a method file whose body sets this name is the method
_LATER_FIELDS = ("type_params", "is_lazy")  # of syntax trees, since 3.12 and 3.15
_CONSTANTS = (_MARKER, "ROWS", "HEADLINE", "TEACHER_PARAMS", "SCORES", "PAPER")
_imported: dict[str, str] = {}  # module -> hash of its file when this process imported it, empty where it changed at that moment
_Stamp = tuple[int, int, int]  # of a file: when it was last written, its size, its inode


class UnknownNameError(KeyError):
    """A name that is not registered; the text offers the nearest one."""

    def __str__(self) -> str:
        return str(self.args[0])


class ChangedSourceError(ValueError):
    """This process has imported other code of a method than its key stands for."""


@dataclass(frozen=True)
class Parameter:
    """A hyper-parameter: its annotation as written, and its default."""

    name: str
    annotation: str
    default: Any


@dataclass(frozen=True)
class Entry:
    """What a file's source text says of itself. error is empty unless the file cannot be read."""

    kind: str
    name: str
    path: Path
    summary: str = ""
    error: str = ""
    constants: Mapping[str, Any] = field(default_factory=dict)
    class_name: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[str, ...]:
        """The method's variants; ("",) where it has only itself."""
        return tuple(self.constants.get("ROWS", ())) or ("",)

    @property
    def headline(self) -> tuple[str, ...]:
        """The rows that `all` means."""
        return tuple(self.constants.get("HEADLINE", self.rows))


def roots() -> list[Path]:
    """The project's folder, then those named by BENCH_PLUGINS, each with a methods/ or datasets/ of its own. Raises UnknownNameError
    where one of them is no folder."""
    return _roots(os.environ.get("BENCH_PLUGINS", ""))


@cache
def _roots(plugins: str) -> list[Path]:
    found = [Path(part).resolve() for part in plugins.split(os.pathsep) if part]
    for folder in found:
        if not folder.is_dir():
            raise UnknownNameError(f"BENCH_PLUGINS names {folder}, which is no folder")
    return [ROOT, *found]


def names(kind: str) -> list[str]:
    """Registered names of a kind, sorted."""
    return sorted({path.stem for root in roots() for path in (root / kind).glob("*.py") if not path.stem.startswith("_")})


def entries(kind: str) -> Iterator[Entry]:
    """Every registered entry of a kind, broken ones too."""
    for name in names(kind):
        yield entry(kind, name)


def entry(kind: str, name: str) -> Entry:
    """One entry, read from its source text. Raises UnknownNameError with the nearest name."""
    return _read(kind, name)


def unknown(what: str, name: str, known: list[str], listing: str) -> str:
    """The message for a name that nobody knows."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"no {what} {name!r}{hint} python -m bench {listing} shows all {len(known)}"


def load(kind: str, name: str) -> ModuleType:
    """Imports the module of a name. Whatever its import raises is raised."""
    entry(kind, name)
    package = importlib.import_module(kind)
    package.__path__.extend(str(root / kind) for root in roots() if str(root / kind) not in package.__path__)
    return _import(f"{kind}.{name}")


def _import(module: str) -> ModuleType:
    """Imports a module, and notes of the project's modules that come with it what their files held just before."""
    if module in _imported:
        return importlib.import_module(module)
    stamps = {each: stamp for each, stamp in _closure(module).items() if each not in _imported}
    hashes = {each: _module_hash(each, stamp) for each, stamp in stamps.items()}
    try:
        return importlib.import_module(module)
    finally:
        for each in stamps.keys() & sys.modules.keys():
            _imported[each] = hashes[each] if _stamp(each) == stamps[each] else ""


def load_part(module: str) -> ModuleType:
    """Imports a module that serves all entries of a kind, such as datasets._open."""
    return importlib.import_module(module)


def method_class(name: str) -> type:
    """The class of a method, imported. Raises SyntaxError or ImportError where its file is broken."""
    found = entry("methods", name)
    if found.error:
        raise SyntaxError(found.error)
    found_class: type = getattr(load("methods", name), found.class_name)
    return found_class


def check_source(method: str, planned: str) -> None:
    """Raises ChangedSourceError where the code of a method that this process runs has another source_hash than the planned one; and
    whatever its import raises. A file that cannot be read is left to method_class."""
    if not entry("methods", method).error and _imported_hash(method) != planned:
        raise ChangedSourceError(f"the source of {method} has changed since the sweep was planned; type the command again")


@cache
def source_hash(kind: str, name: str) -> str:
    """sha256 over the syntax trees of a file and of the project's modules that it imports, directly or not; comments,
    layout and docstrings do not count. An unreadable file counts with its bytes."""
    return _combined({module: _module_hash(module, stamp) for module, stamp in _closure(f"{kind}.{name}").items()})


@cache
def _imported_hash(method: str) -> str:
    """The source_hash of a method as this process has imported it, whatever its files hold by now."""
    load("methods", method)
    found = _closure(f"methods.{method}")
    return _combined({module: _imported[module] if module in _imported else _module_hash(module, found[module]) for module in found})


def _combined(hashes: Mapping[str, str]) -> str:
    digest = hashlib.sha256()
    for module in sorted(hashes):
        digest.update(f"{module}={hashes[module]}\n".encode())
    return digest.hexdigest()


def _closure(module: str) -> dict[str, _Stamp]:
    """The module and those of the project that it imports, directly or not, each with the stamp of its file."""
    found, todo = dict[str, _Stamp](), [module]
    while todo:
        current = todo.pop()
        if current not in found and (stamp := _stamp(current)) is not None:
            found[current] = stamp
            todo.extend(_imports(current, stamp))
    return found


def _stamp(module: str) -> _Stamp | None:
    path = _module_path(module)
    if path is None:
        return None
    now = path.stat()
    return now.st_mtime_ns, now.st_size, now.st_ino


def _module_path(module: str) -> Path | None:
    for root in roots():
        base = root.joinpath(*module.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def _imports(module: str, stamp: _Stamp) -> tuple[str, ...]:
    """What a module imports, as its file is at a stamp."""
    path = _module_path(module)
    assert path is not None
    try:
        tree = _tree(path)
    except (SyntaxError, ValueError):
        return ()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return tuple(name for name in found if name.split(".")[0] in PROJECT_PACKAGES)


@cache
def _module_hash(module: str, stamp: _Stamp) -> str:
    """The hash of a module alone, as its file is at a stamp."""
    path = _module_path(module)
    assert path is not None
    try:
        tree = _tree(path)
    except (SyntaxError, ValueError):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return hashlib.sha256(_dump(tree).encode()).hexdigest()


def _dump(node: object) -> str:
    """A syntax tree as ast.dump of Python 3.11 writes it. Keys rest on it, and each later Python writes, or parses, something else."""
    if isinstance(node, list):
        return f"[{', '.join(map(_dump, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    written = []
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.JoinedStr):  # 3.12 leaves empty texts beside what stands in a format
            value = [each for each in value if not isinstance(each, ast.Constant) or each.value]
        is_literal = name == "value" and isinstance(node, ast.Constant | ast.MatchSingleton)  # None is one
        if (value is not None or is_literal) and (value or name not in _LATER_FIELDS):
            written.append(f"{name}={_dump(value)}")
    return f"{type(node).__name__}({', '.join(written)})"


@cache
def _read(kind: str, name: str) -> Entry:
    known = names(kind)
    if name in known and not name.isidentifier():
        error = f"{kind}/{name}.py: its name is what it is known by, and {name!r} cannot be imported; letters, digits and _ can"
        return Entry(kind, name, ROOT / kind / f"{name}.py", error=error)
    path = _module_path(f"{kind}.{name}") if name in known else None
    if path is None:
        raise UnknownNameError(unknown(kind.removesuffix("s").replace("dataset", "data set"), name, known, f"list {kind}"))
    places = [str(root / kind) for root in roots() if (root / kind / f"{name}.py").is_file()]
    if len(places) > 1:
        return Entry(kind, name, path, error=f"{kind}/{name}.py is in {' and in '.join(places)}; rename one")
    try:
        tree = _tree(path)
    except (SyntaxError, ValueError) as broken:
        where = f"{kind}/{name}.py:{getattr(broken, 'lineno', 0)}"
        return Entry(kind, name, path, error=f"{where}: {getattr(broken, 'msg', broken)}")
    summary = (ast.get_docstring(tree) or "").partition("\n")[0]
    if kind != "methods":
        return Entry(kind, name, path, summary, constants=_literals(tree.body))
    try:
        return _read_method(tree, name, path, summary)
    except ValueError as wrong:
        error = f"methods/{name}.py: {wrong}; docs/adding-a-method.md shows a file that is complete"
        return Entry(kind, name, path, summary, error=error)


def _read_method(tree: ast.Module, name: str, path: Path, summary: str) -> Entry:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and _MARKER in (constants := _literals(node.body)):
            if lost := _assigned(node.body).keys() & set(_CONSTANTS) - constants.keys():
                raise ValueError(f"{min(lost)} is no literal, and it is read from the source text")
            parameters = _parameters(node)
            if "image_size" not in parameters:
                raise ValueError(f"{node.name} has no hyper-parameter image_size")
            if wrong := declared.fault(constants, {each.name: (each.annotation, each.default) for each in parameters.values()}):
                raise ValueError(wrong)
            return Entry("methods", name, path, summary, "", constants, node.name, parameters)
    raise ValueError(f"no class in it sets {_MARKER}")


def _literals(body: list[ast.stmt]) -> dict[str, Any]:
    """Upper-case names that are set to literals."""
    found = {}
    for name, value in _assigned(body).items():
        with suppress(ValueError, TypeError):
            found[name] = ast.literal_eval(value)
    return found


def _assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """Upper-case names that are set to something."""
    found = {}
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id.isupper() and isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            found[target.id] = node.value
    return found


def _parameters(node: ast.ClassDef) -> dict[str, Parameter]:
    """The keyword-only arguments of __init__, or the fields of a dataclass."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            pairs = zip(item.args.kwonlyargs, item.args.kw_defaults, strict=True)
            return {arg.arg: _parameter(arg.arg, arg.annotation, default) for arg, default in pairs}
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return {
        item.target.id: _parameter(item.target.id, item.annotation, item.value)  # type: ignore[union-attr]
        for item in fields
        if not item.target.id.isupper() and item.value is not None  # type: ignore[union-attr]
    }


def _parameter(name: str, annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    try:
        return Parameter(name, ast.unparse(annotation) if annotation else "", ast.literal_eval(default) if default else None)
    except ValueError:
        raise ValueError(f"the default of {name} is not a literal") from None
