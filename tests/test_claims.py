"""Claims: every entry is well made, and verdicts are what made-up methods of known skill call for."""

import json
import re

import numpy as np
import pytest
from handmade import counts, write

from bench import claim_entries, registry, tables
from bench.claim_entries import load
from bench.claims import CONTRADICTED, INCONCLUSIVE, NOT_RUN, REPRODUCED, Effect, _decide, judge
from bench.cli import main
from bench.report.cache import Cache
from bench.report.claims import to_json, to_markdown
from bench.report.figures import Figures
from bench.spec import UsageError
from bench.statistics import holm, mean_replicates, paired_difference, replicates
from bench.store import Store

HEAD = 'paper = "p"\nwhere = "Table 1"\nstatement = "Good is better."\nneeds = "mtss-4"\nmetric = "recall@3"\n'
GREATER = HEAD + 'datasets = ["darn"]\norder = ["mtss/student", "mtss/teacher"]'
POOL = {"protocol_id": "v1/darn/test/64px/native/pool=1", "split": "test"}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def entries(tmp_path, monkeypatch):
    def use(**texts):
        folder = tmp_path / "results"
        folder.mkdir(exist_ok=True)
        (folder / "claims.toml").write_text("\n".join(f"[{name}]\n{text}" for name, text in texts.items()))
        monkeypatch.setattr(claim_entries, "RESULTS", folder)
        claim_entries._entries.cache_clear()

    yield use
    claim_entries._entries.cache_clear()


def judged(store):
    return judge(Figures(store.records(), store))


def both(store, student, teacher, **fields):
    write(store, "mtss", row="student", skill=student, **{**POOL, **fields})
    write(store, "mtss", row="teacher", arrays=counts(teacher, 5), **{**POOL, **fields})


# the papers' own claims


def test_every_claim_of_the_papers_is_well_made():
    found = load()
    assert len(found) >= 25
    assert {claim.paper for claim in found} == {"mtss", "naver", "challenge26", "jdstyle", "semivit"}
    for claim in found:
        assert re.search(r"Table|Fig\.|Sec\.|Abstract", claim.where), claim.name
        assert claim.statement.endswith(".")
        assert claim.parts


@pytest.mark.parametrize("claim", load(), ids=lambda claim: claim.name)
def test_every_claim_is_judged_by_rows_that_its_tables_run(claim):
    """What --table runs is what the claim asks for: the same row, hyper-parameters, label fraction and pool, on the same data."""
    needed = [tables.load(name) for name in claim.needs]
    for part in claim.parts:
        for row in (part.better, part.worse):
            if row is not None and row.method in registry.names("methods"):
                for place in part.places:
                    assert any(_runs(table, row, place) for table in needed), f"{row.label} on {place.dataset}"


def _runs(table, row, place):
    wanted = row.method, row.row, dict(row.overrides), row.label_fraction, row.unlabeled
    rows = [each for each in table.rows if (each.method, each.row, dict(each.overrides), each.label_fraction, each.unlabeled) == wanted]
    columns = [column for column in table.columns if column.dataset == place.dataset and column.corrupted == place.corrupted]
    return any(tables.covers(table, each, column) for each in rows for column in columns)


def test_without_records_every_claim_is_not_run_and_says_what_to_type(store):
    found = judged(store)
    assert {each.verdict for each in found} == {NOT_RUN}
    assert "python -m bench run --table mtss-4" in to_markdown(found)


# verdicts


@pytest.mark.parametrize(("student", "teacher", "verdict"), [(0.8, 0.5, REPRODUCED), (0.5, 0.8, CONTRADICTED), (0.5, 0.52, INCONCLUSIVE)])
def test_a_difference_decides(store, entries, student, teacher, verdict):
    entries(c=GREATER)
    both(store, student, teacher)
    (found,) = judged(store)
    assert found.verdict == verdict
    assert (found.source, found.preset, found.places) == ("synthetic", "tiny", ["darn"])
    expected = 100 * (counts(student)["hits"][:, :, 1].mean() - counts(teacher, 5)["hits"][:, :, 1].mean())
    assert found.value == pytest.approx(expected)
    paired = paired_difference(replicates([counts(student)], "recall@3"), replicates([counts(teacher, 5)], "recall@3"))
    assert (found.low, found.high) == pytest.approx((100 * paired.low, 100 * paired.high))
    assert found.p_value == pytest.approx(paired.p_value)


