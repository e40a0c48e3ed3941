"""The page: one self-contained HTML file of everything that a report holds. Nothing here imports torch.

Data travel as JSON in script elements that no browser runs; assets/page/*.js draw them by setting text, never markup, so that a name is a
name whatever it holds. A content security policy allows our two scripts and our style by their hashes, and images inside the file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from bench.report.figures import Figures
from bench.report.page_codec import to_json
from bench.report.page_figures import encode_figures
from bench.report.page_gallery import GalleryOptions, encode_gallery
from bench.report.page_pictures import encode_attention, encode_classes, encode_maps
from bench.report.page_text import encode_claims, encode_failures, encode_overall, encode_runs, encode_sweeps, encode_tables
from bench.store import Record, Store, write_whole

MAX_BYTES = 1_000_000  # of the page without its photographs, records however many
_SHARES = {"classes": 0.15, "maps": 0.12, "attention": 0.05}  # of MAX_BYTES at most; figures get what is left
_ASSETS = Path(__file__).parent / "assets"
_PARTS = (
    "elements",
    "data",
    "sorting",
    "overview",
    "leaderboard",
    "curves",
    "papers",
    "claims",
    "classes",
    "maps",
    "gallery",
    "runs",
    "main",
)
_SYNTHETIC = (
    "SYNTHETIC DATA. These pictures are rendered stand-ins in the data sets' layout, not their photographs. "
    "Figures compare methods with one another, never with the papers."
)
_MIXED = "SYNTHETIC AND REAL DATA. Data sets marked synthetic are rendered stand-ins, not photographs: never compare across the two."
_REAL = "Real photographs."


@dataclass(frozen=True)
class Content:
    """What a page is made of. leaderboard: as leaderboard.csv has it. tables: name -> what tables/<name>.csv holds. claims: judged,
    dataclasses or mappings. overall: what tables/over-data-sets.csv holds, or an empty text."""

    records: Sequence[Record]
    store: Store
    leaderboard: pd.DataFrame
    figures: Figures
    tables: Mapping[str, str] = field(default_factory=dict)
    claims: Iterable[Any] = ()
    gallery: GalleryOptions | None = None
    overall: str = ""


def content_of(
    out: Path,
    tables: Sequence[str],
    records: Sequence[Record],
    store: Store,
    leaderboard: pd.DataFrame,
    figures: Figures,
    gallery: GalleryOptions | None = None,
) -> Content:
    """The content of a page beside the tables and claims that were just written under out."""
    texts = {name: (out / "tables" / f"{name}.csv").read_text(encoding="utf-8") for name in tables}
    claims = json.loads((out / "claims.json").read_bytes())
    overall = out / "tables" / "over-data-sets.csv"
    return Content(
        records, store, leaderboard, figures, texts, claims, gallery, overall.read_text(encoding="utf-8") if overall.exists() else ""
    )


def write_page(path: Path, content: Content) -> int:
    """Writes the page and returns its size in bytes."""
    data = render(content).encode()
    write_whole(path, data)
    return len(data)


def render(content: Content) -> str:
    """The page's text, the same for the same records."""
    sweeps, missing, again = encode_sweeps(content.records, content.store)
    data: dict[str, Any] = {
        "num_records": len(content.records),
        "statuses": sorted(Counter(record["status"] for record in content.records).items(), key=lambda item: (item[0] != "ok", -item[1])),
        "missing": missing,
        "sources": _sources(content.records),
        "protocols": sorted({record["protocol_id"] for record in content.records if record["status"] == "ok"})[:50],
        "sweeps": sweeps,
        "failures": encode_failures(content.records, content.store, again),
        "runs": encode_runs(content.records),
        "papers": encode_tables(content.tables),
        "claims": encode_claims(content.claims),
        "overall": encode_overall(content.overall),
        "classes": encode_classes(content.figures, int(_SHARES["classes"] * MAX_BYTES)),
        "maps": encode_maps(content.figures, int(_SHARES["maps"] * MAX_BYTES)),
        "attention": encode_attention(content.figures, int(_SHARES["attention"] * MAX_BYTES)),
    }
    gallery = to_json(encode_gallery(content.figures, content.gallery)) if content.gallery else "null"
    room = MAX_BYTES - len(_assemble(data["sources"], to_json(data), "", "null").encode())
    figures = to_json(encode_figures(content.leaderboard, room - 100))
    return _assemble(data["sources"], to_json(data), figures, gallery)


def _sources(records: Sequence[Record]) -> list[tuple[str, int]]:
    """What figures were made of: real, synthetic or both; without any figure, what was asked for."""
    found = Counter(str(record["source"]) for record in records if record["status"] == "ok")
    return (found or Counter(str(record["source"]) for record in records)).most_common()


def _assemble(sources: Sequence[tuple[str, int]], data: str, figures: str, gallery: str) -> str:
    kind, text = _banner([name for name, _ in sources])
    style, scripts = _style(), _scripts()
    policy = (
        f"default-src 'none'; script-src {' '.join(_source(script) for script in scripts)}; style-src {_source(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    shell = (_ASSETS / "page.html").read_text(encoding="utf-8")
    parts = {
        "POLICY": html.escape(policy),
        "BANNER_KIND": kind,
        "BANNER": html.escape(text),
        "STYLE": style,
        "DATA": data,
        "FIGURES": figures,
        "GALLERY": gallery,
        "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    pieces = shell.split("%%")  # names stand at odd places; what is put in is not looked at again
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _banner(sources: Sequence[str]) -> tuple[str, str]:
    if "synthetic" not in sources:
        return "real", _REAL
    return ("mixed", _MIXED) if len(sources) > 1 else ("synthetic", _SYNTHETIC)


def _source(text: str) -> str:
    """How a policy names an inline script or style: the hash of its text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


@cache
def _style() -> str:
    return "\n".join((_ASSETS / name).read_text(encoding="utf-8").strip() for name in ("uPlot.min.css", "page.css"))


@cache
def _scripts() -> tuple[str, ...]:
    """uPlot, and our own files as one script in one scope."""
    library = (_ASSETS / "uPlot.iife.min.js").read_text(encoding="utf-8").strip()
    own = "".join((_ASSETS / "page" / f"{name}.js").read_text(encoding="utf-8") for name in _PARTS)
    return library, f'"use strict";\n(() => {{\n{own}}})();'
