"""What a process does that holds another part of a model which is divided among processes."""

from __future__ import annotations

import logging

from safebasin.config import ScanConfig
from safebasin.scanning.preparation import prepare
from safebasin.spread.followers import orders


def follow(pipe: int) -> None:
    """The same as the first process does, in its order.

    Over the `pipe`, a file descriptor, it is told its settings, and then the points and prompts of
    each question.
    """
    logging.getLogger("safebasin").setLevel(logging.ERROR)
    told = orders(pipe)
    [settings] = next(told)
    engine = prepare(ScanConfig.from_json(settings), follows=True).engine
    for points, prompts, sampling in told:
        for _ in engine.answers(points, prompts, sampling):
            pass
