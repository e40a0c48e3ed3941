"""The driver of a sweep on a cluster, with a queue that says what the test wants."""

from types import SimpleNamespace

import pytest
from handmade import write

from bench import cluster
from bench.bundles import Bundle, JobArray
from bench.spec import UsageError
from bench.store import Store


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(cluster, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(cluster, "_QUEUE_SECONDS", 0.0)


def asked(*answers):
    """A cluster whose queue gives these answers in turn, an exception by raising it and a function by calling it."""
    left = list(answers)

    def look(root):
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    return SimpleNamespace(look=look, left=left, ended_well=lambda root, keys: set())


def watch(store, records, attempts=None):
    said, told = [], []
    progress = SimpleNamespace(say=said.append, result=lambda stage, result: told.extend(result.cells))
    fit = SimpleNamespace(key="f")
    cells = {record["key"]: SimpleNamespace(key=record["key"], severity=0, fit=fit) for record in records}
    return cluster._Watch(store, cells, attempts or {}, progress), said, told


def test_a_queue_that_does_not_answer_is_said_once_and_watching_goes_on(tmp_path):
    store = Store(tmp_path)
    record = write(store, "naver")
    store.record_path(record["key"]).unlink()
    busy, down = {record["key"]: "running"}, UsageError("squeue: Unable to contact slurm controller")
    seen, said, told = watch(store, [record])
    slurm = asked(busy, down, down, {}, lambda: store.write(record) or busy, {})
    cluster._follow(slurm, seen)
    assert said == ["squeue: Unable to contact slurm controller; still watching"]
    assert [(each.key, each.status) for each in told] == [(record["key"], "ok")]
    assert (seen.left, slurm.left) == ({}, [])


def test_watching_ends_when_nothing_is_queued_and_knows_older_records(tmp_path):
    store = Store(tmp_path)
    record = write(store, "naver", status="failed", attempt=2)
    seen, _, told = watch(store, [record], {record["key"]: 2})
    cluster._follow(asked({}, {}), seen)
    assert (list(seen.left), told) == ([record["key"]], [])
    store.write({**record, "attempt": 3})
    seen.tell_news()
    assert [(each.key, each.status) for each in told] == [(record["key"], "failed")]


def test_a_record_that_is_seen_late_is_waited_for_where_its_job_ended_well(tmp_path, monkeypatch):
    """As over NFS, where a minute may pass; not where the job died, and not for ever."""
    store = Store(tmp_path)
    record, other = write(store, "naver"), write(store, "mtss")
    for each in (record, other):
        store.record_path(each["key"]).unlink()
    seen, _, told = watch(store, [record, other])
    asked_of, slurm = [], asked({}, {})

    def ended_well(root, keys):
        asked_of.append(set(keys))
        if len(asked_of) == 3:
            store.write(record)
        return set(keys) & {record["key"]}

    slurm.ended_well = ended_well
    cluster._follow(slurm, seen)
    assert ([each.key for each in told], list(seen.left)) == ([record["key"]], [other["key"]])
    assert len(asked_of) == 4
    monkeypatch.setattr(cluster, "_LATE_SECONDS", 0.0)
    slurm = asked({}, {})
    slurm.ended_well = lambda root, keys: set(keys)
    cluster._follow(slurm, seen)
    assert list(seen.left) == [other["key"]]


def test_a_limit_on_running_jobs_that_cannot_be_kept_is_said():
    def summary(arrays, max_running):
        made = [JobArray("fit", [Bundle([], 1.0, 0.0, True)] * 4, 20, 1000, max_running=min(max_running, 4)) for _ in range(arrays)]
        return cluster._summary(made, [], {}, SimpleNamespace(partition="", max_running=max_running))

    assert "submitted 0 cells in 12 jobs of 3 arrays; up to 6 jobs of kind fit may run at a time, not 2" in summary(3, 2)
    assert summary(1, 2) == "submitted 0 cells in 4 jobs of 1 arrays"
    assert summary(3, 0) == "submitted 0 cells in 12 jobs of 3 arrays"
