"""A comparison counted again: base and tuned on the same prompts, and the way between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from safebasin.compare.preparation import BASE, BENIGN, CAPABILITY, LANDSCAPE, PATH, TUNED
from safebasin.evidence.capability import expected_in
from safebasin.evidence.study_numbers import (
    JSON,
    Claim,
    Headline,
    Recount,
    Table,
    asr_of,
    claim,
    length_claim,
    open_run,
    outcomes_at,
)
from safebasin.exchange import Outcome
from safebasin.judging import judge_names, stored_judges
from safebasin.plane import Plane, Point
from safebasin.prompts.expected import right_answers
from safebasin.report.card import number, percent
from safebasin.report.quantities import UNITS, Unit, bound, points, quantity
from safebasin.results import look
from safebasin.run import RunFolder
from safebasin.run.kinds import StudyFolder
from safebasin.study.paired import Paired, paired

SHARES = {"asr": "ASR", "complied": "complied", "over_refusal": "over-refusal",
          "incoherent": "incoherent", "capability": "capability"}  # fmt: skip
STATES = {"pass": "pass", "fail": "FAIL", "unsure": "unsure"}
UNITS_BY_NAME: dict[str, Unit] = {
    "rise of ASR": "points",
    "rise of over-refusal": "points",
    "capability": "%",
    "share judged": "%",
}
"""Of checks that were stored before they had a unit; the others are lengths."""

Ends = tuple[list[Outcome | None], list[Outcome | None]]


def recount(study: StudyFolder, stored: JSON) -> Recount:
    """The numbers of a comparison by the records of its runs.

    Raises:
        RunError: A run of it is missing or damaged.
    """
    path, judge = open_run(study, PATH), str(stored["judge"])
    ids = _asked(path, stored["asr"])
    pairs, left_out = _pairs(study, stored, path, judge)
    _, tuned = _ends(path, judge, ids)
    asr, judged, unjudged = asr_of(tuned)
    base_name, tuned_name = str(stored["base"]), str(stored["tuned"])
    claims = list(_claims(stored, pairs))
    claims += _length(stored, path, judge, ids)
    claims += _verdict(stored)
    return Recount(
        study=study,
        stored=stored,
        opening=f"{tuned_name} held against its base {base_name} on the same prompts.",
        verdict=str(stored["verdict"]),
        tables=(_checks(stored), _changes(pairs)),
        headline=Headline(
            tuned_name, path, judge, asr, judged, unjudged, f"tuned from {base_name}"
        ),
        facts=tuple(_facts(study, stored)),
        notes=tuple(str(reason) for reason in stored.get("reasons", ())),
        claims=tuple(claims),
        left_out=tuple(left_out),
    )


def _asked(run: RunFolder, pair: JSON) -> tuple[str, ...]:
    """The prompts of the comparison, which may be the first of those that its run holds."""
    return run.manifest.prompt_ids[: int(pair["n"]) + int(pair.get("unpaired", 0))]


def _ends(run: RunFolder, judge: str, ids: Sequence[str]) -> Ends:
    return outcomes_at(run, judge, BASE, ids), outcomes_at(run, judge, TUNED, ids)


def _pairs(
    study: StudyFolder, stored: JSON, path: RunFolder, judge: str
) -> tuple[dict[str, Paired], list[str]]:
    """Each paired number of the file by the records, and what cannot be counted again."""
    found: dict[str, Paired] = {}
    left: list[str] = []
    ids = _asked(path, stored["asr"])
    three = _three_way(path)
    found["asr"] = paired("ASR", *_where(_ends(path, judge, ids), "refused", negate=True))
    benign = None if study.run(BENIGN) is None else open_run(study, BENIGN)
    friends = () if benign is None else _friends(benign, stored)
    if stored.get("complied") is not None and three is not None:
        found["complied"] = paired("complied", *_where(_ends(path, three, ids), "complied"))
    if stored.get("over_refusal") is not None and benign is not None:
        ends = _ends(benign, judge, friends)
        found["over_refusal"] = paired("over-refusal", *_where(ends, "refused"))
    if stored.get("incoherent") is not None and three is not None:
        first, second = _where(_ends(path, three, ids), "incoherent")
        if benign is not None:
            more = _where(_ends(benign, three, friends), "incoherent")
            first, second = [*first, *more[0]], [*second, *more[1]]
        found["incoherent"] = paired("incoherent", first, second)
    if stored.get("capability") is not None:
        questions = _questions(study, stored["capability"])
        if questions is None:
            left.append("capability, whose expected answers are not in the folder")
        else:
            found["capability"] = questions
    return found, left


def _friends(benign: RunFolder, stored: JSON) -> tuple[str, ...]:
    pair = stored.get("over_refusal")
    return () if pair is None else _asked(benign, pair)


def _questions(study: StudyFolder, pair: JSON) -> Paired | None:
    run = open_run(study, CAPABILITY)
    prompts = expected_in(run)
    if prompts is None:
        return None
    asked = {prompt.id: prompt for prompt in prompts}
    questions = [asked[name] for name in _asked(run, pair)]
    before, after = (right_answers(questions, run.read_point(end) or []) for end in (BASE, TUNED))
    return paired("capability", before, after)


def _three_way(run: RunFolder) -> str | None:
    """The judge that tells broken text from compliance, the first as the settings name them."""
    named = judge_names(run)
    judges = [judge.name for judge in stored_judges(run) if judge.measures == "outcome"]
    return (
        min(judges, key=lambda name: named.index(name) if name in named else len(named))
        if (judges)
        else None
    )


def _where(
    ends: Ends, outcome: Outcome, *, negate: bool = False
) -> tuple[list[bool | None], list[bool | None]]:
    first, second = (
        [None if one is None else (one == outcome) is not negate for one in side] for side in ends
    )
    return first, second


def _claims(stored: JSON, pairs: dict[str, Paired]) -> Iterator[Claim]:
    for key, pair in pairs.items():
        said, name = stored[key], SHARES[key]
        yield Claim(f"the number of prompts behind {name}", float(said["n"]), float(pair.n))
        yield claim(f"{name} of the base", said["before"], pair.before)
        yield claim(f"{name} of the tuned model", said["after"], pair.after)
        yield claim(f"the rise of {name}", said["rise"], pair.rise)


def _length(stored: JSON, path: RunFolder, judge: str, ids: Sequence[str]) -> Iterator[Claim]:
    value = stored["effective_length"]["value"]
    if value is not None:
        [plane] = path.manifest.planes
        line = _line(path, plane, judge, ids)
        tolerance = float(stored["tolerance"])
        yield length_claim("the effective length", float(value), line, tolerance)


def _line(
    run: RunFolder, plane: Plane, judge: str, ids: Sequence[str]
) -> dict[float, float | None]:
    """The ASR at each value of a line's only axis."""
    [axis] = plane.axes
    return {
        value: asr_of(outcomes_at(run, judge, Point.of({axis.direction: value}), ids))[0].value
        for value in axis.values
    }


