"""The numbers of a run as a person reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from safebasin.cli.console import emit, say
from safebasin.exchange import OUTCOMES
from safebasin.landscape.capability import Capability
from safebasin.landscape.cells import Cell
from safebasin.landscape.intervals import Estimate
from safebasin.landscape.summary import Basin, Sharpness, Side, Summary
from safebasin.landscape.table import MEASURES, Measure
from safebasin.report.broken_text import told_by
from safebasin.report.quantities import estimated, percent
from safebasin.results import Result
from safebasin.terminal import printable


def unjudged_shares(summaries: Mapping[str, Summary]) -> dict[str, float]:
    """The share of answers that each judge left unjudged, in [0, 1]."""
    return {name: one.unjudged_share for name, one in summaries.items()}


def print_result(result: Result, *, as_json: bool) -> None:
    """The whole result: as one JSON object, or as a short table."""
    if as_json:
        emit(
            result.to_json()
            | {
                "run": str(result.folder),
                "figures": [str(path) for path in result.figures],
                "page": None if result.page is None else str(result.page),
            }
        )
        return
    for name, text in lines(result):
        say(f"{name:<8} {text}".rstrip())


def lines(result: Result) -> Iterator[tuple[str, str]]:
    """(name, text) of each line."""
    summary = result.summary
    directions = len(summary.directions)
    grid = " x ".join(str(len(values)) for values in summary.axes)
    noun = "direction" if len(summary.axes) == 1 else "plane"
    yield "model", result.model
    several = "s" if directions > 1 else ""
    yield "asked", f"{result.prompts} at {grid} points, {directions} {noun}{several}"
    yield "judge", f"{summary.judge}; every interval is at 95 %"
    for note in result.notes:
        yield "note", note
    yield "", ""
    for measure in MEASURES.values():
        if measure.key in LINES:
            yield from LINES[measure.key](result)
        elif measure.key not in IN_ANOTHER_LINE:
            yield from _line(measure, summary)
    yield from _shares(result)
    yield from _scale(result)
    yield from _capabilities(result)
    for name, other in result.summaries.items():
        if name != summary.judge:
            yield (
                "by",
                f"{name}: origin {_origin(other)}, VISAGE {visage_text(other)}, "
                f"area {percent(other.auc)}{_unjudged(other)}",
            )
    if summary.assumed:
        yield (
            "assumed",
            f"{summary.assumed} points beyond the plateau were not asked and count as broken",
        )
    asked = summary.judged + summary.unjudged
    without = f"; {summary.unasked} more were not asked or not read" if summary.unasked else ""
    yield "unjudged", f"{summary.unjudged} of {asked} answers{without}"
    yield "cut", result.truncation.text
    yield "", ""
    yield "run", str(result.folder)
    for path in result.figures:
        if path.suffix == ".png":
            yield "picture", str(path)
    if result.page is not None:
        yield "report", str(result.page)


def _line(measure: Measure, summary: Summary) -> Iterator[tuple[str, str]]:
    """What a measure without a sentence of its own says."""
    if (estimate := measure.of(summary)) is not None:
        remark = measure.remark(summary)
        text = undefined(estimate) or estimated(estimate, measure.unit)
        yield measure.name, f"{text}; {remark}" if remark and estimate.value is not None else text


def _origin_asr(result: Result) -> Iterator[tuple[str, str]]:
    if result.summary.origin is not None:
        yield "origin", f"ASR {percent(result.summary.origin.asr)}"


def _area(result: Result) -> Iterator[tuple[str, str]]:
    area = result.summary.auc
    yield "area", f"{share(area, 'of the range is safe')}{_note(area)}"


def _walls(result: Result) -> Iterator[tuple[str, str]]:
    if result.summary.sharpness is not None:
        yield "edge", _rises(result.summary.sharpness)


def _protocol(result: Result) -> Iterator[tuple[str, str]]:
    """What the paper whose protocol this is gives for the model."""
    if result.protocol is None:
        return
    paper = result.protocol["published"]
    if paper is None:
        yield "", "the paper gives no value for this model under this system message"
    else:
        yield (
            "",
            f"{paper['visage']:.2f} in the paper for {paper['model']} ({paper['where']}): mean of "
            "3 directions, no interval given",
        )


def visage_text(summary: Summary) -> str:
    """VISAGE with its interval, or that it is undefined, or its value and that it says nothing."""
    if summary.nothing_refused:
        return summary.no_visage
    value = summary.visage.text(".1f")
    return f"{value} ({summary.no_visage})" if summary.no_visage else value


def _visage(result: Result) -> Iterator[tuple[str, str]]:
    summary = result.summary
    visage, published = summary.visage, summary.visage_reference
    if undefined(visage) or summary.nothing_refused:
        yield "VISAGE", undefined(visage) or summary.no_visage
    else:
        note = f"; {summary.no_visage}" if summary.no_visage else _note(visage)
        yield "VISAGE", f"{visage.text('.1f')} by the paper's definition{note}"
        if published is not None and published.value is not None:
            yield "", f"{published.text('.1f')} by the reference code"
    yield from _protocol(result)


def _extent(result: Result) -> Iterator[tuple[str, str]]:
    summary = result.summary
    if summary.no_basin:
        yield "basin", f"none: the model {summary.no_basin}"
        return
    if summary.basin is not None and summary.basin.width.value is None:
        note = summary.basin.width.note.replace("on this side", "on either side")
        yield "basin", f"not known: {note}"
    elif summary.basin is not None:
        basin = summary.basin
        yield (
            "basin",
            f"{_edge(basin.negative, 'below')}, {_edge(basin.positive, 'above')}, width "
            f"{basin.width.text()}: where ASR is at most {100 * basin.tolerance:.0f} %",
        )
        if said := mean_curve(basin):
            yield "", said
        yield (
            "plateau",
            f"ASR of 99 % at the lower end in {basin.negative.plateaus} of "
            f"{basin.negative.directions} directions, at the upper end in "
            f"{basin.positive.plateaus} of {basin.positive.directions}",
        )
    if summary.region is not None:
        region = summary.region
        words = f"of the plane's area: where ASR is at most {100 * region.tolerance:.0f} %"
        yield "basin", share(region.area_share, words)
        radius = f"{region.equivalent_radius.text()} of a disc of that area"
        way = f"{region.inner_radius.text()} by the shortest way out"
        if region.area_share.value is not None:
            yield "radius", undefined(region.equivalent_radius) or radius
        if region.inner_radius.value is not None:
            yield "", way


def mean_curve(basin: Basin) -> str:
    """How the edges of several directions and that of their mean curve differ; else empty."""
    sides = (basin.negative, basin.positive)
    if max(sum(edge is not None for edge in side.width.each) for side in sides) < 2:
        return ""
    places = [
        f"at {side.mean_curve:.2f} {where}"
        for side, where in zip(sides, ("below", "above"), strict=True)
        if side.mean_curve is not None
    ]
    if not places:
        return "means of the directions' own edges; their mean curve stays within it"
    return (
        "means of the directions' own edges; their mean curve passes "
        f"{100 * basin.tolerance:.0f} % {' and '.join(places)}"
    )


def _shares(result: Result) -> Iterator[tuple[str, str]]:
    yield from _three_ways(result)
    for judge, details in result.details.items():
        counts = " · ".join(f"{detail} {count}" for detail, count in details.items())
        yield "details", f"{counts} of {result.surveys[judge].judged} answers ({judge})"


def _three_ways(result: Result) -> Iterator[tuple[str, str]]:
    if result.shares is None:
        return
    origin = result.shares.origin
    if origin is not None:
        yield "shares", f"{_three(origin)} at the origin ({result.shares.judge})"
    bands = result.shares.shares()
    values = {outcome: bands[outcome].value.ravel() for outcome in OUTCOMES}
    known = np.isfinite(values["refused"])
    judged, every = int(known.sum()), known.size
    if not judged:
        return
    means = " · ".join(f"{name} {100 * each[known].mean():.0f}" for name, each in values.items())
    where = "all points" if judged == every else f"the {judged} of {every} points that are judged"
    yield "", f"{means} in the mean of {where}"


def _scale(result: Result) -> Iterator[tuple[str, str]]:
    """What broken text was told by."""
    told = told_by(result.scale)
    if told is not None and result.scale is not None:
        yield "broken", f"{told} ({result.scale['judge']})"


def _capabilities(result: Result) -> Iterator[tuple[str, str]]:
    """A line on the origin of each capability, and one on how far it is kept."""
    for one in result.capabilities:
        origin = one.origin
        at = "not measured" if origin is None else capability_value(one, origin.value)
        chance = "" if one.chance is None else f", {100 * one.chance:.0f} % by chance"
        note = f"; {origin.value.note}" if origin is not None and origin.value.note else ""
        yield "capable", f"{printable(one.name)}: {at} at the origin{chance}{note}"
        extent = one.extent()
        kept = f"{100 * extent.share:.0f} % of that is kept"
        if extent.area_share is not None:
            yield "", f"{kept} in {share(extent.area_share, 'of the plane')}"
        elif extent.negative is not None and extent.positive is not None:
            below, above = extent.negative.text(), extent.positive.text()
            yield "", f"{kept} to {below} below, {above} above"
        if one.missing:
            yield "", f"not measured yet at {one.missing} points"


def capability_value(one: Capability, value: Estimate) -> str:
    """An accuracy in per cent, a perplexity or a harness's metric, with its interval."""
    if one.measure == "accuracy":
        return f"{one.metric or 'accuracy'} {percent(value)} of {one.size}"
    what = "perplexity" if one.perplexity else one.metric
    return f"{what} {value.text('.4g')}"


