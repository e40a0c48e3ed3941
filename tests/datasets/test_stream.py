import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.protocol import BadDataError
from datasets import _stream
from datasets._schema import Problems

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def elements(path):
    return list(_stream.elements(path.parent, path.name, Problems()))


@given(found=st.dictionaries(st.text(max_size=4), VALUES, max_size=5), chunk=st.integers(1, 40), indent=st.sampled_from([None, 1]))
def test_the_same_elements_as_the_whole_file_read_at_once(tmp_path_factory, found, chunk, indent):
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(json.dumps(found, indent=indent, ensure_ascii=False), encoding="utf-8")
    expected = [(name, i, value) for name, values in found.items() if isinstance(values, list) for i, value in enumerate(values)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_stream, "_CHUNK", chunk)
        assert elements(path) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": [1,\n2,\n', "x.json:3: is no sound JSON: Expecting value; the file may be cut off, fetch it again"),
        ('{"a": [1,\n{"b": 2', "x.json:2: is no sound JSON: Expecting ',' delimiter"),
        ('{"a": [1] ', "x.json:1: is no sound JSON: ends where ',' was expected"),
        ('{"a": [1]}\n}', "x.json:2: is no sound JSON: something follows the object"),
        ("[1]", "x.json:1: is no sound JSON: '[' where '{' was expected"),
        ("", "x.json:1: is no sound JSON: ends where '{' was expected"),
        ('{"a" [1]}', "x.json:1: is no sound JSON: '[' where ':' was expected"),
        ('{"a": [1 2]}', "x.json:1: is no sound JSON: '2' where ',' was expected"),
        ('{"a": ' + "[" * 100_000, "x.json:1: is no sound JSON: "),
    ],
)
def test_a_file_that_is_no_json_object_is_named_with_its_line(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BadDataError) as caught:
        elements(path)
    assert str(caught.value).startswith(message)


def test_elements_are_handed_out_before_the_file_is_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(_stream, "_CHUNK", 64)
    (tmp_path / "x.json").write_text('{"a": [' + "1, " * 1000)  # cut off far behind
    found = _stream.elements(tmp_path, "x.json", Problems())
    assert [next(found) for _ in range(3)] == [("a", 0, 1), ("a", 1, 1), ("a", 2, 1)]


@pytest.mark.parametrize("number", ["1.5e+16", "-2.25E-3", "10", "1.25"])
def test_a_number_that_the_buffer_cuts_anywhere_is_read_whole(tmp_path, monkeypatch, number):
    monkeypatch.setattr(_stream, "_CHUNK", 1)
    (tmp_path / "x.json").write_text(f'{{"a": [{number}, {number}], "b": {number}}}')
    assert elements(tmp_path / "x.json") == [("a", 0, float(number)), ("a", 1, float(number))]
