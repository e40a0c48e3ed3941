"""The page: what is in it, that names stay names, that it is one small file, and that torch stays out."""

import base64
import hashlib
import html
import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from handmade import write
from pagemade import CLAIMS, HOSTILE, NUM_IMAGES, OVERALL, SCHEMA, TABLE, Elements, arrays, content, fill, labels, numbers, parts

from bench import tables
from bench.report import page
from bench.report.figures import Figures
from bench.report.leaderboard import COLUMNS, COUNTED, OTHERS
from bench.report.page import MAX_BYTES, Content, render
from bench.report.tables import head_of
from bench.store import Store

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return fill(Store(tmp_path_factory.mktemp("page")))


@pytest.fixture(scope="module")
def whole(store):
    return content(store, claims=CLAIMS, tables={"mtss-1": TABLE})


@pytest.fixture(scope="module")
def text(whole):
    return render(whole)


@pytest.fixture(scope="module")
def found(text):
    return parts(text)


def figure(found, method, attribute, metric, condition=("none", 0), fraction=1.0, dataset="darn"):
    """A figure of the page, read as its scripts read it: mean, low, high, flags; None where there is none."""
    figures = found["figures"]
    cells = {name: numbers(packed, "<u2" if name in ("method", "status") else "u1") for name, packed in figures["cells"].items()}
    (world,) = [each for each in figures["datasets"] if each["name"] == dataset]
    wanted = figures["methods"].index(method), figures["fractions"].index(fraction), condition[1]
    for cell in range(world["range"][0], world["range"][2]):
        if (cells["method"][cell], cells["fraction"][cell], cells["severity"][cell]) != wanted:
            continue
        if condition[1] and figures["corruptions"][cells["corruption"][cell]] != condition[0]:
            continue
        for block in figures["blocks"]:
            for column, (a, m, step) in enumerate(block["kinds"]):
                inside = block["start"] <= cell < block["stop"]
                if inside and figures["attributes"][a] == attribute and figures["metrics"][m] == metric:
                    place = (cell - block["start"]) * len(block["kinds"]) + column
                    values = [numbers(block[name], "<u2")[place] for name in ("mean", "low", "high") if name in block]
                    if values[0] != 65535:
                        return [value * step for value in values] + ([numbers(block["flags"], "u1")[place]] if "flags" in block else [])
    return None


def test_every_figure_of_the_leaderboard_is_in_the_page(whole, found):
    frame = whole.leaderboard
    assert found["figures"]["left_out"] == []
    known = frame[frame["metric"] != ""].sample(60, random_state=1)
    for row in known.to_dict("records"):
        condition = row["corruption"], row["severity"]
        got = figure(found, row["method"], row["attribute"], row["metric"], condition, row["label_fraction"], row["dataset"])
        assert got[0] == pytest.approx(row["mean"], abs=1.6e-4)
        if not np.isnan(row["ci_low"]):
            assert got[1:3] == pytest.approx([row["ci_low"], row["ci_high"]], abs=6e-4)
            assert bool(got[3] & 1) == bool(row["tied_with_best"])
            assert bool(got[3] & 2) == row["status"].endswith("at floor")


def test_what_is_lost_or_was_never_run_has_no_figure(found):
    assert figure(found, "mtss/student", "all", "f1@1", ("snow", 1)) is not None
    assert figure(found, "mtss/student", "all", "f1@1", ("snow", 3)) is None
    assert figure(found, "naver/lp", "all", "f1@1") is None
    statuses = found["figures"]["statuses"]
    assert "1 failed, 1 timeout" in statuses
    assert "1 no_data" in statuses


def test_failures_say_why_and_what_to_type(found):
    failed, missing, late = found["data"]["failures"]["groups"]
    assert [each["status"] for each in (failed, missing, late)] == ["failed", "no_data", "timeout"]
    assert failed["reason"] == f"loss is NaN at step 7 {HOSTILE}"
    assert failed["rerun"].startswith("python -m bench run --methods naver/lp --datasets darn --label-fractions 1 --seeds 0")
    assert failed["rerun"].endswith("--only failed")
    assert found["data"]["statuses"] == [["ok", 156], ["failed", 1], ["no_data", 1], ["timeout", 1]]


