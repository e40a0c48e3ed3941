"""Names from files, facts from their syntax trees."""

import pytest
from planted import forget, reread

from bench import registry

METHOD = '''"""A method for the tests."""

from dataclasses import dataclass

from methods.losses import {helper}


@dataclass(kw_only=True)
class Planted:
    """Words."""

    image_size: int = 8
    gamma: float = 1.0  # a comment

    PRESETS = {{"tiny": {{"gamma": 0.5}}}}
    ROWS = {{"a": {{}}, "b": {{"gamma": 2.0}}}}
    HEADLINE = ("b",)
'''


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A folder with methods of its own: planted, its helper, and a broken one."""
    (tmp_path / "methods" / "losses").mkdir(parents=True)
    (tmp_path / "methods" / "planted.py").write_text(METHOD.format(helper="planted_loss"))
    (tmp_path / "methods" / "losses" / "planted_loss.py").write_text("def loss(x):\n    return x + 1\n")
    (tmp_path / "methods" / "crooked.py").write_text("def (:\n")
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path))
    forget()
    yield tmp_path / "methods"
    forget()


def test_a_file_is_registered_by_its_name(plugins):
    assert "planted" in registry.names("methods")
    entry = registry.entry("methods", "planted")
    assert (entry.summary, entry.class_name) == ("A method for the tests.", "Planted")
    assert (entry.rows, entry.headline) == (("a", "b"), ("b",))
    assert entry.parameters["gamma"] == registry.Parameter("gamma", "float", 1.0)
    assert "PRESETS" not in entry.parameters


def test_an_init_with_keyword_only_arguments_serves_too(plugins):
    text = "class M:\n    PRESETS = {}\n    def __init__(self, *, image_size: int = 8, width: float = 2.0): ...\n"
    (plugins / "plain.py").write_text(text)
    assert registry.entry("methods", "plain").parameters["width"] == registry.Parameter("width", "float", 2.0)


def test_an_unknown_name_gets_the_nearest_one(plugins):
    with pytest.raises(registry.UnknownNameError) as caught:
        registry.entry("methods", "plantet")
    total = len(registry.names("methods"))
    assert str(caught.value) == f"no method 'plantet'; did you mean 'planted'? python -m bench list methods shows all {total}"


def test_a_syntax_error_breaks_only_its_own_entry(plugins):
    assert registry.entry("methods", "crooked").error == "methods/crooked.py:1: invalid syntax"
    assert registry.entry("methods", "planted").error == ""
    with pytest.raises(SyntaxError, match=r"methods/crooked\.py:1"):
        registry.method_class("crooked")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("class M:\n    pass\n", "no class in it sets PRESETS"),
        ("class M:\n    PRESETS = {}\n    width: int = 3\n", "M has no hyper-parameter image_size"),
        ("class M:\n    PRESETS = {}\n    image_size: int = max(1, 2)\n", "the default of image_size is not a literal"),
    ],
)
def test_an_incomplete_method_says_what_is_missing(plugins, text, error):
    (plugins / "partial.py").write_text(text)
    assert registry.entry("methods", "partial").error.startswith(f"methods/partial.py: {error}; docs/adding-a-method.md")


def hash_after(path, edit):
    path.write_text(edit(path.read_text()))
    reread()
    return registry.source_hash("methods", "planted")


def test_comments_layout_and_docstrings_do_not_move_the_hash(plugins):
    before = registry.source_hash("methods", "planted")
    path = plugins / "planted.py"
    assert hash_after(path, lambda text: text.replace("# a comment", "# another")) == before
    assert hash_after(path, lambda text: text.replace('"""Words."""', '"""Other words."""')) == before
    assert hash_after(path, lambda text: text.replace("\n\n\n", "\n\n\n\n")) == before


EVERY_KIND = r'''
import os
class A(B, metaclass=M):
    """Words."""
    a: int = 1
    @property
    def f(self, /, q, *args, k=1, **kw) -> int:
        return f"{self!r:>{q}.2f}" f"{q=}" "c" f"{{}}{k:{q}}" rf"\d{k}" f"{x:{{y}}}{z:}", {**d}, {*s}, (yield), lambda: 0, ...
    async def g(self):
        async for i in y:
            await z
        async with p as q, r:
            pass
        try:
            pass
        except* E as e:
            raise
def h():
    global G
    match v:
        case {"a": 1, **rest} | [1, *_] | C(x=1):
            del v[0]
        case _ if w:
            return b"\x00", u"kind", 1e-8, 1j, "\u00e9", None, -1, not a, a if b else c, a < b <= c, (t := 3), a @ b, [j for j in k if j]
f(*a, **b), print()
'''


def test_the_hash_is_the_same_on_every_python(plugins):
    """Later ones write other syntax trees: this was computed with 3.11."""
    (plugins / "every_kind.py").write_text(EVERY_KIND)
    reread()
    assert registry._module_hash("methods.every_kind", (0, 0, 0)) == "165abd02bbdc374fa112a1c7bbde55d317db3626805b7a461dcb00b9c6b11f42"


def test_code_and_helpers_move_the_hash(plugins):
    before = registry.source_hash("methods", "planted")
    changed = hash_after(plugins / "planted.py", lambda text: text.replace("gamma: float = 1.0", "gamma: float = 1.5"))
    assert changed != before
    helper = hash_after(plugins / "losses" / "planted_loss.py", lambda text: text.replace("+ 1", "+ 2"))
    assert helper != changed


def test_code_that_was_edited_between_planning_and_its_import_is_refused(plugins):
    """Its helper as much as the method's own file; what is edited after the import does no harm."""
    helper = plugins / "_beside.py"
    helper.write_text("def loss(x):\n    return x + 1\n")
    planned = hash_after(plugins / "planted.py", lambda text: text.replace("methods.losses import planted_loss", "methods import _beside"))
    helper.write_text("def loss(x):\n    return x + 22\n")
    with pytest.raises(registry.ChangedSourceError, match="of planted has changed since the sweep was planned; type the command again"):
        registry.check_source("planted", planned)
    today = hash_after(helper, lambda text: text)
    registry.check_source("planted", today)
    assert hash_after(plugins / "planted.py", lambda text: text.replace("gamma: float = 1.0", "gamma: float = 1.75")) != today
    registry.check_source("planted", today)


