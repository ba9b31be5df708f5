"""What a page says of a comparison: the verdict, why, how sure it is, and what moved. No HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from safebasin.landscape import Estimate
from safebasin.report.page.content import Measured
from safebasin.report.page.findings import Row
from safebasin.report.quantities import bound, percent, points, quantity
from safebasin.report.studies import Change, Limit

RISE, MARGIN, CAPABILITY, JUDGED = "rise of ASR", "margin", "capability", "share judged"


def told(change: Change, path: Sequence[Measured]) -> dict[str, Any]:
    """What the template says of it; `path` holds the run of the way from base to tuned."""
    return {
        "verdict": change.verdict or ("PASS" if change.passed else "FAIL"),
        "headline": headline(change),
        "path": (
            f"The path from {change.base} (0) to {change.tuned} (1) is inside the safety basin up "
            f"to {change.length.text()}, its effective length."
        ),
        "sure": [*_more(change), *_close(change), *_since(change, path), *_notes(change, path)],
        "divergence": _divergence(change),
        "limits": [_row(one) for one in change.limits],
        "pairs": [
            [one.name, percent(one.before), percent(one.after), points(one.rise), str(one.n)]
            for one in change.pairs
        ],
        "layers": _layers(change),
    }


def headline(change: Change) -> str:
    """Whether the tuned model passes, and by which numbers or for which first reason."""
    if not change.passed and change.reasons:
        said = (
            f"Nothing is decided on {change.tuned}."
            if change.verdict == "INCONCLUSIVE"
            else f"{change.tuned} does not pass."
        )
        return f"{said} {change.reasons[0]}"
    if not change.passed:
        why = "; ".join(_reason(change, one) for one in change.limits if not one.passed)
        return f"{change.tuned} does not pass: {why}."
    limits = {one.name: one for one in change.limits}
    said = f"{change.tuned} passes beside {change.base}"
    if (after := _after(change, "ASR")) is not None:
        said += f": its attack success rate is {percent(after)}"
    margin = limits.get(MARGIN)
    if margin is not None and margin.value is not None:
        said += f", and the same change could go on by {margin.value:.2f} of itself"
    return f"{said}."


def _more(change: Change) -> list[str]:
    """The reasons after the first, and what is in doubt beside a failure."""
    reasons = change.reasons or ()
    return [*reasons[1:], *(doubt for doubt in change.doubts if doubt not in reasons)]


def _reason(change: Change, limit: Limit) -> str:
    """Why a limit was not kept, in words; of a file that gives no reasons itself."""
    value, most = limit.value, limit.limit
    by = f", {limit.note}," if limit.note else ""
    if value is None:
        return f"its {limit.name} was not measured"
    if limit.name == RISE:
        after = _after(change, "ASR")
        to = "" if after is None else f" to {percent(after)}"
        return (
            f"its attack success rate rose{to}, by {100 * value:.1f} points{by} where "
            f"{100 * most:g} are allowed"
        )
    if limit.name == MARGIN and value < 0:
        return f"it lies outside the safety basin, {-value:.2f} of the change{by} too far"
    if limit.name == MARGIN:
        return f"its margin is {value:.2f}{by} where {most:g} is asked for"
    if limit.name == CAPABILITY:
        return f"{100 * value:.1f} % of its answers are right{by} where {100 * most:g} % are to be"
    if limit.name == JUDGED:
        return f"{100 * value:.1f} % of the prompts were judged at both ends, too few to decide"
    return f"its {limit.name} is {value:.3f}{by}, to be {limit.side} {most:g}"


def _row(one: Limit) -> Row:
    """A limit and the number held against it: shares in per cent, a rise in points."""
    name = "passed" if one.passed else "unsure" if one.state == "unsure" else "failed"
    if one.unit is not None:
        number = quantity(one.value, one.low, one.high, one.unit)
        return Row(name, f"{one.name}: {number}, {one.side} {bound(one.limit, one.unit)}", "")
    if one.value is None:
        text = f"{one.name}: not measured"
    elif one.name == RISE:
        text = f"{one.name}: {100 * one.value:+.1f} points, {one.side} {100 * one.limit:+g}"
    elif one.name in (CAPABILITY, JUDGED):
        text = f"{one.name}: {100 * one.value:.1f} %, {one.side} {100 * one.limit:g} %"
    else:
        text = f"{one.name}: {one.value:+.2f}, {one.side} {one.limit:g}"
    return Row(name, text, one.note)


def _close(change: Change) -> list[str]:
    """The limits that lie within the interval of what is held against them."""
    said = []
    for one in change.limits:
        if one.state == "unsure" or one.low is not None or one.high is not None:
            continue  # said as a reason, or decided by its whole interval
        found = _interval(change, one.name)
        if found is None or found[0].low is None or found[0].high is None:
            continue
        if found[0].low <= one.limit <= found[0].high:
            said.append(
                f"The limit of the {one.name} lies within its interval, {found[1]}: more prompts "
                "could turn this part of the verdict."
            )
    return said


def _interval(change: Change, name: str) -> tuple[Estimate, str] | None:
    """The estimate behind a limit and its interval in words; None where there is none."""
    pairs = {pair.name: pair for pair in change.pairs}
    if name == RISE and "ASR" in pairs:
        rise = pairs["ASR"].rise
        return rise, f"{points(rise)} points"
    if name == CAPABILITY and CAPABILITY in pairs:
        return pairs[CAPABILITY].after, percent(pairs[CAPABILITY].after)
    length = change.length
    if name == MARGIN and None not in (length.value, length.low, length.high):
        low, value, high = (
            bound - 1 for bound in (length.low, length.value, length.high) if bound is not None
        )
        return Estimate(value, low, high), f"{value:+.2f} ({low:+.2f} to {high:+.2f})"
    return None


def _after(change: Change, name: str) -> Estimate | None:
    found = next((pair.after for pair in change.pairs if pair.name == name), None)
    return None if found is None or found.value is None else found


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
        now, then = summary.basin.positive.width, change.length
        # Their intervals are two kinds of intervals: the number alone tells.
        if now.at_least != then.at_least or _two_digits(now) != _two_digits(then):
            said.append(
                f"The path's run folder has changed since the verdict: by it the effective length "
                f"is {now.text()} now. Run the same comparison again."
            )
    return said


def _two_digits(estimate: Estimate) -> str:
    return "" if estimate.value is None else f"{estimate.value:.2f}"


def _divergence(change: Change) -> str:
    """How far the next tokens on benign prompts are from the base's; "" where it is not known."""
    found = change.divergence
    if found is None:
        return ""
    if found.mean.value is None:
        return f"KL(base ‖ tuned) on benign prompts was not measured: {found.mean.note}."
    mean, first = (
        quantity(one.value, one.low, one.high, "nats") for one in (found.mean, found.first)
    )
    return (
        f"On benign prompts, {found.prompts}, KL(base ‖ tuned) is {mean} a token over the base's "
        f"own answers, and {first} at their first token."
    )


def _notes(change: Change, path: Sequence[Measured]) -> list[str]:
    """What the comparison notes of its models, less what the page says of a run itself."""
    told = {one.truncation.warning for one in path}
    return [
        f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in change.notes if note not in told
    ]


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
