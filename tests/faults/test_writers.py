"""Two hundred writers at once, threads of several processes: every record is whole at every moment, and none is lost."""

import json
import multiprocessing
import threading

from handmade import record

from bench.store import Store

PROCESSES, THREADS, ROUNDS = 4, 50, 5
SHARED = [f"{number:02x}" + "f" * 62 for number in range(5)]


def written(key, writer, number):
    """With a text that a torn file or a mixture of two writers would show."""
    return record(key, attempt=number, reason=f"{writer} " * 500)


def write_all(root, process, together):
    """Threads that start at once and write keys of their own and keys of everybody."""
    gate = threading.Barrier(THREADS)

    def work(thread):
        store, writer = Store(root), process * THREADS + thread
        gate.wait()
        for number in range(ROUNDS):
            store.write(written(f"{writer:02x}{number:02x}" + "0" * 60, writer, number))
            store.write(written(SHARED[number % len(SHARED)], writer, number))

    together.wait()
    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def is_whole(found):
    words = set(found["reason"].split())
    return len(words) == 1 and found["reason"] == f"{words.pop()} " * 500


def test_two_hundred_writers_lose_and_tear_nothing(tmp_path, caplog):
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(PROCESSES)
    writers = [context.Process(target=write_all, args=(tmp_path, process, together)) for process in range(PROCESSES)]
    for writer in writers:
        writer.start()
    seen, store = 0, Store(tmp_path)
    while any(writer.is_alive() for writer in writers):
        for key in SHARED:
            found = store.read(key)
            assert found is None or is_whole(found)
            seen += found is not None
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * PROCESSES
    assert seen > 0
    found = {each["key"]: each for each in store.records()}
    assert len(found) == PROCESSES * THREADS * ROUNDS + len(SHARED)
    assert all(is_whole(each) for each in found.values())
    own = {key: each for key, each in found.items() if key not in SHARED}
    assert all(key == f"{int(each['reason'].split()[0]):02x}{each['attempt']:02x}" + "0" * 60 for key, each in own.items())
    assert caplog.messages == []
    assert list(tmp_path.rglob(".tmp-*")) == list(tmp_path.rglob("*.damaged")) == []
    assert json.loads(store.record_path(SHARED[0]).read_bytes())["key"] == SHARED[0]
