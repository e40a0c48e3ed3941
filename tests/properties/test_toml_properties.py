"""Whatever stands in results/tables.toml, results/claims.toml or a profile: what was meant, or a UsageError that names the file."""

import datetime
import math
from dataclasses import asdict, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import claim_entries, tables, toml_files
from bench.registry import UnknownNameError
from bench.spec import UsageError
from slurm import profile

PLAIN = st.none().map(lambda _: datetime.date(2020, 1, 1)) | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
WORDS = st.sampled_from(["mtss/student", "mtss", "", "darn", "../x", "mtss_table1.csv", "1", math.nan, -1, 10**400])
VALUES = st.recursive(
    PLAIN | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.just("method"), inner, max_size=3)
)
TABLE = {
    **{"title": "x", "reported": "mtss_table1.csv", "table": "1", "definitions": ["all_mean"], "floors": True, "notes": ["n"]},
    **{"rows": {"MTSS": "mtss/student", "mine": {"method": "mtss/student", "datasets": ["darn"]}}, "columns": [["darn", "all", "map"]]},
    **{"attributes": {"a": "b"}, "metrics": {"a": "b"}, "gain_over": {"a": "b"}, "figure": {"kind": "line"}},
}
CLAIM = {
    **{"paper": "p", "where": "w", "statement": "s", "needs": "mtss-1", "datasets": ["darn"], "metric": "f1@1", "note": "n"},
    **{"attributes": ["all"], "order": ["mtss/student", {"method": "mtss/teacher", "set": {}, "label_fraction": 0.5}], "margin": 1.0},
    **{"within": 1.0, "corrupted": False, "separately": False, "label_fraction": 1.0, "unlabeled": 1.0},
}
REST = {"pairs": [["mtss/student", "mtss/teacher"]], "best": "mtss/student", "than": ["mtss/teacher"], "loss": "mtss", "bounds": [0.1, 0.2]}


def outcome(read, name):
    """What was read, or the text of the refusal, which names the file."""
    try:
        return read()
    except (UsageError, UnknownNameError) as refused:
        kind, text = type(refused), str(refused)
    assert name in text or kind is UnknownNameError
    return text


@pytest.fixture
def entries(monkeypatch):
    """Sets the entry that a reader finds."""

    def put(module, entry):
        known = {} if module is claim_entries else {"mtss-1": TABLE}
        monkeypatch.setattr(module, "_entries", lambda: {**known, "t": entry})
        tables._load.cache_clear()

    yield put
    tables._load.cache_clear()


def test_the_entries_are_sound(entries):
    entries(tables, TABLE)
    assert [row.label for row in tables.load("t").rows][-1] == "mine"
    entries(claim_entries, CLAIM)
    assert len(claim_entries.load()) == 1


@settings(max_examples=400)
@given(key=st.sampled_from(sorted(TABLE)) | st.sampled_from(["rows.mine", "rows.mine.method", "rows.mine.set", "other"]), value=VALUES)
def test_any_value_in_an_entry_of_a_table(key, value):
    entry = {**TABLE, "rows": {**TABLE["rows"], "mine": dict(TABLE["rows"]["mine"])}}
    place, *path = [entry, *key.split(".")]
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_entries", lambda: {"t": entry})
        tables._load.cache_clear()
        outcome(lambda: tables.load("t"), "results/")
    tables._load.cache_clear()


@settings(max_examples=400)
@given(key=st.sampled_from(sorted({**CLAIM, **REST})), value=VALUES, kind=st.sampled_from(["order", "pairs", "best", "loss"]))
def test_any_value_in_a_claim(key, value, kind):
    chosen = {"order": ["order"], "pairs": ["pairs"], "best": ["best", "than"], "loss": ["loss", "bounds"]}[kind]
    entry = (
        {name: each for name, each in CLAIM.items() if name != "order"} | {name: {**CLAIM, **REST}[name] for name in chosen} | {key: value}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claim_entries, "_entries", lambda: {"c": entry})
        outcome(claim_entries.load, "results/claims.toml, c")


@settings(max_examples=200)
@given(
    data=st.binary(max_size=60) | st.sampled_from([b"a = " + b"[" * 100_000, b"a = " + b"9" * 5000, b"\xff\xfea\0", b"\xef\xbb\xbfa = 1"])
)
def test_any_bytes_in_the_place_of_toml(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("toml") / "x.toml"
    path.write_bytes(data)
    assert isinstance(outcome(lambda: toml_files.read(path), str(path)), dict | str)
    assert isinstance(outcome(lambda: profile.load(str(path)), str(path)), profile.Profile | str)


@settings(max_examples=400)
@given(key=st.sampled_from([each.name for each in fields(profile.Profile)]), value=VALUES)
def test_any_value_in_a_profile(tmp_path_factory, key, value):
    path = tmp_path_factory.mktemp("profile") / "p.toml"
    found = outcome(lambda: profile._checked(path, {key: value}), str(path))
    if not isinstance(found, str):
        numbers = [each for each in asdict(found).values() if isinstance(each, int | float)]
        assert all(abs(each) <= 10**9 for each in numbers)
        assert found.limits(1001).bundle_seconds > 0


@pytest.mark.parametrize("text", ["walltime_factor = nan", "lease_seconds = inf", "max_memory_gb = 1e300", f"workers = {'9' * 400}"])
def test_numbers_that_no_cluster_has_are_refused(tmp_path, text):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"p.toml: {text.split()[0]} is out of range; at most 1000000000 expected"):
        profile.load(str(path))


def test_a_zero_byte_in_the_name_of_a_profile():
    with pytest.raises(UsageError, match="holds a zero byte"):
        profile.load("a\0.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x", r"figures\.csv:2: columns attribute, dataset"),
        ("s,1,M,darn,all,f1@1,abc,percent,", r"figures\.csv:2: could not convert string to float: 'abc'"),
        ("s,1,M,darn,all,f1@1,nan,percent,", r"figures\.csv:2: 'nan' is no figure"),
        ("s,1,M,darn,all,relative gain over x,1,percent,", r"figures\.csv:2: 'x'; see gain_over of t"),
        ("s,1,\xff,darn,all,f1@1,1,percent,", r"figures\.csv:\d: 'utf-8' codec"),
        ("s" * 200_000, r"figures\.csv:2: field larger than field limit"),
    ],
)
def test_a_damaged_line_of_printed_figures_is_named(tmp_path, monkeypatch, line, message):
    (tmp_path / "reported").mkdir()
    text = f"source,table,method,dataset,attribute,metric,value,unit,note\n{line}\n"
    (tmp_path / "reported/figures.csv").write_bytes(text.encode("latin-1"))
    (tmp_path / "tables.toml").write_text('[t]\ntitle = "x"\nreported = "figures.csv"\ntable = "1"\n')
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    tables._entries.cache_clear()
    tables._load.cache_clear()
    with pytest.raises(UsageError, match=f"results/reported/{message}"):
        tables.load("t")
    tables._entries.cache_clear()
    tables._load.cache_clear()