def test_a_sweep_is_run_again_as_it_was_typed(tmp_path):
    store = Store(tmp_path)
    record = write(store, "plain")
    keys = [record["key"], "f" * 64]
    (tmp_path / "sweeps").mkdir()
    typed = {"argv": ["run", "--methods", "a b", "--only", "failed"], "keys": keys, "written": 1.0}
    (tmp_path / "sweeps" / "0.json").write_text(json.dumps(typed))
    data = parts(render(content(store)))["data"]
    assert data["sweeps"][0]["command"] == "python -m bench run --methods 'a b'"
    assert data["sweeps"][0]["counts"] == {"ok": 1, "missing": 1}
    assert data["missing"] == 1


def test_the_banner_names_synthetic_data(text, whole):
    (banner,) = [(attributes, body) for tag, attributes, body in Elements(text).found if attributes.get("id") == "banner"]
    assert "synthetic" in banner[0]["class"]
    assert "SYNTHETIC DATA" in text
    for sources, kind in {("real",): "real", ("real", "synthetic"): "mixed", ("synthetic",): "synthetic"}.items():
        records = [{**record, "source": sources[i % len(sources)]} for i, record in enumerate(whole.records)]
        assert f'class="banner {kind}"' in render(replace(whole, records=records, figures=Figures([], whole.store)))


def test_paper_tables_keep_their_figures_verdicts_and_gaps(found):
    (table,) = found["data"]["papers"]["tables"]
    verdicts = found["data"]["papers"]["verdicts"]
    assert table["name"] == "mtss-1"
    assert table["title"]
    assert "others: as printed" in table["notes"]
    (world,) = table["worlds"]
    assert world["columns"] == [["darn", "all", "recall@3", "clean"], ["darn", "all", "recall@3", "corrupted"]]
    assert world["digits"] == [2, 2]
    others, student = world["rows"]
    assert others == ["others", [50.0, None, None, None, verdicts.index(""), "", None], None]
    assert student[1] == [60.0, 63.625, 61.0, 66.25, verdicts.index("not comparable: synthetic"), "", 3.625]
    assert student[2] == [40.0, None, None, None, verdicts.index("not run"), "150 missing", None]


def test_columns_of_paper_tables_have_the_decimals_of_their_files(whole):
    """Shares of one are shown with three, whatever stands in them."""
    (head, *_), text = tables.load("challenge26-2").columns, TABLE.splitlines()[0]
    line = ",".join(("challenge26-2,synthetic,tiny,row,", *head_of(head), ",1.25,1,1.5,,within,1,1,0,0,"))
    (table,) = parts(render(replace(whole, tables={"challenge26-2": f"{text}\n{line}\n"})))["data"]["papers"]["tables"]
    assert table["worlds"][0]["digits"] == [3]


def test_ranks_over_data_sets_keep_their_order_and_gaps(whole):
    (world,) = parts(render(replace(whole, overall=OVERALL)))["data"]["overall"]
    assert (world["source"], world["preset"]) == ("synthetic", "tiny")
    assert [list(head.values()) for head in world["heads"]] == [[0.25, 4, 1.65749], [1.0, 3, 1.9139]]
    assert world["rows"] == [
        [HOSTILE, [2.0, 0.45, 1, True], [1.0, 0.7, 3, True]],
        ["supervised", [1.5, 0.5, 2, True], [2.0, 0.6, 1, True]],
        ["naver/lp", [2.25, 0.4125, 0, False], None],
    ]
    assert parts(render(whole))["data"]["overall"] == []


def test_claims_come_whole_and_dataclasses_will_do(whole, found):
    @dataclass
    class Judged:
        name: str
        value: float
        places: list

    assert found["data"]["claims"] == CLAIMS
    got = parts(render(replace(whole, claims=[Judged("x", float("nan"), [{"low": np.float64(0.5)}])])))["data"]["claims"]
    assert got == [{"name": "x", "value": None, "places": [{"low": 0.5}]}]


