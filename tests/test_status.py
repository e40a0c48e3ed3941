"""`bench status`: where the sweeps of a store stand."""

import json

from handmade import write

from bench.cli import main
from bench.store import Store


def test_a_sweep_is_shown_as_it_can_be_typed_again(tmp_path, capsys):
    record = write(Store(tmp_path), "naver")
    argv = ["run", "--datasets", "folder:/my photos", "--set", "mtss.gamma='a b'"]
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "0.json").write_text(json.dumps({"argv": argv, "keys": [record["key"], "other"], "written": 0}))
    assert main(["status", "--store", str(tmp_path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == """python -m bench run --datasets 'folder:/my photos' --set 'mtss.gamma='"'"'a b'"'"''"""
    assert second == "  2 cells: 1 ok, 1 missing"
