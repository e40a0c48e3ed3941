"""Whatever stands in a data set's lists: a result that the harness can rely on, or BadDataError with the file's name."""

import pytest
import sound
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.protocol import BadDataError

PIECES = [
    *(b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\x85", b"\x1c", b"\r", b"\r\n", b"\n", b"\t", b" ", b",", b'"', b"|", b":"),
    *(text.encode() for text in ("²", "٣", "é", "e\u0301", "\u2028", "\u3000")),
    *(b"0", b"1", b"-1", b"+1", b"1.5", b"NaN", b"1e999", b"2147483647", b"-2147483648", b"999999999999999999999", b"9" * 5000),
    *(b"null", b"true", b"[]", b"{}", b'""', b"\\ud800", b"\\", b"{", b"}", b"]", b"[" * 100_000, b"a" * 200_000),
    *(b"../x.jpg", b"/etc/passwd", b"C:\\x.jpg", b"a\\..\\b.jpg", b"img/Dress/img_0.jpg"),
]


@st.composite
def damaged(draw, name):
    """The sound lists of a data set with up to three stretches replaced."""
    files = dict(sound.SOUND[name])
    for _ in range(draw(st.integers(1, 3))):
        file = draw(st.sampled_from(sorted(files)))
        start = draw(st.integers(0, len(files[file])))
        end = min(len(files[file]), start + draw(st.integers(0, 30)))
        files[file] = files[file][:start] + draw(st.sampled_from(PIECES) | st.binary(max_size=20)) + files[file][end:]
    return files


def outcome(name, root, files):
    """What came of reading, or the text of the refusal."""
    try:
        return sound.read(name, sound.write(root, files))
    except BadDataError as refused:
        text = str(refused)
    assert text.startswith((*files, ".", *(file.partition("/")[0] for file in files)))
    assert text.encode()  # any terminal takes it
    return text


@pytest.mark.parametrize("name", sound.SOUND)
def test_the_sound_lists_are_read_without_a_problem(name, tmp_path):
    found, problems = sound.read(name, sound.write(tmp_path / "data", sound.SOUND[name]))
    assert problems.found == []
    assert len(found) >= 3


@pytest.mark.parametrize("name", sound.SOUND)
def test_damaged_lists_are_read_or_refused_by_name(name, tmp_path):
    @settings(max_examples=150)
    @given(damaged(name))
    def check(files):
        outcome(name, tmp_path / "data", files)

    check()


@pytest.mark.parametrize("name", sound.SOUND)
def test_any_bytes_in_the_place_of_a_list_are_read_or_refused_by_name(name, tmp_path):
    @settings(max_examples=40)
    @given(st.sampled_from(sorted(sound.SOUND[name])), st.binary(max_size=200) | st.sampled_from(PIECES))
    @example(sorted(sound.SOUND[name])[0], b"")
    def check(file, data):
        outcome(name, tmp_path / "data", {**sound.SOUND[name], file: data})

    check()
