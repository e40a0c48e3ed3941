"""A process that is asked to stop notices between two steps, and not before it listens."""

import os
import signal
import subprocess
import sys

import pytest
from planted import ROOT

from bench import stopping


def test_the_first_reason_counts_and_can_be_forgotten():
    stopping.clear()
    stopping.check()
    stopping.request("first")
    stopping.request("second")
    assert stopping.requested()
    with pytest.raises(stopping.Stopped, match=r"^first$"):
        stopping.check()
    stopping.clear()
    assert not stopping.requested()


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_a_signal_held_back_while_a_process_starts_is_heard_once_it_listens(number):
    code = (
        "import sys; from bench import stopping; print('up', flush=True)\n"
        "sys.stdin.readline(); stopping.listen(); print(stopping.requested())"
    )
    with stopping.held_back():
        child = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    with child:
        assert child.stdout.readline() == "up\n"
        child.send_signal(number)
        assert child.communicate("go\n", timeout=20)[0] == "True\n"
    assert child.returncode == 0
