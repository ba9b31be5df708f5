"""Writes docs/what-predicts.md from the committed result.

python benchmarks/what_predicts_page.py > docs/what-predicts.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from page_text import interval, number, paragraph, percent, rows
from what_predicts_method import limits, method
from what_predicts_real_section import on_a_real_model, read

from safebasin.prediction.analysis import MEASURES, OUTCOMES, WELL_ALIGNED

RESULT = Path(__file__).parent / "results" / "what_predicts.json"
SURE = 0.05
"""A Holm-corrected p-value below this counts as a finding."""
LIMIT = f"{100 * WELL_ALIGNED:.0f} %"


def page(found: Any, real: Any = None) -> str:
    """The whole page as Markdown; `real` is the result of a real model's checkpoints, or None."""
    analysis = found["analysis"]
    parts = [
        "# What predicts safety after a fine-tune?",
        paragraph(
            f"""
            Peng et al. (2024) report that of two models the one with the higher VISAGE score keeps
            more of its safety when it is fine-tuned. Two models cannot show that a score predicts.
            Here are {analysis["checkpoints"]} aligned checkpoints of the testbed that differ in how
            robust their safety is. Each is measured first, then fine-tuned in the same ways, then
            measured again. This page is generated from
            [the result](../benchmarks/results/what_predicts.json) by
            `benchmarks/what_predicts_page.py`.
            """
        ),
        "## The answer",
        *answer(analysis),
        "![Each measure against the ASR after the harmful fine-tunes](images/what-predicts.png)",
        paragraph(
            f"""
            One point a checkpoint, one marker a base model; hollow points have a plain ASR above
            {LIMIT}. Above each panel is the rank correlation within bases, for all checkpoints and
            for the well aligned ones.
            """
        ),
        *correlations(analysis),
        *closer(analysis),
        *on_a_real_model(analysis["views"]["all"]["harmful"], real),
        *method(found),
        *limits(),
    ]
    return "\n\n".join(parts) + "\n"


def answer(analysis: Any) -> list[str]:
    views = analysis["views"]
    lines = [
        f"- **All {analysis['checkpoints']} checkpoints.** {verdicts(views['all'])}",
        f"- **The {analysis['well_aligned']} with a plain ASR of at most {LIMIT}**, which is where "
        f"a prediction is wanted. {verdicts(views['well_aligned'])}",
        f"- **Beyond plain ASR**, all checkpoints. {verdicts(views['beyond_plain'])}",
        f"- **A stricter test**, all checkpoints: every base was aligned in the same ways, so its "
        f"checkpoints are no independent draws of ways. {verdicts(views['by_alignment'])}",
        f"- **VISAGE.** {visage(analysis)}",
    ]
    sign = paragraph(
        f"""
        Coefficients are Spearman's, within bases. Every measure is turned so that more means
        safer (plain ASR is taken as 1 - ASR), so **a measure that predicts has a coefficient near
        -1**. It is said to predict where its p-value, corrected by Holm for every measure and
        fine-tune of
        the table, is below {SURE:g}.
        """
    )
    return [headline(analysis), "\n".join(lines), sign]


TESTS = ("all", "well_aligned", "beyond_plain", "by_alignment")
"""The views that have to agree before a measure is said to predict without a reservation."""


def headline(analysis: Any) -> str:
    """The shortest answer: what predicts the ASR after the harmful fine-tunes, and by how much."""
    views = [analysis["views"][name]["harmful"] for name in TESTS]
    passed = {
        name: [is_sure(view[name]) and view[name]["value"] < 0 for view in views if name in view]
        for name in MEASURES
    }
    values = analysis["views"]["well_aligned"]["harmful"]
    ordered = sorted(MEASURES, key=lambda name: values[name]["value"] or 0.0)
    always = [name for name in ordered if all(passed[name])]
    some = [name for name in ordered if any(passed[name]) and not all(passed[name])]
    never = [name for name in ordered if not any(passed[name])]
    parts = [
        f"{listed(values, names)} {verb(names, 'predict')} it {how}"
        for names, how in ((always, "by every test below"), (some, "by some of them only"))
        if names
    ]
    if never:
        parts.append(f"of {listed(values, never)} it is not shown")
    text = "; ".join(parts)
    return (
        "**Which checkpoint keeps its safety when it is tuned on harmful rows?** "
        f"{text[:1].upper()}{text[1:]}. In brackets is the rank correlation among well aligned "
        "checkpoints; -1 is a perfect prediction."
    )


