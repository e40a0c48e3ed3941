import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datasets import _lists
from datasets._schema import Problems

MEANING = {"1": 1, "-1": 0, "0": -1}


def parse(folder, text: bytes, num_labels: int):
    (folder / "list.txt").write_bytes(text)
    problems, lines, paths, values = Problems(), [], [], []
    for some_lines, some_paths, some_values in _lists.label_rows(folder, "list.txt", problems, num_labels):
        lines += some_lines
        paths += some_paths
        values += some_values.tolist()
    return lines, paths, values, [str(problem) for problem in problems.found]


rows = st.lists(
    st.tuples(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="\x85"), min_size=1),
        st.lists(st.sampled_from(sorted(MEANING)), min_size=3, max_size=3),
        st.sampled_from([" ", "  ", "\t", " \t "]),
    ),
    max_size=30,
)


@given(rows, st.sampled_from(["\n", "\r\n", " \n"]))
def test_rows_come_back_as_written(tmp_path_factory, rows, newline):
    body = [path + blank + blank.join(values) for path, values, blank in rows]
    text = newline.join([str(len(rows)), "header", *body, ""]).encode()
    lines, paths, values, problems = parse(tmp_path_factory.mktemp("lists"), text, 3)
    assert problems == []
    assert lines == list(range(3, 3 + len(rows)))
    assert paths == [path for path, _, _ in rows]
    assert values == [[MEANING[value] for value in row] for _, row, _ in rows]


@given(st.lists(st.text("01-2 x+", max_size=12), max_size=20))
def test_the_quick_way_agrees_with_a_plain_reading(tmp_path_factory, tails):
    text = "\n".join([str(len(tails)), "header", *(f"p{i}.jpg {tail}" for i, tail in enumerate(tails)), ""])
    lines, _, values, _ = parse(tmp_path_factory.mktemp("lists"), text.encode(), 3)
    plain = {**MEANING, "+1": 1}
    good = [(i, fields) for i, tail in enumerate(tails) if len(fields := tail.split()) == 3 and set(fields) <= set(plain)]
    assert lines == [3 + i for i, _ in good]
    assert values == [[plain[field] for field in fields] for _, fields in good]


def test_more_rows_than_a_chunk(tmp_path):
    num = _lists._CHUNK * 2 + 3
    signs = np.random.default_rng(0).integers(-1, 2, (num, 4))
    text = "\n".join([str(num), "header", *(f"{i}.jpg " + " ".join(map(str, row)) for i, row in enumerate(signs)), ""])
    _, paths, values, problems = parse(tmp_path, text.encode(), 4)
    assert problems == []
    assert paths[-1] == f"{num - 1}.jpg"
    assert np.array_equal(values, np.select([signs == 1, signs == -1], [1, 0], -1))


def test_paths_with_blanks_odd_bytes_and_empty_lines(tmp_path):
    text = b"3\nheader\nimg/My Blouse/img 1.jpg  1 -1\n\nimg/caf\xe9's.jpg 0 0\nimg/A B.PNG 1 1\n"
    lines, paths, values, problems = parse(tmp_path, text, 2)
    assert problems == []
    assert lines == [3, 5, 6]
    assert paths == ["img/My Blouse/img 1.jpg", "img/caf\udce9's.jpg", "img/A B.PNG"]
    assert values == [[1, 0], [-1, -1], [1, 1]]


def test_existing_prefers_what_is_there(tmp_path):
    (tmp_path / "b").touch()
    assert _lists.existing(tmp_path, "a|b|c") == "b"
    assert _lists.existing(tmp_path, "x|y") == "x"
