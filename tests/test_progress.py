"""The time left that a line of progress tells, and that it is not told too early."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from safebasin.cli import progress
from safebasin.cli.counting import AnswerCount
from safebasin.cli.progress import ScanProgress
from safebasin.exchange import Exchange
from safebasin.judges import KeywordJudge
from safebasin.plane import Point

FIRST, SECOND = Point(), Point.of({"d": 0.1})


def answers(count: int) -> list[Exchange]:
    return [Exchange(f"p{i}", "?", "Sure.", "stop", 1, 1) for i in range(count)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock on by so many seconds."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


def counted(kind: type[ScanProgress] | type[AnswerCount]) -> ScanProgress | AnswerCount:
    return ScanProgress(KeywordJudge()) if kind is ScanProgress else AnswerCount()


@pytest.mark.parametrize("kind", [ScanProgress, AnswerCount])
def test_the_first_answers_of_a_batch_foretell_no_time(
    kind: type[ScanProgress] | type[AnswerCount],
    clock: Callable[[float], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = counted(kind)
    clock(500)  # nothing of what comes before counts
    shown.started(80, 0)
    clock(61)
    shown.answered(FIRST, answers(2))
    assert "2 of 80 answers" in (line := capsys.readouterr().err)
    assert "left" not in line
    shown.answered(FIRST, answers(2))
    shown.finished(FIRST)
    clock(61)
    shown.answered(SECOND, answers(1))
    # 122 seconds for 5 answers, and 75 to come: 1,830 seconds, rounded.
    assert "5 of 80 answers" in (line := capsys.readouterr().err)
    assert "30 min left" in line


@pytest.mark.parametrize("kind", [ScanProgress, AnswerCount])
def test_a_pool_of_many_points_tells_it_from_a_tenth_on(
    kind: type[ScanProgress] | type[AnswerCount],
    clock: Callable[[float], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = counted(kind)
    shown.started(100, 20)
    clock(100)
    shown.answered(SECOND, answers(8))
    # 100 seconds for 8 answers, and 72 to come: 900 seconds.
    assert "28 of 100 answers" in (line := capsys.readouterr().err)
    assert "15 min left" in line