def test_of_a_cross_entropy_less_is_better(store, entries):
    entries(c=GREATER.replace("recall@3", "cross_entropy"))
    for row, nats in (("student", 1.2), ("teacher", 1.5)):
        for seed in range(4):
            write(store, "mtss", row=row, metrics={"cross_entropy": nats + seed / 1000 * (1 + (row == "teacher"))}, seed=seed, **POOL)
    (found,) = judged(store)
    assert found.verdict == REPRODUCED
    assert found.value == pytest.approx(100 * (0.3 + 1.5 / 1000))


def test_the_part_that_decides():
    def part(p_value, inside):
        return Effect("", 0.0, 0.0, 0.0, p_value, inside, [], 1)

    parts = [part(0.02, False), part(0.5, True), part(0.01, False)]
    assert _decide(parts) == (parts[2], pytest.approx(0.03))  # the clearest that is outside, for so many looks
    assert _decide([part(0.4, False)] * 3)[1] == 1.0
    parts = [part(0.02, True), part(0.2, True), part(0.1, True)]
    assert _decide(parts) == (parts[1], 0.2)
    parts.append(part(float("nan"), True))
    assert _decide(parts)[0] is parts[3]  # nothing is less certain
    parts = [part(float("nan"), False), part(0.9, False)]
    assert _decide(parts) == (parts[1], 1.0)


def test_a_margin_moves_the_bound_and_a_corridor_has_two(store, entries):
    at_least, par = 'datasets = ["darn"]\norder = ["mtss/student", "mtss/teacher"]\n', "within = 0.2"
    entries(plain=GREATER, margin=HEAD + at_least + "margin = 0.3", par=HEAD + at_least + par, wide=HEAD + at_least + "within = 0.001")
    both(store, 0.6, 0.65)
    assert {each.name: each.verdict for each in judged(store)} == {
        **{"plain": INCONCLUSIVE, "margin": REPRODUCED, "par": REPRODUCED, "wide": INCONCLUSIVE},
    }


def test_a_claim_of_parts_holds_where_all_do_and_falls_with_any(store, entries):
    rows = '["mtss/student", "mtss/teacher", "mtss/teacher-gamma0"]'
    entries(
        order=HEAD + f'datasets = ["darn"]\norder = {rows}',
        best=HEAD + 'datasets = ["darn"]\nbest = "mtss/student"\nthan = ["mtss/teacher", "mtss/teacher-gamma0"]',
    )
    both(store, 0.9, 0.6)
    write(store, "mtss", row="teacher-gamma0", skill=0.7, **POOL)
    found = {each.name: each for each in judged(store)}
    assert found["best"].verdict == REPRODUCED
    assert found["order"].verdict != REPRODUCED
    assert [part["inside"] for part in found["order"].parts] == [True, False]
    write(store, "mtss", row="teacher-gamma0", skill=0.95, finished=2.0, **POOL)
    assert next(each for each in judged(store) if each.name == "order").verdict == CONTRADICTED


def test_data_sets_are_averaged_or_taken_separately(store, entries):
    several = HEAD + 'datasets = ["darn", "ficcy"]\norder = ["mtss/student", "mtss/teacher"]\n'
    entries(mean=several, each=several + "separately = true")
    both(store, 0.9, 0.4)
    both(store, 0.5, 0.6, dataset="ficcy", data_hash="f" * 64)
    found = {each.name: each for each in judged(store)}
    assert found["mean"].verdict == REPRODUCED
    assert found["mean"].places == ["darn", "ficcy"]
    assert found["each"].verdict != REPRODUCED
    assert len(found["each"].parts) == 2


def corrupted(store, row, skill):
    for place in range(75):
        write(store, "mtss", row=row, arrays=counts(skill, place), corruption=f"c{place // 5}", severity=1 + place % 5, **POOL)