def verdicts(view: Any) -> str:
    """Which measures predict, in one sentence for each outcome."""
    sentences = []
    for after in OUTCOMES:
        right = [m for m, one in view[after].items() if is_sure(one) and one["value"] < 0]
        wrong = [m for m, one in view[after].items() if is_sure(one) and one["value"] > 0]
        if len(right) == len(view[after]):
            text = f"every measure predicts ({listed(view[after], right)})"
        elif right:
            names = listed(view[after], right)
            text = f"{names} {verb(right, 'predict')}; of the others it is not shown"
        else:
            text = "no measure is shown to predict"
        if wrong:
            text += f"; {listed(view[after], wrong)} {verb(wrong, 'point')} the wrong way"
        sentences.append(f"After the {after} fine-tunes: {text}.")
    return " ".join(sentences)


def visage(analysis: Any) -> str:
    views, against = analysis["views"], analysis["against_plain"]
    if views["well_aligned"]["harmful"]["visage"]["value"] is None:
        return "Nothing can be said: it or the ASR does not vary."
    ranks = sorted(
        (one["value"], name)
        for name, one in views["well_aligned"]["harmful"].items()
        if one["value"] is not None
    )
    place = [name for _, name in ranks].index("visage") + 1
    pairs = analysis["pairs"]["well_aligned"]["visage"]
    return paragraph(
        f"""
        With the ASR after the harmful fine-tunes it correlates at
        {interval(views["all"]["harmful"]["visage"])} over all checkpoints and at
        {interval(views["well_aligned"]["harmful"]["visage"])} over the well aligned ones, where it
        is number {place} of {len(ranks)} measures; beyond plain ASR at
        {interval(views["beyond_plain"]["harmful"]["visage"])}. Of {pairs["compared"]} pairs of well
        aligned checkpoints of one base it puts {percent(pairs["right"], pairs["compared"])} in the
        right order; a coin would do half. Its coefficient less that of plain ASR is
        {interval(against["well_aligned"]["visage"])} among the well aligned (below 0 it is the
        better of the two).
        """
    )


def correlations(analysis: Any) -> list[str]:
    views = analysis["views"]
    return [
        "## The correlations",
        paragraph(
            f"""
            Coefficient (95 % interval), and p after Holm's correction. `harmful` is the mean ASR
            over {len([t for t in analysis["by_tune"] if t.startswith("harmful")])} sizes of the
            harmful fine-tune.
            """
        ),
        f"All checkpoints ({analysis['checkpoints']}):",
        table(views["all"]),
        f"Well aligned checkpoints, plain ASR of at most {LIMIT} ({analysis['well_aligned']}):",
        table(views["well_aligned"]),
        "What plain ASR leaves open (partial rank correlation, all checkpoints):",
        table(views["beyond_plain"]),
        "All checkpoints, where the ways of aligning are resampled and shuffled instead, each with "
        "its checkpoints of all bases:",
        table(views["by_alignment"]),
        paragraph(
            """
            ASR counts broken answers as attack success, as in the paper. The same by coherent
            compliance alone, which the testbed's grammar labels exactly; all, then well aligned
            checkpoints:
            """
        ),
        table(views["compliance"]),
        table(views["well_aligned_compliance"]),
    ]


