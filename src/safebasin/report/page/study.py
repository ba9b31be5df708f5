"""What a page says of a trajectory or a comparison, beside the maps of its runs. No HTML here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safebasin.landscape import Estimate
from safebasin.report.page import changes
from safebasin.report.page.content import Measured, Place
from safebasin.report.page.texts import shown
from safebasin.report.quantities import percent, points
from safebasin.report.studies import Change, Mark, Study, Way
from safebasin.run import RunFolder

FAR = 0.5
"""A plane that leaves out more than this share of a checkpoint's way says little of it."""

_EMPTY: dict[str, Any] = {
    "verdict": "", "path": "", "limits": [], "sure": [], "rows": [], "pairs": [], "layers": [],
    "divergence": "",
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


def change(study: Study | None) -> dict[str, str] | None:
    """A comparison as the page's scripts read it: what lies at 0 and at 1 of the first run."""
    if not isinstance(study, Change):
        return None
    return {"base": shown(study.base, lines=False), "tuned": shown(study.tuned, lines=False)}


def checkpoints(study: Study | None) -> list[Place]:
    """Where the checkpoints of a trajectory were asked themselves, in their order.

    None of them where their run folder is not there. Raises RunError where it is damaged.
    """
    if not isinstance(study, Way) or study.own is None:
        return []
    run = RunFolder.read(study.own)
    judges = run.judges()
    planes = zip(run.manifest.planes, study.marks, strict=False)
    return [
        Place(run, judges, plane.points[0], f"checkpoint {number} ({mark.name})")
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
    return {**_EMPTY, "kind": "comparison", **changes.told(study, runs[:1])}


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
    if not judged:
        return f"None of the {len(way.marks)} checkpoints was judged."
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
