"""Names from files, facts from their syntax trees."""

import pytest

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
    clear()
    yield tmp_path / "methods"
    clear()


def clear():
    for cached in (registry.source_hash, registry._imports, registry._module_hash, registry._read):
        cached.cache_clear()


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
    clear()
    return registry.source_hash("methods", "planted")


def test_comments_layout_and_docstrings_do_not_move_the_hash(plugins):
    before = registry.source_hash("methods", "planted")
    path = plugins / "planted.py"
    assert hash_after(path, lambda text: text.replace("# a comment", "# another")) == before
    assert hash_after(path, lambda text: text.replace('"""Words."""', '"""Other words."""')) == before
    assert hash_after(path, lambda text: text.replace("\n\n\n", "\n\n\n\n")) == before


def test_code_and_helpers_move_the_hash(plugins):
    before = registry.source_hash("methods", "planted")
    changed = hash_after(plugins / "planted.py", lambda text: text.replace("gamma: float = 1.0", "gamma: float = 1.5"))
    assert changed != before
    helper = hash_after(plugins / "losses" / "planted_loss.py", lambda text: text.replace("+ 1", "+ 2"))
    assert helper != changed


def test_a_helper_that_nobody_imports_does_not_count(plugins):
    before = registry.source_hash("methods", "planted")
    (plugins / "losses" / "other.py").write_text("x = 1\n")
    clear()
    assert registry.source_hash("methods", "planted") == before
