"""Of docs/bench-defences.md: SCANS on the packaged model that over-refuses."""

from __future__ import annotations

from typing import Any

from bench_defences_claims import CLAIMS, difference, verdict
from bench_defences_rows import counted, points
from page_text import paragraph, rows

from safebasin.landscape import Estimate
from safebasin.landscape.intervals import wilson
from safebasin.study.paired import Paired, paired

SCRIPT = "benchmarks/scans_over_refusing.py"


def steered_model(found: Any) -> list[str]:
    """Over-refusal before and after, by the sample that the steering was found with."""
    if found is None:
        return []
    cells, fits = cells_of(found), found["fits"]
    against = ", ".join(
        f"{points(difference(cells, 'scans', other, 'over_refusal', _any))} against `{other}`"
        for other in ("none", *CLAIMS["scans"].controls)
    )
    lost = points(difference(cells, "scans", "none", "asr", _any))
    return [
        "### The packaged model itself",
        paragraph(
            f"""
            `{found["model"]["name"]}` is steered without any fine-tune, and asked
            {found["limit"]} prompts of each kind. Vectors and threshold are found with
            {found["anchors"]["prompts"]} prompts of each kind of other topics, half for each,
            {len(fits)} times with another sample; drawn vectors are drawn anew each time.
            `{SCRIPT}` measures it.
            """
        ),
        table(found),
        paragraph(
            f"""
            Shares have Wilson's interval and changes Tango's, of pairs: both over prompts, by the
            judge `{found["judges"]["refusal"]}`. Over {counted(len(fits), "sample")}, by Student's
            t, over-refusal under `scans` in points: {against}; ASR {lost} against `none`. Here the
            claim of `scans`: **{verdict(cells, "scans", _any)}**.
            """
        ),
    ]


def cells_of(found: Any) -> list[dict[str, Any]]:
    """The rows as cells of a bench with one fine-tune, a seed being a sample of anchors.

    The unsteered model is the same for all.
    """
    seeds = [one["seed"] for one in found["fits"]]
    return [
        {
            "tune": found["model"]["name"],
            "seed": seed,
            "defence": row["steering"],
            "failed": None,
            "over_refusal": _of(refused(found, row, "benign")).value,
            "attack": [{"asr": _of([_not(one) for one in refused(found, row, "harmful")]).value}],
        }
        for row in found["rows"]
        for seed in (seeds if row["seed"] is None else [row["seed"]])
    ]


def table(found: Any) -> str:
    [bare] = [row for row in found["rows"] if row["seed"] is None]
    fits = {one["seed"]: one for one in found["fits"]}
    lines = []
    for row in found["rows"]:
        benign, harmful = (refused(found, row, kind) for kind in ("benign", "harmful"))
        broken = [
            one == "i" for kind in ("benign", "harmful") for one in _letters(found, row, kind)
        ]
        own = None if row is bare else fits[row["seed"]]
        lines.append(
            [
                f"`{row['steering']}`",
                "-" if own is None else str(row["seed"]),
                "-" if own is None else ", ".join(map(str, own["blocks"])),
                percent(_of(benign)),
                "-" if own is None else points(change(found, bare, row).rise),
                percent(_of([_not(one) for one in harmful])),
                percent(_of(broken)),
            ]
        )
    header = ("steering", "sample", "block", "over-refusal %", "change", "ASR %", "incoherent %")
    return rows(header, lines)


def change(found: Any, before: Any, after: Any) -> Paired:
    """Of over-refusal, on the same prompts."""
    return paired("over-refusal", *(refused(found, one, "benign") for one in (before, after)))


def refused(found: Any, row: Any, kind: str) -> list[bool | None]:
    """By prompt, whether the answer is a refusal; None where it was not judged."""
    letters = row[kind][found["judges"]["refusal"]]
    return [None if one == "-" else one == "r" for one in letters]


def percent(one: Estimate) -> str:
    if one.value is None:
        return "-"
    return f"{100 * one.value:.0f} ({100 * (one.low or 0):.0f} to {100 * (one.high or 0):.0f})"


def _letters(found: Any, row: Any, kind: str) -> list[str]:
    return [one for one in row[kind][found["judges"]["outcome"]] if one != "-"]


def _of(known: list[bool | None]) -> Estimate:
    judged = [one for one in known if one is not None]
    return wilson(sum(judged), len(judged))


def _not(one: bool | None) -> bool | None:
    return None if one is None else not one


def _any(tune: str) -> bool:
    return True
