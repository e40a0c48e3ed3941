"""Coverage-guided fuzzing of everything that reads files, for hands (`pip install atheris`):

    python tests/fuzz.py lists -max_total_time=900 [FOLDER OF CASES]

Targets: lists (the annotation files of every data set), images. Any exception but the stated ones ends it with the case kept.
What it finds becomes a case of tests/inputs; tests/properties/test_reader_properties.py does the same at random in the test suite."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
with atheris.instrument_imports(include=["bench", "datasets"]):
    import sound

    from bench import registry
    from bench.protocol import BadDataError
    from datasets._decode import decode
    from datasets._files import ImageError

    for name in sound.SOUND:
        registry.load("datasets", name)

ROOT = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)) / "data"
NAMES = ("deepfashion", "deepfashion26", "darn", "imatfashion", "jdstyle", "naver", "vest_neck_style", "ficcy", "folder")


def lists(data: bytes) -> None:
    """One file of a sound data set with a stretch of it replaced."""
    given = atheris.FuzzedDataProvider(data)
    name = NAMES[given.ConsumeIntInRange(0, len(NAMES) - 1)]
    files = dict(sound.SOUND[name])
    file = sorted(files)[given.ConsumeIntInRange(0, len(files) - 1)]
    start = given.ConsumeIntInRange(0, len(files[file]))
    end = start + given.ConsumeIntInRange(0, len(files[file]) - start)
    files[file] = files[file][:start] + given.ConsumeBytes(4096) + files[file][end:]
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


TARGETS = {"lists": lists, "images": images}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"{__doc__}\none of {', '.join(TARGETS)} expected")
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