def test_a_loss_is_held_against_its_bounds(store, entries):
    loss = 'datasets = ["darn"]\nloss = "mtss/student"\n'
    entries(near=HEAD + loss + "bounds = [0.15, 0.35]", off=HEAD + loss + "bounds = [0.5, 0.6]")
    write(store, "mtss", row="student", skill=0.8, **POOL)
    assert {each.verdict for each in judged(store)} == {NOT_RUN}  # all 75 conditions, or no figure
    corrupted(store, "student", 0.6)
    found = {each.name: each for each in judged(store)}
    assert found["near"].verdict == REPRODUCED
    assert found["off"].verdict == CONTRADICTED
    assert found["near"].value == pytest.approx(25, abs=6)
    clean = replicates([counts(0.8)], "recall@3")
    under = mean_replicates([replicates([counts(0.6, place)], "recall@3") for place in range(75)])
    assert found["near"].value == pytest.approx(100 * (1 - under.value / clean.value))
    ends = np.quantile(100 * (1 - under.values / clean.values), [0.025, 0.975])
    assert (found["near"].low, found["near"].high) == pytest.approx(ends.tolist())


def test_a_loss_is_of_one_code_over_the_seeds_that_both_sides_have(store, entries):
    entries(c=HEAD + 'datasets = ["darn"]\nloss = "mtss/student"\nbounds = [0.15, 0.35]')
    for seed, skill in enumerate((0.8, 0.3, 0.3)):
        write(store, "mtss", row="student", skill=skill, seed=seed, finished=1.0, **POOL)
    corrupted(store, "student", 0.6)
    (found,) = judged(store)
    assert found.value == pytest.approx(25, abs=6)
    assert found.num_seeds == 1
    write(store, "mtss", row="student", skill=0.8, env={"source_hash": "new"}, finished=2.0, **POOL)
    (found,) = judged(store)
    assert (found.verdict, found.missing) == (NOT_RUN, ["mtss/student on darn"])


def test_holm_corrects_over_all_claims_together(store, entries):
    entries(**{f"c{place}": GREATER for place in range(30)})
    both(store, 0.55, 0.42)
    found = judged(store)
    assert holm([each.p_value for each in found]).tolist() == [each.holm for each in found]
    entries(c=GREATER)
    (alone,) = judged(store)
    assert alone.holm == alone.p_value < found[0].holm


def test_different_images_are_not_compared(store, entries):
    entries(c=GREATER)
    write(store, "mtss", row="student", skill=0.9, **POOL)
    write(store, "mtss", row="teacher", skill=0.2, data_hash="e" * 64, **POOL)
    (found,) = judged(store)
    assert found.verdict == NOT_RUN
    assert "the same images" in found.reason


def test_seeds_are_compared_with_themselves(store, entries):
    """A seed that one side lost counts on neither, and the first of one side is not held against the second of the other."""
    entries(c=GREATER)
    for seed, skill in ((1, 0.9), (2, 0.5)):
        write(store, "mtss", row="student", arrays=counts(skill, seed), seed=seed, **POOL)
    for seed, skill in ((2, 0.5), (3, 0.1)):
        write(store, "mtss", row="teacher", arrays=counts(skill, 10 + seed), seed=seed, **POOL)
    (found,) = judged(store)
    one, other = replicates([counts(0.5, 2)], "recall@3"), replicates([counts(0.5, 12)], "recall@3")
    assert (found.value, found.num_seeds) == (pytest.approx(100 * (one.value - other.value)), 1)
    assert found.p_value == pytest.approx(paired_difference(one, other).p_value)
    assert found.verdict == INCONCLUSIVE
    write(store, "mtss", row="teacher", seed=2, status="failed", finished=2.0, **POOL)
    (found,) = judged(store)
    assert (found.verdict, found.missing) == (NOT_RUN, ["mtss/student and mtss/teacher with a seed in common on darn"])


def test_a_mean_over_data_sets_needs_them_all(store, entries):
    entries(c=HEAD + 'datasets = ["darn", "ficcy"]\norder = ["mtss/student", "mtss/teacher"]')
    both(store, 0.9, 0.2)
    write(store, "mtss", row="student", skill=0.9, dataset="ficcy", data_hash="f" * 64, **POOL)
    (found,) = judged(store)
    assert (found.verdict, found.missing) == (NOT_RUN, ["mtss/teacher on ficcy"])


def test_what_failed_is_not_a_figure(store, entries):
    entries(c=GREATER)
    both(store, 0.9, 0.5)
    write(store, "mtss", row="teacher", status="failed", finished=2.0, **POOL)
    (found,) = judged(store)
    assert found.verdict == NOT_RUN
    assert found.missing == ["mtss/teacher on darn"]


