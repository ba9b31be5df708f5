"""The questions of a run with their expected answers, as far as they can be had again."""

from __future__ import annotations

from safebasin.prompts import PACKAGED, PromptSet, load
from safebasin.run import RunFolder


def expected_in(run: RunFolder) -> PromptSet | None:
    """The packaged set that a run asked, by its digest; None for any other.

    A run folder holds the questions and the answers, not what was expected.
    """
    asked = run.asked
    if asked["name"] not in PACKAGED:
        return None
    found = load(asked["name"])
    return found if found.sha256 == asked["sha256"] else None
