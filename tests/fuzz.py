"""Coverage-guided fuzzing of everything that reads files, for hands (`pip install atheris`):

    python tests/fuzz.py lists -max_total_time=900 [FOLDER OF CASES]

Targets: lists (the annotation files of every data set), images, records (a record with a stretch of it replaced), profiles (a cluster's).
Any exception but the stated ones ends it with the case kept. What it finds becomes a case of tests/inputs; tests/properties does the
same at random in the test suite."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
with atheris.instrument_imports(include=["bench", "datasets", "slurm", "tomllib"]):
    import handmade
    import sound

    from bench import record_check, registry
    from bench.protocol import BadDataError
    from bench.spec import UsageError
    from bench.store import FIELDS, StoreError, read_record
    from datasets._decode import decode
    from datasets._files import ImageError
    from slurm import profile

    for name in sound.SOUND:
        registry.load("datasets", name)

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
ROOT = FOLDER / "data"
KEY = "a" * 64
RECORD = handmade.record(KEY, split="test", env={"torch": "2.6"}, metrics={"f1@1": 0.5}, per_attribute={"part": {"map": 0.5}})
PROFILE = (HERE.parent / "slurm" / "profiles" / "a100-node.toml").read_bytes()
NAMES = ("deepfashion", "deepfashion26", "darn", "imatfashion", "jdstyle", "naver", "vest_neck_style", "ficcy", "folder")


def lists(data: bytes) -> None:
    """One file of a sound data set with a stretch of it replaced."""
    given = atheris.FuzzedDataProvider(data)
    name = NAMES[given.ConsumeIntInRange(0, len(NAMES) - 1)]
    files = dict(sound.SOUND[name])
    file = sorted(files)[given.ConsumeIntInRange(0, len(files) - 1)]
    files[file] = _spliced(given, files[file])
    try:
        sound.read(name, sound.write(ROOT, files))
        return
    except BadDataError as refused:
        text = str(refused)
    assert text.startswith((*files, ".", *(each.split("/")[0] for each in files))), text
    text.encode()


def images(data: bytes) -> None:
    """The bytes of one image."""
    try:
        shape, text = decode(data, "x").shape, ""
    except ImageError as refused:
        shape, text = (), str(refused)
    assert shape[2:] == (3,) or text.startswith("x "), (shape, text)


def records(data: bytes) -> None:
    """A record's file, sound but for a stretch of it, or for the value of one field."""
    given, path = atheris.FuzzedDataProvider(data), FOLDER / f"{KEY}.json"
    field = given.ConsumeIntInRange(0, 2 * len(FIELDS))
    if field < len(FIELDS):
        others = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in RECORD.items() if name != FIELDS[field])
        path.write_bytes(f'{{{others},"{FIELDS[field]}":'.encode() + given.ConsumeBytes(4096) + b"}")
    else:
        path.write_bytes(_spliced(given, json.dumps(RECORD).encode()))
    try:
        found = read_record(path)
    except StoreError as refused:
        str(refused).encode()
        return
    assert found is not None
    assert record_check.fault(found) == ""
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def profiles(data: bytes) -> None:
    """A cluster's profile, sound but for a stretch of it."""
    path = FOLDER / "p.toml"
    path.write_bytes(_spliced(atheris.FuzzedDataProvider(data), PROFILE))
    try:
        profile.load(str(path))
        return
    except UsageError as refused:
        text = str(refused)
    assert "p.toml" in text, text


def _spliced(given: atheris.FuzzedDataProvider, whole: bytes) -> bytes:
    start = given.ConsumeIntInRange(0, len(whole))
    end = start + given.ConsumeIntInRange(0, len(whole) - start)
    return whole[:start] + given.ConsumeBytes(4096) + whole[end:]


TARGETS = {"lists": lists, "images": images, "records": records, "profiles": profiles}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"{__doc__}\none of {', '.join(TARGETS)} expected")
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
