"""The lines of progress of a training and of a search."""

from __future__ import annotations

import pytest

from safebasin.cli import steps
from safebasin.cli.steps import Steps


def test_a_line_tells_the_step_what_it_reached_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(steps.time, "monotonic", lambda: now)
    told = Steps("step", "loss {:.4f}".format)
    # It goes on at step 41 of 60, as a training that was interrupted does: 10 seconds a step.
    for done, reached in ((41, 2.0), (42, 1.5), (43, None), (60, 0.25)):
        now = 10.0 * (done - 40)
        told(done, 60, reached)
    lines = [line.split("safebasin: ")[-1] for line in capsys.readouterr().err.splitlines()]
    # Not at 10 s; at 20 s; not at 30 s, ten seconds later; always at the last step.
    assert lines == [
        "step 42 of 60 · loss 1.5000 · 3 min left",
        "step 60 of 60 · loss 0.2500 · 1 s left",
    ]
