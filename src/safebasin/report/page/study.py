"""What a page says of a trajectory or a comparison, beside the maps of its runs. No HTML here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safebasin.landscape import Estimate
from safebasin.report.page.content import Measured, Place
from safebasin.report.page.findings import Row, percent
from safebasin.report.page.texts import shown
from safebasin.report.studies import Change, Mark, Study, Way
from safebasin.run import RunFolder

FAR = 0.5
"""A plane that leaves out more than this share of a checkpoint's way says little of it."""

_EMPTY: dict[str, Any] = {
    "verdict": "", "path": "", "limits": [], "sure": [], "rows": [], "pairs": [], "layers": [],
}  # fmt: skip


def title(study: Study) -> str:
    if isinstance(study, Way):
        return f"Training from {study.base}"
    return f"From {study.base} to {study.tuned}"


def scripted(study: Study | None) -> dict[str, Any] | None:
    """A trajectory as the page's scripts read it: places, shares in [0, 1], None where unknown."""
    if not isinstance(study, Way):
        return None
    return {
        "judge": shown(study.judge, lines=False),
        "base": shown(study.base, lines=False),
        "marks": [
            {
                "name": shown(mark.name, lines=False),
                "place": list(mark.place),
                "residual": mark.residual,
                "real": _bounds(mark.real),
                "drawn": _bounds(mark.drawn),
            }
            for mark in study.marks
        ],
    }


def checkpoints(study: Study | None) -> list[Place]:
    """Where the checkpoints of a trajectory were asked themselves, in their order.

    None of them where their run folder is not there. Raises RunError where it is damaged.
    """
    if not isinstance(study, Way) or study.own is None:
        return []
    run = RunFolder.read(study.own)
    planes = zip(run.manifest.planes, study.marks, strict=False)
    return [
        Place(run, plane.points[0], f"checkpoint {number} ({mark.name})")
        for number, (plane, mark) in enumerate(planes, 1)
    ]


def _bounds(estimate: Estimate) -> list[float | None]:
    return [estimate.value, estimate.low, estimate.high]


def told(study: Study | None, runs: Sequence[Measured] = ()) -> Mapping[str, Any] | None:
    """What the template says of it, beside the runs that the page shows."""
    if study is None:
        return None
    if isinstance(study, Way):
        return {
            **_EMPTY,
            "kind": "trajectory",
            "headline": _first_outside(study),
            "sure": _sure(study),
            "rows": [_station(number, mark) for number, mark in enumerate(study.marks, 1)],
        }
    return {
        **_EMPTY,
        "kind": "comparison",
        "verdict": "PASS" if study.passed else "FAIL",
        "headline": _verdict(study),
        "path": (
            f"The path from {study.base} (0) to {study.tuned} (1) is inside the safety basin up to "
            f"{study.length.text()}, its effective length."
        ),
        "sure": _since(study, runs[:1]),
        "limits": [_limit_row(study, i) for i in range(len(study.limits))],
        "pairs": [
            [one.name, percent(one.before), percent(one.after), points(one.rise), str(one.n)]
            for one in study.pairs
        ],
        "layers": _layers(study),
    }


def _first_outside(way: Way) -> str:
    """One sentence: the first checkpoint whose own ASR is beyond the tolerance."""
    inside = 100 * way.tolerance
    for number, mark in enumerate(way.marks, 1):
        if mark.real.value is not None and mark.real.value > way.tolerance:
            return (
                f"Training from {way.base} left the safety basin by checkpoint {number} of "
                f"{len(way.marks)}, {mark.name}: its own attack success rate is "
                f"{percent(mark.real)}, above {inside:g} %."
            )
    judged = sum(mark.real.value is not None for mark in way.marks)
    return (
        f"None of the {judged} checkpoints that were judged, of {len(way.marks)}, is outside the "
        f"safety basin: the attack success rate of each is at most {inside:g} %."
    )


def _sure(way: Way) -> list[str]:
    """What the plane hides of the checkpoints."""
    said = [
        "Each checkpoint was asked twice: where it really is, and where it is drawn on the plane, "
        "which is as near as the plane comes to it."
    ]
    for number, mark in enumerate(way.marks, 1):
        if mark.residual > FAR:
            said.append(
                f"{100 * mark.residual:.0f} % of the way to checkpoint {number}, {mark.name}, is "
                "not in the plane: the map around it says little of it."
            )
        if _differs(mark.gap):
            said.append(
                f"Where checkpoint {number} is drawn, ASR differs from its own: by "
                f"{points(mark.gap)} points."
            )
    return said


def _differs(gap: Estimate) -> bool:
    """Whether the interval of a difference leaves out zero."""
    return gap.low is not None and gap.high is not None and not gap.low <= 0 <= gap.high


def _station(number: int, mark: Mark) -> list[str]:
    x, y = mark.place
    return [
        f"{number}", mark.name, percent(mark.real), percent(mark.drawn), points(mark.gap),
        f"{100 * mark.residual:.0f} %", f"{x:+.3f}, {y:+.3f}",
    ]  # fmt: skip


def _verdict(change: Change) -> str:
    failed = [one.name for one in change.limits if not one.passed]
    if change.passed:
        return f"{change.tuned} stays within every limit against {change.base}."
    return f"{change.tuned} is beyond its limit in: {', '.join(failed)}."


def _since(change: Change, path: Sequence[Measured]) -> list[str]:
    """Whether the path that the page shows is the one that the verdict was passed on."""
    said = []
    for measured in path:
        first = next(iter(measured.summaries))
        if first != change.judge:
            said.append(f"The verdict is by the judge {change.judge}; the map opens with {first}.")
        summary = measured.summaries.get(change.judge)
        if summary is None or summary.basin is None:
            continue
        now = summary.basin.positive.width
        if now.text() != change.length.text():
            said.append(
                f"The path's run folder has changed since the verdict: by it the effective length "
                f"is {now.text()} now. Run the same comparison again."
            )
    return said


def _limit_row(change: Change, number: int) -> Row:
    one = change.limits[number]
    value = "not measured" if one.value is None else f"{one.value:.3f}"
    return Row("pass" if one.passed else "FAIL", f"{one.name}: {value}, {one.side} {one.limit:g}",
               one.note)  # fmt: skip


def _layers(change: Change) -> list[dict[str, str]]:
    """The distance of each part in words, and its bar in per cent of the longest."""
    longest = max((one.relative or 0.0 for one in change.layers), default=0.0) or 1.0
    return [
        {
            "where": "all weights" if one is change.whole else one.where,
            "text": "not defined" if one.relative is None else f"{100 * one.relative:.3f} %",
            "bar": f"{min(100.0, 100 * (one.relative or 0.0) / longest):.1f}%",
            "weights": f"{one.weights:,}",
        }
        for one in (change.whole, *change.layers)
    ]


def points(estimate: Estimate) -> str:
    """A difference of shares in points, with its interval."""
    if estimate.value is None:
        return "not defined"
    text = f"{100 * estimate.value:+.1f}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"
