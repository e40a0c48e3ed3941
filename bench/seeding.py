"""Seeds from named parts, so that order, workers and other cells never move a random draw."""

from __future__ import annotations

import hashlib
import json


def canonical(value: object) -> str:
    """One text for one value: sorted keys, no spaces, ASCII; tuples read as lists. Raises ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: object) -> str:
    """sha256 of the canonical text, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def derive_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) that depends on the parts and their order alone."""
    return int.from_bytes(hashlib.sha256(canonical(list(parts)).encode()).digest()[:8], "big") >> 1
