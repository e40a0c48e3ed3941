"""Which groups a figure of several cells may rest on: those of the newest images, protocol and code of one row of a method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from bench.report.groups import Group, source_of
from bench.store import Record

Place = TypeVar("Place")
OTHER = "other images or protocol"  # why a table leaves a method out


class Origin(NamedTuple):
    """What the records of one figure share. protocol: without who corrupts and without the pool, which is part of a cell; corrupter: who
    does, nobody on clean images."""

    protocol: str
    data_hash: str
    source: str | None
    corrupter: str

    @property
    def images(self) -> tuple[str, str, str]:
        """What figures side by side share, whatever code made them: the pictures as methods saw them, and how they were judged."""
        return self.protocol, self.data_hash, self.corrupter


def origin_of(record: Record) -> Origin:
    """v1/darn/test/64px/native/pool=1 -> v1/darn/test/64px, and native where it is under a corruption."""
    protocol, *rest = record["protocol_id"].rsplit("/", 2)
    return Origin(protocol, record["data_hash"], source_of(record), "".join(rest[:1]) if record["severity"] else "")


def of_newest(groups: Mapping[Place, Group]) -> dict[Place, Group]:
    """Those of the origin of the newest result; who corrupts is what the newest of these that is corrupted says. What has no result
    stays."""
    known = {place: origin_of(group.ok[0]) for place, group in groups.items() if group.ok}

    def newest(places: Sequence[Place]) -> Origin:
        return known[max(places, key=lambda place: max(record["finished"] for record in groups[place].ok))]

    if len(set(known.values())) < 2:
        return dict(groups)
    shared = newest(list(known))[:3]
    alike = [place for place, origin in known.items() if origin[:3] == shared]
    corrupted = [place for place in alike if known[place].corrupter]
    corrupters = {"", newest(corrupted).corrupter} if corrupted else {""}
    chosen = {place for place in alike if known[place].corrupter in corrupters}
    return {place: group for place, group in groups.items() if place not in known or place in chosen}


def images_of(groups: Mapping[Place, Group]) -> tuple[str, str, str]:
    """Of groups with results, all of one origin and all clean or all corrupted."""
    return origin_of(next(iter(groups.values())).ok[0]).images


def side_by_side(groups: Mapping[str, Mapping[Place, Group]]) -> dict[str, Mapping[Place, Group]]:
    """The methods that saw what most of them saw. groups: method -> its groups, as images_of takes them."""
    images = {name: images_of(own) for name, own in groups.items()}
    shared, _ = most_common({name: (each, frozenset()) for name, each in images.items()})
    return {name: own for name, own in groups.items() if images[name] == shared}


def most_common(kinds: Mapping[str, tuple[tuple, frozenset]]) -> tuple[tuple, frozenset]:
    """Of (images, conditions) by method those that most methods have; of equals those with the most conditions. Empty ones of none."""
    counts = Counter(kinds.values())
    return max(counts, key=lambda each: (counts[each], len(each[1])), default=((), frozenset()))
