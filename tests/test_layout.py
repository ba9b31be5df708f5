"""How a pass lies: the short way for one token a row is the general one's."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from safebasin.engines.fast import layout
from safebasin.engines.fast.layout import Feed, Layout, lay_out

LENGTH = 300
CPU = torch.device("cpu")

starts = st.lists(st.integers(0, 120), min_size=1, max_size=60)


def general(feeds: list[Feed]) -> Layout:
    """By the general way, which every other case takes."""
    own = layout._lay_out_simple
    layout._lay_out_simple = lambda *args: None
    try:
        return lay_out(feeds, LENGTH, torch.float32, CPU)
    finally:
        layout._lay_out_simple = own


@given(starts, st.integers(0, 5), st.sampled_from([1, 8, 121]))
def test_one_token_a_row_lies_as_in_general(found: list[int], first: int, spread: int) -> None:
    feeds = [Feed(first + row, start % spread + 40, [row % 7]) for row, start in enumerate(found)]
    simple = layout._lay_out_simple(feeds, LENGTH, torch.float32)
    expected = general(feeds)
    assert (simple is None) <= (len(feeds) * spread > layout.GROUP_COST["cpu"])
    if simple is None:
        return
    for name in ("ids", "positions", "places"):
        assert torch.equal(getattr(simple, name), getattr(expected, name))
    assert simple.wanted is expected.wanted is simple.restore is expected.restore is None
    [one], [other] = simple.groups, expected.groups
    assert torch.equal(one.mask, other.mask)
    assert one.mask.shape == other.mask.shape
    assert one.mask.dtype == other.mask.dtype
    for name in ("tokens", "pick", "slots", "queries", "length"):
        assert getattr(one, name) == getattr(other, name)


def test_every_other_pass_is_left_to_the_general_way() -> None:
    others = [
        [Feed(0, 5, [1]), Feed(2, 5, [1])],  # a slot between them
        [Feed(1, 5, [1]), Feed(0, 5, [1])],  # in another order
        [Feed(0, 5, [1, 2]), Feed(1, 5, [1])],  # two tokens
        [Feed(0, 5, [1], 0), Feed(1, 5, [1])],  # a prediction that nobody wants
        [Feed(0, 5, [1]), *(Feed(1 + row, 250, [1]) for row in range(40))],  # of unlike lengths
    ]
    for feeds in others:
        assert layout._lay_out_simple(feeds, LENGTH, torch.float32) is None
