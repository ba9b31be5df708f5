"""How points and prompts are dealt out so that every worker or shard has as much to do."""

from __future__ import annotations

from itertools import pairwise


def dealt(total: int, hands: int) -> list[list[int]]:
    """The indices 0 to `total` - 1 in `hands` parts, in turn there and back.

    Points come from the origin outward, the two sides of a direction in turn. Dealt always the
    same way round, one part would get all points of a side, and sides differ in what they cost.
    """
    parts: list[list[int]] = [[] for _ in range(hands)]
    for index in range(total):
        turn, place = divmod(index, hands)
        parts[place if turn % 2 == 0 else hands - 1 - place].append(index)
    return parts


def portions(points: int, prompts: int, hands: int) -> list[slice]:
    """The prompts in as many even portions as it takes for every hand to have some work.

    One portion where there are points enough: an engine works best on all prompts of a point.
    """
    if points < 1 or points >= hands or prompts < 2:
        return [slice(0, prompts)]
    count = min(-(-hands // points), prompts)
    bounds = [part * prompts // count for part in range(count + 1)]
    return [slice(start, end) for start, end in pairwise(bounds)]
