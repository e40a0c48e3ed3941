"""docs/reliability.md names tests that are there."""

import re

from planted import ROOT


def test_each_test_that_the_table_names_is_there():
    text = (ROOT / "docs/reliability.md").read_text()
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", text)
    assert len(named) > 40
    missing = [name for path, name in named if f"def {name}(" not in (ROOT / "tests" / path).read_text()]
    assert missing == []
