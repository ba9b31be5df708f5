"""What a timed command takes: its own memory, and not that of the process which started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SLEEPS = "held = bytearray(b'1') * (40 << 20); import time; time.sleep(0.5)"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_the_peak_is_that_of_the_command_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import attribution_commands

    held = bytearray(b"1") * (400 << 20)
    running = subprocess.Popen([sys.executable, "-c", SLEEPS])
    status, used, peak = attribution_commands._awaited(running.pid)
    running.returncode = status
    assert status == 0
    assert used.ru_utime + used.ru_stime > 0  # by the tick it may all be the one or the other
    assert 40 << 20 < peak < len(held)
