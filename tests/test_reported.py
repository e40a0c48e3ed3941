"""What the printed numbers say of themselves."""

import csv

import pytest

from bench import tables


def printed(file, **fields):
    with (tables.RESULTS / "reported" / file).open(encoding="utf-8", newline="") as lines:
        found = [line for line in csv.DictReader(lines) if all(line[name] == value for name, value in fields.items())]
    return {line["metric"]: float(line["value"]) for line in found}


@pytest.mark.parametrize("k", [1, 3, 5])
def test_every_pair_of_f1_and_recall_of_mtss_gives_the_same_share_of_positives(k):
    """F1@k = 2 TP / (k N + G) and R@k = TP / G, so G / N = k F1 / (2 R - F1); which shows that N counts images without a label too."""
    found = printed("mtss_table2.csv", method="MTSS student (gamma=tune, beta=1)")
    f1, recall = found[f"f1@{k}"], found[f"recall@{k}"]
    assert k * f1 / (2 * recall - f1) == pytest.approx(0.718, abs=0.001)


def test_naver_prints_more_top_1_than_top_5_for_residual_attention():
    for method in ("RAN56", "RAN92"):
        found = printed("naver_table1.csv", method=method)
        assert found["accuracy@1"] > found["accuracy@5"]  # swapped in print; the note beside the table says so


def test_all_positive_explains_two_of_the_jd_styles():
    counts = {"commuting": 49893, "ladies": 49389}
    for style, count in counts.items():
        share = count / 54908
        best = max(printed("jdstyle_table2.csv", method=method, attribute=style)["f2"] for method in ("ResNet18", "SE-ResNet101"))
        assert 5 * share / (4 * share + 1) == pytest.approx(best, abs=0.005)