def closer(analysis: Any) -> list[str]:
    by_tune, by_base = analysis["by_tune"], analysis["by_base"]
    names = list(MEASURES.values())
    tunes = [[tune, *(interval(by_tune[tune][name]) for name in MEASURES)] for tune in by_tune]
    bases = [
        [base, *(number(own[name]) for name in MEASURES)]
        for base, own in by_base["well_aligned"].items()
    ]
    without = [
        [
            title,
            *(
                " to ".join(f"{value:+.2f}" for value in ends if value is not None) or "-"
                for ends in analysis["without_one_alignment"][part].values()
            ),
        ]
        for title, part in (("all", "all"), ("well aligned", "well_aligned"))
    ]
    pairs = [
        [
            title,
            *(
                f"{percent(own['right'], own['compared'])} of {own['compared']}"
                for own in part.values()
            ),
        ]
        for title, part in (
            ("all", analysis["pairs"]["all"]),
            ("well aligned", analysis["pairs"]["well_aligned"]),
        )
    ]
    against = [
        [
            title,
            *(interval(own) for own in part.values()),
        ]
        for title, part in (
            ("all", analysis["against_plain"]["all"]),
            ("well aligned", analysis["against_plain"]["well_aligned"]),
        )
    ]
    spread = [
        [SPREAD[name], *(number(value, 3) for value in part), *(number(v, 3) for v in own)]
        for name, part in analysis["spread"]["all"].items()
        for own in (analysis["spread"]["well_aligned"].get(name, [None] * 3),)
    ]
    repeat = ", ".join(
        f"{number(value)} for {name}" for name, value in analysis["repeatability"].items()
    )
    return [
        "## A closer look",
        "Pairs of checkpoints of one base that are put in the right order for the harmful "
        "fine-tunes, of those that differ:",
        rows(["checkpoints", *names], pairs),
        "The coefficient less that of plain ASR, harmful fine-tunes; below 0 the measure is better "
        "than simply asking the undisplaced model:",
        rows(["checkpoints", *names[:-1]], against),
        "Each fine-tune alone, well aligned checkpoints, without correction:",
        rows(["fine-tune", *names], tunes),
        "The coefficient where one way of aligning is left out, least and greatest, harmful "
        "fine-tunes:",
        rows(["checkpoints", *names], without),
        "Each base alone, harmful fine-tunes, well aligned checkpoints:",
        rows(["base", *names], bases),
        paragraph(
            f"""
            The same fine-tune with another training seed draws other rows. One seed's ASR ranks the
            well aligned checkpoints as another's does to a coefficient of {repeat}; a prediction of
            one run can hardly be better, and of a mean over seeds somewhat.
            """
        ),
        "Least, median and greatest value of each measure and outcome; all, then well aligned:",
        rows(["", "least", "median", "greatest", "least", "median", "greatest"], spread),
        paragraph(
            f"""
            Mixing the bases in one ranking, as a comparison of unlike models does, gives for the
            harmful fine-tunes, all checkpoints: {mixed(analysis["across_bases"])}.
            """
        ),
    ]


SPREAD = {
    **MEASURES,
    "plain": "1 - plain ASR",
    **{f"after_{name}": f"ASR after {name}" for name in OUTCOMES},
}


def table(view: Any) -> str:
    header = ["measure", *(f"{after}" for after in OUTCOMES)]
    names = next(iter(view.values()), {})
    return rows(
        header,
        [[MEASURES[name], *(tested(view[after][name]) for after in OUTCOMES)] for name in names],
    )


def tested(one: Any) -> str:
    if one["value"] is None:
        return "not defined"
    mark = "**" if is_sure(one) else ""
    p = one["adjusted"]
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    return f"{mark}{interval(one)}{mark}, {shown}"


def is_sure(one: Any) -> bool:
    return one["adjusted"] is not None and one["adjusted"] < SURE


def listed(view: Any, names: Sequence[str]) -> str:
    words = [f"{MEASURES[name]} ({number(view[name]['value'], sign='+')})" for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def mixed(values: Any) -> str:
    return ", ".join(f"{MEASURES[name]} {number(value)}" for name, value in values.items())


def verb(names: Sequence[str], plural: str) -> str:
    return f"{plural}s" if len(names) == 1 else plural


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--result", type=Path, default=RESULT)
    given = parser.parse_args()
    found = json.loads(given.result.read_text(encoding="utf-8"))
    print(page(found, read() if given.result == RESULT else None), end="")


if __name__ == "__main__":
    main()