def test_hits_of_classes_are_those_of_the_predictions(found):
    (world,) = [each for each in found["data"]["classes"]["worlds"] if each["dataset"] == "darn"]
    assert [each["counts"] for each in world["types"]] == [labels()[kind.name].sum(axis=0).tolist() for kind in SCHEMA]
    (entry,) = [each for each in world["methods"] if each["method"] == "supervised" and each["fraction"] == 1.0]
    top = arrays(0.6, 1)["top_classes"]  # of seed 1: skill 0.5 and a tenth of the label fraction
    carried = labels()["part"]
    expected = [np.any(top[image, 1, :3] == 2) for image in np.flatnonzero(carried[:, 2])]
    start = NUM_IMAGES + int(carried[:, :2].sum())
    bits = np.unpackbits(numbers(entry["hits"]["3"][1], "u1"))[start : start + len(expected)]
    assert bits.tolist() == [int(each) for each in expected]


def test_maps_and_attention_are_kept_small(found):
    entry = next(each for each in found["data"]["maps"]["maps"] if each["method"] == "supervised" and each["dataset"] == "darn")
    points = numbers(entry["points"], "i1").reshape(entry["size"])
    assert points.shape == (NUM_IMAGES, 8)
    assert np.abs(points).max() == 127
    colours = numbers(entry["colours"], "u1")
    category = labels()["category"].argmax(axis=1)
    assert all(SCHEMA["category"].classes[category[i]] == entry["classes"][colours[i]] for i in range(NUM_IMAGES))
    entry = found["data"]["attention"][0]
    assert len(entry["images"]) == 6
    (attention,) = entry["maps"]
    assert attention["name"] == "stage 1"
    assert attention["size"] == [6, 6, 6]
    assert len(numbers(attention["pixels"], "u1")) == 216


