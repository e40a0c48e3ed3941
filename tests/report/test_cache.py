"""What is kept between reports: taken where the content is the same, made anew where it moved or the file is bad."""

import pytest

from bench.report import cache as module
from bench.report.cache import Cache, write_text


def test_the_same_content_is_not_computed_again(tmp_path):
    path, calls = tmp_path / "c.json", []

    def ask(content):
        cache = Cache(path)
        found = cache.of("x", content, lambda: calls.append(content) or [content, 1])
        cache.save()
        return found

    assert ask("a") == ask("a") == ["a", 1]
    assert calls == ["a"]
    assert ask("b") == ["b", 1]
    assert calls == ["a", "b"]


def test_other_code_is_other_content(tmp_path, monkeypatch):
    for version in ("one", "two"):
        monkeypatch.setattr(module, "code_version", lambda version=version: version)
        cache = Cache(tmp_path / "c.json")
        cache.of("x", 1, lambda: 2)
        cache.save()
        assert cache.made == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 3}', '{"x": [1]}'])
def test_a_damaged_cache_is_made_anew(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    assert Cache(tmp_path / "c.json").of("x", 1, lambda: 2) == 2


def test_what_nobody_asks_for_is_dropped_and_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    cache = Cache(tmp_path / "c.json")
    cache.of("x", 1, lambda: 2)
    cache.of("y", 1, lambda: 2)
    cache.save()
    again = Cache(tmp_path / "c.json")
    again.of("x", 1, lambda: 3)
    again.save()
    assert set(Cache(tmp_path / "c.json").before) == {"x"}
    (tmp_path / "file").write_text("")
    blocked = Cache(tmp_path / "file" / "c.json")
    assert blocked.of("x", 1, lambda: 2) == 2
    blocked.save()


def test_a_text_that_is_there_already_is_left_alone(tmp_path):
    path = tmp_path / "a" / "t.md"
    write_text(path, "one")
    stamp = path.stat().st_mtime_ns, path.stat().st_ino
    write_text(path, "one")
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == stamp
    write_text(path, "two")
    assert path.read_text() == "two"