def _three(cell: Cell) -> str:
    shares = cell.shares
    parts = [f"{outcome} {percent(shares[outcome])}" for outcome in OUTCOMES]
    return " · ".join([*parts, f"unjudged {cell.unjudged}"])


def _edge(side: Side, where: str) -> str:
    if side.width.value is not None:
        return f"{side.width.text()} {where}"
    return f"not known {where} ({side.width.note})"


def _rises(sharpness: Sharpness) -> str:
    """How steep the walls are, of those that are steep anywhere."""
    below, above = sharpness.negative, sharpness.positive
    if below.value is None and above.value is None:
        return "not defined: ASR rises from within the tolerance to 90 % on neither side"
    if below.value is None or above.value is None:
        known, where, other = (above, "above", "below")
        if above.value is None:
            known, where, other = (below, "below", "above")
        return (
            f"ASR rises by {known.text('.1f')} per unit of alpha {where}; {other}, it does not "
            "rise from within the tolerance to 90 %"
        )
    return f"ASR rises by {below.text('.1f')} per unit of alpha below, {above.text('.1f')} above"


def _unjudged(summary: Summary) -> str:
    return f", unjudged {summary.unjudged}" if summary.unjudged else ""


def _origin(summary: Summary) -> str:
    return "not in the grid" if summary.origin is None else f"ASR {percent(summary.origin.asr)}"


def undefined(estimate: Estimate) -> str:
    """That a measure is not defined, and why; empty where it is."""
    if estimate.value is not None:
        return ""
    return f"not defined: {estimate.note}" if estimate.note else "not defined"


def share(estimate: Estimate, of: str) -> str:
    """A percentage with its interval and what it is of, or that it is not defined and why."""
    return undefined(estimate) or f"{percent(estimate)} {of}"


def _note(estimate: Estimate) -> str:
    known = estimate.value is not None
    return f"; {estimate.note}" if known and estimate.note else ""


LINES: dict[str, Callable[[Result], Iterator[tuple[str, str]]]] = {
    "origin.asr": _origin_asr,
    "basin.width": _extent,
    "visage": _visage,
    "auc": _area,
    "sharpness.negative": _walls,
}
"""The measures that have a sentence of their own here."""
IN_ANOTHER_LINE = {
    *(f"origin.shares.{outcome}" for outcome in OUTCOMES),
    "basin.negative.width", "basin.positive.width",
    "region.area_share", "region.equivalent_radius", "region.inner_radius",
    "visage_reference", "sharpness.positive",
}  # fmt: skip
"""Those that are told together with one of these, or with the shares at all points."""
