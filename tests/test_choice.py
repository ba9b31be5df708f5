"""What a job is expected to take, from what passes cost."""

from __future__ import annotations

import pytest

from safebasin.engines.fast.choice import DRAFTS_SAVE, Job, in_place_seconds
from safebasin.engines.fast.costs import Cost

COST = Cost(overhead=0.5, each=0.01)
JOB = Job(points=3, lines=1, prompts=16, prompt_tokens=400, limit=48, drafts=True, answer=40)


@pytest.mark.parametrize(
    ("pace", "passes"), [(None, 3 * 48 / DRAFTS_SAVE), (1.0, 3 * 48), (0.5, 3 * 24)]
)
def test_passes_follow_the_pace_that_was_measured(pace: float | None, passes: float) -> None:
    job = Job(3, 1, 16, 400, limit=48, drafts=True, answer=40, pace=pace)
    tokens = 3 * (16 * 40 + 400)
    assert in_place_seconds(job, COST, rows=16) == pytest.approx(passes * 0.5 + tokens * 0.01)


def test_rows_that_do_not_fit_side_by_side_take_passes_of_their_own() -> None:
    together, apart = (in_place_seconds(JOB, COST, rows) for rows in (16, 4))
    more = 3 * (16 * 40 / 4 - 48) / DRAFTS_SAVE
    assert apart - together == pytest.approx(more * 0.5)