def test_a_figure_of_seeds_alone_needs_seeds(store, entries):
    entries(c=GREATER.replace("recall@3", "map"))
    for row, value in (("student", 0.6), ("teacher", 0.5)):
        write(store, "mtss", row=row, metrics={"map": value}, **POOL)
    (found,) = judged(store)
    assert (found.verdict, found.value) == (INCONCLUSIVE, pytest.approx(10))
    assert "one seed" in found.reason
    for seed in (1, 2, 3):
        for row, value in (("student", 0.6), ("teacher", 0.5)):
            write(store, "mtss", row=row, metrics={"map": value + seed / 1000 * (1 + (row == "teacher"))}, seed=seed, **POOL)
    assert judged(store)[0].verdict == REPRODUCED


def test_real_and_synthetic_are_judged_apart(store, entries):
    entries(c=GREATER)
    both(store, 0.9, 0.5)
    both(store, 0.4, 0.9, source="real", preset="paper", finished=2.0)
    assert [(each.source, each.verdict) for each in judged(store)] == [("real", CONTRADICTED), ("synthetic", REPRODUCED)]


def test_what_was_judged_before_is_taken_from_the_cache(store, entries, tmp_path):
    entries(c=GREATER)
    both(store, 0.9, 0.5)
    cache = Cache(tmp_path / "cache.json")
    first = judge(Figures(store.records(), store), cache)
    cache.save()
    for path in (store.root / "predictions").glob("*/*"):
        path.unlink()
    again = Cache(tmp_path / "cache.json")
    assert judge(Figures(store.records(), store), again) == first
    assert again.made == 0


# text and errors


def test_json_and_markdown_say_the_same(store, entries, capsys):
    entries(c=GREATER)
    both(store, 0.9, 0.5)
    found = judged(store)
    assert json.loads(to_json(found))[0]["verdict"] == REPRODUCED
    assert "SYNTHETIC" in to_markdown(found)
    assert "| c " in to_markdown(found)
    assert main(["claims", "--json", "--store", str(store.root)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(to_json(found))
    assert main(["claims", "--store", str(store.root)]) == 0
    assert "1 reproduced, 0 contradicted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GREATER + "\nordr = []", "no key 'ordr'; did you mean 'order'"),
        (GREATER.replace("mtss/student", "mtts/student"), "no method 'mtts'; did you mean 'mtss'"),
        (GREATER.replace("mtss/student", "mtss/lehrer"), "no row 'lehrer' of mtss"),
        (GREATER.replace("darn", "dran"), "no data set 'dran'; did you mean 'darn'"),
        (GREATER.replace("mtss-4", "mtss-44"), "no table 'mtss-44'; did you mean 'mtss-4'"),
        (HEAD + 'datasets = ["darn"]', "expected one of order"),
        (HEAD + 'datasets = ["darn"]\norder = ["mtss/student"]', "nothing to compare"),
        (GREATER.replace('where = "Table 1"\n', ""), "where is missing"),
        (HEAD + 'datasets = ["darn"]\nbest = "mtss/student"', "best = .. with than"),
        (
            HEAD + 'datasets = ["darn"]\norder = [{ method = "mtss/student", sett = {} }, "mtss/teacher"]',
            "no key 'sett'; did you mean 'set'",
        ),
    ],
)
def test_a_wrong_entry_is_named(entries, text, message):
    entries(c=text)
    with pytest.raises((UsageError, registry.UnknownNameError), match=message):
        load()


def test_a_method_that_is_not_written_yet_is_not_run(store, entries):
    entries(c=GREATER.replace("mtss/student", "quantumnet/large"))
    both(store, 0.9, 0.5)
    (found,) = judged(store)
    assert found.verdict == NOT_RUN
    assert found.missing == ["quantumnet/large on darn"]


def test_an_effect_that_never_varies_is_certain(store, entries):
    entries(c=GREATER)
    ones = counts(1.0)
    write(store, "mtss", row="student", arrays=ones, **POOL)
    write(store, "mtss", row="teacher", arrays={**ones, "hits": np.zeros_like(ones["hits"])}, **POOL)
    assert judged(store)[0].verdict == REPRODUCED
