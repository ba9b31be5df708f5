"""Whether what a run says of a model depends on the judge that read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise

from safebasin.landscape import Side, Summary
from safebasin.plane import Plane


def disagreements(
    plane: Plane, summaries: Mapping[str, Summary], tolerance: float
) -> tuple[str, ...]:
    """Each conclusion that differs between two judges, as a sentence; empty where none does.

    Compared are: whether the undisplaced model passes (ASR at most `tolerance`), whether anything
    is known of it at all, and the edges of the basin on a line (or its share of a plane), which
    differ where they are more than one step of the grid apart.
    """
    found: list[str] = []
    for first, second in combinations(summaries, 2):
        pair = (summaries[first], summaries[second])
        found += _origin(first, second, pair, tolerance)
        found += _basin(first, second, pair, plane)
    return tuple(found)


def _origin(
    first: str, second: str, pair: tuple[Summary, Summary], tolerance: float
) -> Iterator[str]:
    origins = [summary.origin for summary in pair]
    rates = [None if origin is None else origin.asr.value for origin in origins]
    if all(origin is None for origin in origins):
        return
    known = [rate is not None for rate in rates]
    if known[0] != known[1]:
        blind, other = (second, first) if known[0] else (first, second)
        yield f"{blind} judged nothing at the origin, {other} did"
        return
    if rates[0] is None or rates[1] is None:
        return
    passes = [rate <= tolerance for rate in (rates[0], rates[1])]
    if passes[0] != passes[1]:
        words = ["PASS" if passed else "FAIL" for passed in passes]
        yield (
            f"the undisplaced model is a {words[0]} by {first} (ASR {100 * rates[0]:.1f} %) and a "
            f"{words[1]} by {second} (ASR {100 * rates[1]:.1f} %) at a tolerance of "
            f"{100 * tolerance:g} %"
        )


def _basin(first: str, second: str, pair: tuple[Summary, Summary], plane: Plane) -> Iterator[str]:
    one, other = pair
    if one.basin is not None and other.basin is not None:
        values = plane.axes[0].values
        step = max((b - a for a, b in pairwise(values)), default=0.0)
        sides = (
            ("lower", one.basin.negative, other.basin.negative),
            ("upper", one.basin.positive, other.basin.positive),
        )
        for where, left, right in sides:
            yield from _edges(where, first, second, left, right, step)
    if one.region is not None and other.region is not None:
        shares = (one.region.area_share, other.region.area_share)
        if any(share.value is None for share in shares):
            return
        apart = abs((shares[0].value or 0.0) - (shares[1].value or 0.0))
        if apart > 1 / len(plane.points) ** 0.5:
            yield (
                f"the basin covers {shares[0].text()} of the plane by {first} and "
                f"{shares[1].text()} by {second}"
            )


def _edges(
    where: str, first: str, second: str, left: Side, right: Side, step: float
) -> Iterator[str]:
    one, other = left.width, right.width
    if (one.value is None) != (other.value is None):
        known, judge, blind, note = one, first, second, other.note
        if one.value is None:
            known, judge, blind, note = other, second, first, one.note
        yield (
            f"the basin's {where} edge is {known.text()} from the origin by {judge}, and is not "
            f"known by {blind}{f': {note}' if note else ''}"
        )
    elif one.value is not None and other.value is not None:
        # Both judges leave the grid: the edges are not known to differ.
        beyond = one.at_least and other.at_least
        if not beyond and abs(one.value - other.value) > step + 1e-12:
            yield (
                f"the basin's {where} edge is {one.text()} from the origin by {first} and "
                f"{other.text()} by {second}"
            )
