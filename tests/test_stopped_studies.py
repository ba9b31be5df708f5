"""A comparison that is asked to stop, at whatever it is about to write: nothing is left behind."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from safebasin.run import atomic
from safebasin.run.lock import HOLDER
from safebasin.run.verify import verify

OPTIONS = ["--steps", "2", "--limit", "2", "--max-new-tokens", "2", "--device", "cpu"]


def stop_at(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Let a scheduler ask the process to stop when a file of this place is to be put there."""
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        if Path(target).match(place):
            monkeypatch.setattr(atomic.os, "replace", real)
            os.kill(os.getpid(), signal.SIGTERM)
        real(source, target)

    monkeypatch.setattr(atomic.os, "replace", replace)


def test_a_comparison_asked_to_stop_leaves_nothing_behind(
    command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, scratch = tmp_path / "compared", tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    before, children = signal.getsignal(signal.SIGTERM), psutil.Process().children()
    arguments = ["compare", "testbed:aligned", "testbed:benign", *OPTIONS, "--out", folder]
    places = ["path/points/*.jsonl", "comparison.json"]
    try:
        for place in places:
            stop_at(monkeypatch, place)
            code, _, err = command(*arguments)
            assert (code, "interrupted: " in err) == (130, True), err
            names = {path.name for path in folder.rglob("*")}
            assert not {HOLDER, *filter(atomic.is_temporary, names)} & names
            assert list(scratch.glob("safebasin*")) == []
            # The process that renders templates serves whoever asks next in this one.
            left = [one for one in psutil.Process().children() if one not in children]
            assert not [one for one in left if "chat_process" not in " ".join(one.cmdline())]
            runs = [path.parent for path in folder.rglob("manifest.json")]
            assert [one for run in runs for one in verify(run).problems] == []
        code, _, err = command(*arguments)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert code == 5, err  # two prompts are too few for a verdict
    assert (folder / "comparison.json").is_file()