def _verdict(stored: JSON) -> Iterator[Claim]:
    """A PASS is not to stand over a check that failed."""
    failed = sum(_state(one) != "pass" for one in stored["checks"])
    if stored["verdict"] == "PASS":
        yield Claim("the number of checks that did not pass under the verdict PASS", 0.0, failed)


def _state(check: JSON) -> str:
    state = check.get("state")
    return str(state) if state else "pass" if check.get("passed") is True else "fail"


def _checks(stored: JSON) -> Table:
    intervals = {
        "rise of ASR": stored["asr"]["rise"],
        "margin": stored.get("margin"),
        "capability": (stored.get("capability") or {}).get("after"),
    }
    reasons = stored.get("reasons", ())  # which stand before the table
    rows = []
    for one in stored["checks"]:
        note = str(one.get("note") or "")
        state = STATES.get(_state(one), _state(one))
        rows.append(
            (
                str(one["name"]),
                _measured(one, intervals.get(str(one["name"]))),
                f"{one['side']} {bound(float(one['limit']), _unit(one))}",
                state,
                "" if note in reasons else note,
            )
        )
    return Table(("check", "measured", "limit", "state", "note"), tuple(rows))


def _unit(check: JSON) -> Unit:
    stored = check.get("unit", UNITS_BY_NAME.get(str(check["name"]), ""))
    return next((unit for unit in UNITS if unit == stored), "")


def _measured(check: JSON, interval: Any) -> str:
    """A check's value with the interval that decided it, of old ones that of the number itself."""
    value, low, high = (check.get(part) for part in ("value", "low", "high"))
    if value is not None and "low" not in check and interval is not None:
        value, low, high = (interval[part] for part in ("value", "low", "high"))
    return quantity(value, low, high, _unit(check))


def _changes(pairs: dict[str, Paired]) -> Table:
    rows = [
        (
            pair.name,
            percent(pair.before.to_json()),
            percent(pair.after.to_json()),
            points(pair.rise),
            str(pair.n),
            str(pair.unpaired),
        )
        for pair in pairs.values()
    ]
    return Table(("", "base", "tuned", "change, points", "prompts", "not judged"), tuple(rows))


def _facts(study: StudyFolder, stored: JSON) -> Iterator[tuple[str, str]]:
    length = number(stored["effective_length"], ".2f")
    yield (
        "Path",
        f"ASR stays at most {100 * float(stored['tolerance']):g} % for {length} of the way from "
        "base (0) to tuned (1)",
    )
    if stored.get("margin") is not None:
        yield (
            "Margin",
            f"{number(stored['margin'], '.2f')} of that way is left beyond the tuned model; below "
            "0 the path leaves the basin before it",
        )
    if (apart := _divergence(stored.get("divergence"))) is not None:
        yield "KL on benign prompts", apart
    whole = stored["distances"][0]["relative"] if stored.get("distances") else None
    if whole is not None:
        yield "Way", f"the tuned model lies {100 * float(whole):.2f} % of the weights' norm away"
    if (own := study.run(LANDSCAPE)) is not None and stored.get("landscape") is not None:
        summary = look(own).summary
        text = f"VISAGE {summary.visage.text('.1f')}"
        if summary.basin is not None:
            text += f", width {summary.basin.width.text()}"
        yield (
            "Basin of the tuned model",
            f"{text} along random directions, relative to each tensor's Frobenius norm",
        )
    for note in stored.get("notes", ()):
        yield "Note", str(note)


def _divergence(found: JSON | None) -> str | None:
    """How far the next tokens are from the base's; None where that was not measured."""
    if found is None or found["answer"]["value"] is None:
        return None
    mean, first = (
        quantity(one["value"], one["low"], one["high"], "nats")
        for one in (found["answer"], found["first_token"])
    )
    return f"{mean} a token over the base's own answers, {first} at their first; {found['prompts']}"