def test_code_that_was_edited_while_it_was_imported_is_refused(plugins):
    path = plugins / "planted.py"
    text = path.read_text().replace("from methods.losses import planted_loss", "")
    path.write_text(f"{text}\n\nwith open({str(path)!r}, 'a') as file:\n    file.write('LATER = 1')\n")
    reread()
    with pytest.raises(registry.ChangedSourceError):
        registry.check_source("planted", registry.source_hash("methods", "planted"))


def test_a_helper_that_nobody_imports_does_not_count(plugins):
    before = registry.source_hash("methods", "planted")
    (plugins / "losses" / "other.py").write_text("x = 1\n")
    reread()
    assert registry.source_hash("methods", "planted") == before


HEAD = "class M:\n    PRESETS = {'tiny': {'width': 2}, 'tiny/b': {'width': 3}, 'paper': {}}\n    ROWS = {'a': {}, 'b': {'width': 4}}\n"
INIT = "    def __init__(self, *, image_size: int = 8, width: int = 1, rate: float | None = None): ...\n"


def test_a_sound_method_has_no_fault(plugins):
    (plugins / "sound.py").write_text(HEAD + "    HEADLINE = ('a',)\n    TEACHER_PARAMS = ('width',)\n    SCORES = 'similarity'\n" + INIT)
    assert registry.entry("methods", "sound").error == ""


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("    def", "    HEADLINE = ('bb',)\n    def", "HEADLINE names 'bb', which is no row; did you mean 'b'?"),
        ("    def", "    HEADLINE = 'b'\n    def", "HEADLINE is to be a tuple"),
        ("'tiny':", "'tinny':", "PRESETS has 'tinny', but presets are tiny, paper, contract"),
        ("'tiny/b'", "'tiny/c'", "PRESETS has 'tiny/c', but no row 'c' is in ROWS"),
        (
            "'tiny': {'width': 2}",
            "'tiny': {'widht': 2}",
            "PRESETS['tiny'] changes 'widht', which is no hyper-parameter; did you mean 'width'?",
        ),
        ("'b': {'width': 4}", "'b': {'width': 'x'}", "ROWS['b'] sets width to 'x', but int is its type"),
        ("ROWS = {'a': {}, 'b': {'width': 4}}", "ROWS = ('a', 'b')", "ROWS is to be a dict of dicts"),
        ("ROWS = {'a': {}, 'b': {'width': 4}}", "ROWS = dict(a={})", "ROWS is no literal, and it is read from the source text"),
        ("    def", "    SCORES = 'similarty'\n    def", "SCORES is 'similarty', expected one of logits, similarity"),
        ("    def", "    TEACHER_PARAMS = ('backbon',)\n    def", "TEACHER_PARAMS names 'backbon', which is no hyper-parameter"),
        ("width: int = 1", "width: int = 'wide'", "the default of width is 'wide', but int is its type"),
    ],
)
def test_a_mistake_in_what_a_method_declares_is_named(plugins, old, new, error):
    text = (HEAD + INIT).replace(old, new)
    assert text != HEAD + INIT
    (plugins / "wrong.py").write_text(text)
    assert registry.entry("methods", "wrong").error.startswith(f"methods/wrong.py: {error}; docs/adding-a-method.md")


def test_a_file_whose_name_cannot_be_imported_breaks_only_itself(plugins):
    (plugins / "k-dash.py").write_text(HEAD + INIT)
    assert registry.entry("methods", "k-dash").error.startswith("methods/k-dash.py: its name is what it is known by, and 'k-dash' cannot")
    assert len(list(registry.entries("methods"))) == len(registry.names("methods"))


def test_two_files_of_one_name_are_named(plugins):
    (plugins / "supervised.py").write_text(HEAD + INIT)
    reread()
    assert registry.entry("methods", "supervised").error.startswith(f"methods/supervised.py is in {registry.ROOT / 'methods'} and in")
    reread()


def test_a_folder_of_plugins_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_PLUGINS", str(tmp_path / "none"))
    with pytest.raises(registry.UnknownNameError, match=f"BENCH_PLUGINS names {tmp_path}/none, which is no folder"):
        registry.names("methods")