def test_no_name_becomes_markup(text, found):
    assert HOSTILE in found["figures"]["methods"]
    elements = Elements(text)
    scripts = elements.all("script")
    assert [attributes.get("id") for attributes, _ in scripts] == ["json-data", "json-figures", "json-gallery", None, None]
    assert all("alert(1)" not in body for attributes, body in scripts if not attributes)
    assert not elements.all("b")
    ids = [attributes["id"] for _, attributes, _ in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name in ("data", "figures"):
        body = re.search(rf'<script type="application/json" id="json-{name}">(.*?)</script>', text, re.DOTALL)[1]
        assert not set("<>&\u2028\u2029") & set(body)
        json.loads(body)


def test_the_policy_allows_what_is_in_the_file_and_nothing_else(text):
    elements = Elements(text)
    (policy,) = [html.unescape(each["content"]) for each, _ in elements.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"

    def sources(bodies):
        return {f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" for body in bodies}

    scripts = [body for attributes, body in elements.all("script") if not attributes.get("type")]
    assert set(rules["script-src"].split()) == sources(scripts)
    assert set(rules["style-src"].split()) == sources(body for _, body in elements.all("style"))


def test_the_page_reaches_for_nothing_outside_itself(text):
    elements = Elements(text)
    for _, attributes, _ in elements.found:
        assert not {"src", "srcset", "action", "style"} & attributes.keys()
        assert attributes.get("href", "#")[0] == "#" or attributes["href"] == "data:,"
    written = [(ROOT / "bench/report/assets" / name).read_text() for name in ("page.css", "page.html")]
    written += [path.read_text() for path in (ROOT / "bench/report/assets/page").glob("*.js")]
    for own in written:
        assert not re.search(
            r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(|fetch\(|XMLHttpRequest|innerHTML|outerHTML|insertAdjacent|eval\(", own
        )


def test_every_script_of_ours_is_in_the_page():
    assert {path.stem for path in (ROOT / "bench/report/assets/page").glob("*.js")} == set(page._PARTS)


def test_the_library_is_the_one_that_is_noted():
    folder = ROOT / "bench/report/assets"
    noted = dict(re.findall(r"^\| `(uPlot\.[\w.]+)` \|.*`([0-9a-f]{64})`", (folder / "README.md").read_text(), re.MULTILINE))
    assert set(noted) == {"uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"}
    for name, digest in noted.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def big_board(num_cells, corrupted, num_types=6):
    """A leaderboard of so many cells, each with every metric of every type, and their records."""
    conditions = [("none", 0), *((f"corruption {i}", s) for i in range(15) for s in range(1, 6))] if corrupted else [("none", 0)]
    shares = [(dataset, fraction) for dataset in ("darn", "deepfashion") for fraction in (0.1, 0.25, 0.5, 1.0)]
    methods = -(-num_cells // (len(shares) * len(conditions)))
    names = [(d, f"method{m}/row{m % 7}", f, *c) for d, f in shares for m in range(methods) for c in conditions][:num_cells]
    kinds = [(a, m) for a in ("all", *(f"type {i}" for i in range(num_types))) for m in (*COUNTED, *OTHERS)]
    mean = np.random.default_rng(0).random(num_cells * len(kinds))
    columns = {
        **{
            name: np.repeat(np.array([each[i] for each in names], dtype=object), len(kinds))
            for name, i in (("dataset", 0), ("method", 1), ("label_fraction", 2), ("corruption", 3), ("severity", 4))
        },
        **{name: np.tile(np.array([each[i] for each in kinds], dtype=object), num_cells) for i, name in enumerate(("attribute", "metric"))},
        **{"source": "synthetic", "mean": mean, "ci_low": mean * 0.97, "ci_high": mean * 1.03, "n_seeds": 3, "rank": 1},
        **{"tied_with_best": mean > 0.9, "status": "ok"},
    }
    frame = pd.DataFrame(columns)[list(COLUMNS)].astype({"label_fraction": float, "severity": int})
    blank = {"row": "", "source": "synthetic", "seed": 0, "preset": "tiny", "protocol_id": "v1/x", "data_hash": "d", "finished": 1.0}
    blank |= {"error": None, "env": {"python": "3"}, "git_sha": "a" * 40, "host": "h", "launcher": "process", "device": "cpu"}
    blank |= {"fit_seconds": 1.0, "eval_seconds": 1.0, "images_per_second": 9.0, "peak_rss_mb": 9.0, "peak_vram_mb": None}
    records = [
        {**blank, "key": f"{i:064x}", "dataset": d, "method": m, "label_fraction": f, "corruption": c, "severity": s}
        | {"status": "ok" if i % 9 else "failed", "reason": f"reason {i} " + "x" * 300}
        for i, (d, m, f, c, s) in enumerate(names)
    ]
    return frame, records


@pytest.mark.parametrize("corrupted", [True, False])
def test_ten_thousand_records_fit_in_a_megabyte(tmp_path, corrupted):
    frame, records = big_board(10_000, corrupted)
    text = render(Content(records, Store(tmp_path), frame, Figures([], Store(tmp_path))))
    assert len(text.encode()) <= MAX_BYTES
    found = parts(text)
    assert found["figures"]["num_cells"] == 10_000
    assert found["figures"]["left_out"]
    assert found["data"]["failures"]["left_out"] > 0
    row = frame[(frame["attribute"] == "all") & (frame["metric"] == "f1@1")].iloc[7]
    got = figure(found, row["method"], "all", "f1@1", (row["corruption"], row["severity"]), row["label_fraction"], row["dataset"])
    assert got[0] == pytest.approx(row["mean"], abs=1.6e-4)


def test_the_same_records_make_the_same_page(store, text):
    assert render(content(store, claims=CLAIMS, tables={"mtss-1": TABLE})) == text


def test_the_command_writes_the_page_without_torch(store, tmp_path):
    code = (
        "import sys; from bench.cli import main; "
        f"code = main(['report', '--store', {str(store.root)!r}, '--out', {str(tmp_path)!r}]); "
        "assert 'torch' not in sys.modules, 'torch was imported'; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found = parts((tmp_path / "index.html").read_text())
    assert HOSTILE in found["figures"]["methods"]
    assert found["data"]["claims"]
    assert found["gallery"] is None


def test_the_page_knows_which_corruptions_are_no_part_of_a_mean(tmp_path):
    store = Store(tmp_path)
    for name in ("fog", "spatter", "saturate"):
        write(store, "mtss", row="student", corruption=name, severity=1)
    figures = parts(render(content(store)))["figures"]
    assert (sorted(figures["corruptions"]), sorted(figures["extras"])) == (["fog", "saturate", "spatter"], ["saturate", "spatter"])
