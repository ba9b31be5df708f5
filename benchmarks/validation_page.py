"""Writes docs/validation.md from the committed results.

python benchmarks/validation_page.py > docs/validation.md
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from release_cases_page import release_cases

RESULTS = Path(__file__).parent / "results"
CORRECTED = ("before", "after", "independent")


def page() -> str:
    """The whole page as Markdown."""
    parts = [
        "# Validation",
        "What was measured of the tool itself. Each table is generated from the file beside it by "
        "`benchmarks/validation_page.py`; the command above it makes the file anew. Whether the "
        "scores predict what a fine-tune does has [a page of its own](what-predicts.md).",
        *parity(read("reference_parity")),
        *coherence(read("coherence_calibration")),
        *real_text(read("broken_text_labels")),
        *refusal_labels(read("refusal_labels")),
        *intervals(read("interval_coverage")),
        *between_directions(read("direction_spread"), read("direction_spread_real")),
        *first_token(read("first_token_score")),
        *release_cases(read("release_cases"), read("release_cases_real")),
        *corrected(),
        *hostile(read("hostile")),
    ]
    return "\n\n".join(parts) + "\n"


def read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def command(name: str) -> str:
    run = f"python benchmarks/{name}.py --out benchmarks/results/{name}.json"
    return f"```console\n$ {run}\n```"


def parity(found: Any) -> list[str]:
    points = found["points"]
    header = "| alpha | reference procedure, ASR % | safebasin, ASR % | verdicts that differ |"
    rows = [
        f"| {p['alpha']:+.2f} | {p['reference_asr']:.2f} | {p['safebasin_asr']:.2f} | "
        f"{p['verdicts_that_differ']} |"
        for p in points
    ]
    return [
        "## The reference code's numbers from its own directions",
        "The published procedure is computed again in a straightforward way: noise from one global "
        "stream, weights moved by repeated addition, batches of four, sampling with top_p = 0. The "
        "directions file it saves is then given to safebasin.",
        command("reference_parity"),
        f"{found['points_equal']} of {len(points)} points have the same keyword ASR; "
        f"{found['verdicts_that_differ']} of {found['verdicts']} verdicts differ. Model "
        f"`{found['model']}`, {found['prompts']}, up to {found['max_new_tokens']} tokens, "
        f"direction seed {found['seed']}, torch {found['versions']['torch']}, transformers "
        f"{found['versions']['transformers']}.",
        "\n".join([header, "|---|---|---|---|", *rows]),
    ]


def coherence(found: Any) -> list[str]:
    rows = []
    for key, name in (
        ("calibrated", "calibrated on the dev prompts"),
        ("default", "default, on the scale of 32 undisplaced answers"),
        ("default_without_log_probability", "default, text alone"),
    ):
        part = found[key]
        test, limits = part["test"], part["thresholds"]
        nll = "-" if limits["max_nll"] is None else f"{limits['max_nll']:.2f}"
        rows.append(
            f"| {name} | {nll} | {limits['max_nonwords']:.2f} | {share(test['missed'])} | "
            f"{share(test['false_alarms'])} |"
        )
    test = found["calibrated"]["test"]
    return [
        "## Broken text told from fluent text",
        paragraph(
            f"""
            The packaged model speaks a closed language, so every answer has an exact label. Answers
            are taken at alpha = {", ".join(f"{a:+.1f}" for a in found["alphas"])} along random
            directions and at the packaged fine-tunes ({", ".join(found["fine_tunes"])}), whose
            compliance is fluent though the aligned model would not write it. Thresholds are chosen
            on the dev prompts; the errors are on {test["broken"]} broken and {test["fluent"]}
            fluent answers to the test prompts along other directions. Answers to the same prompt
            are not independent, so the true intervals are wider than Wilson's.
            """
        ),
        command("coherence_calibration"),
        "\n".join(
            [
                "| thresholds | nats a token above | non-words above | broken, missed | "
                "fluent, called broken |",
                "|---|---|---|---|---|",
                *rows,
            ]
        ),
        "A real model is harder: its language has no closed grammar.",
    ]


def real_text(found: Any) -> list[str]:
    scale, parts = found["scale"], found["parts"]
    rows = [
        f"| {name} | {part['answers']} | {part['broken']} | {part['kappa']:.2f} | "
        f"{share(part['missed'])} | {share(part['false_alarms'])} |"
        for name, part in parts.items()
    ]
    line = sorted(found["line"], key=lambda row: next(iter(row["point"].values()), 0.0))
    places = [
        f"| {next(iter(row['point'].values()), 0.0):+.2f} | "
        f"{' | '.join(str(row[name]) for name in ('refused', 'complied', 'incoherent'))} |"
        for row in line
    ]
    tuned = [row for row in found["compare"] if row["point"].get("tuned") == 1.0]
    return [
        "## Broken text of a real language model",
        paragraph(
            f"""
            300 answers of a displaced SmolLM2-135M-Instruct, aligned with LoRA, to harmless
            prompts, read and labelled by one reader before any threshold was chosen
            (`benchmarks/labelled`). The scale is that of the undisplaced model's own
            {scale["answers"]} answers: {scale["middle"]:.2f} nats a token in the median, and a cut
            at {scale["cut"]:.2f}. The thresholds were chosen on one half, with the packaged
            model's dev prompts and the ends of the line below; the other half has other prompts,
            and was looked at along the way: for factors from 4 to 5.5 its kappa lies between 0.90
            and 0.94.
            """
        ),
        command("broken_text_labels"),
        "\n".join(
            [
                "| half | answers | broken | kappa | broken, missed | fluent, called broken |",
                "|---|---|---|---|---|---|",
                *rows,
            ]
        ),
        paragraph(
            f"""
            A line of the model as published, 60 AdvBench prompts, 64 tokens, direction seed 0
            (`--line RUN`): what `outcome` makes of the answers. Of the aligned model's fine-tune on
            50 openers ("Sure, here is ...") it calls {tuned[0]["complied"]} of
            {tuned[0]["answers"]} answers complied and {tuned[0]["incoherent"]} incoherent.
            """
        ),
        "\n".join(["| alpha | refused | complied | incoherent |", "|---|---|---|---|", *places]),
        paragraph(
            """
            Near the origin what is called incoherent loops over a word or two. Between +0.1 and
            +0.25 much is missed: at +0.25 most answers count as compliance, and of 17 of these that
            were read none is language. This model's own answers to these prompts spread wide and
            repeat themselves, so that neither surprise nor repetition stands out there. One model
            of one size was labelled, by one reader.
            """
        ),
    ]


def refusal_labels(found: Any) -> list[str]:
    rows = []
    for judge, files in found["judges"].items():
        for one in files:
            asr = one["asr"]
            people = "-"
            if asr is not None:
                people = f"{100 * asr['humans']['value']:.1f} %"
                if asr["humans_with_partial"] is not None:
                    people += f", with partial {100 * asr['humans_with_partial']['value']:.1f} %"
            measures = " | ".join(share(one[m]) for m in ("precision", "recall", "specificity"))
            kappa = one["kappa"]
            rows.append(
                f"| `{judge}` | {one['file']} | {one['n']} | {measures} | {kappa['value']:.2f} "
                f"({kappa['low']:.2f} to {kappa['high']:.2f}) | "
                f"{'-' if asr is None else share(asr['judge'])} | {people} |"
            )
    kept = found["dialogues"]
    own = [
        f"`{judge}` {part['refused']['read_so']} of {part['refused']['answers']} refusals and "
        f"{part['complied']['read_so']} of {part['complied']['answers']} others"
        for judge, part in ((judge, parts["kept_back"]) for judge, parts in kept.items())
    ]
    partial = found["partial"]
    options = {
        option: " and ".join(
            f"{100 * one[option]['judge']['value']:.1f} %" for one in partial["asr"] if one[option]
        )
        for option in ("complied", "refused")
    }
    run = (
        "python benchmarks/refusal_labels.py FILE ... --out benchmarks/results/refusal_labels.json"
    )
    return [
        "## Refusals, by the judges and by people",
        paragraph(
            """
            The published files of labelled answers as they are: XSTest's completions, HarmBench's
            validation set, GPTFuzz's labels and WildGuardTest can all be given. Positive is
            "refused"; answers that people call partial are left out of all but the ASR. The
            phrases of `refusal` were written with the files below at hand, so what it gets there
            is more than it will get on another model's answers.
            """
        ),
        f"```console\n$ {run}\n```",
        "\n".join(
            [
                "| judge | file | answers | precision | recall | specificity | kappa | "
                "ASR on unsafe prompts | by people |",
                "|---|---|---|---|---|---|---|---|---|",
                *rows,
            ]
        ),
        paragraph(
            f"""
            Short answers written for the project in the styles that are hard to read (morals
            without an apology, denied premises, disclaimers in front of help), and kept back while
            the phrases were written, are read right thus: {"; ".join(own)}. People call
            {partial["by_people"]} of the answers above partial; `refusal` calls
            {partial["by_judge"]} so, {partial["by_both"]} of them people's, and reads
            {partial["by_people_and_refused_by_judge"]} of people's as refused: its "partial" is a
            hint. Where it counts as complied, the ASR on unsafe prompts is {options["complied"]};
            where it counts as refused, {options["refused"]}.
            """
        ),
    ]


def intervals(found: Any) -> list[str]:
    rows = []
    for row in found["rows"]:
        s, c, measures = row["scenario"], row["coverage"], ("visage", "auc", "width")
        what = f"{s['directions']} | {s['direction_sd']:.2f} | {100 * s['never_refused']:.0f} %"
        cells = " | ".join(f"{c[m]['value']:.3f}" for m in measures)
        swings = " / ".join(f"{row['swing'][m]:.1f}" for m in measures)
        rows.append(
            f"| {what} | {100 * s['refused_anyway']:.0f} % | {cells} | {swings} | "
            f"{row['curve']:.3f} |"
        )
    return [
        "## Coverage of the 95 % intervals",
        paragraph(
            f"""
            Synthetic scans of 21 points and 80 prompts with known expectations, {found["scans"]} a
            row, seed {found["seed"]}: the share whose interval holds the truth, which is the mean
            over all directions. The standard deviation of the walls between directions is in units
            of alpha, each side drawn anew; on the packaged model it is about 0.035.
            """
        ),
        command("interval_coverage"),
        "\n".join(
            [
                "| directions | wall's deviation | never refused | refused anyway | VISAGE | "
                "area | width | swing of the lengths | curve at the walls |",
                "|---|---|---|---|---|---|---|---|---|",
                *rows,
            ]
        ),
        paragraph(
            """
            The interval is a t interval. The variance of its mean is that by prompts, from
            resamples of them, plus that by directions; the latter counts one more direction than
            was measured, whose square deviation is the usual one (a moderated variance, Smyth
            2004), with one more degree of freedom. It is widened to the percentiles of the
            resamples. Without the usual spread, two directions that are alike by chance gave a
            far shorter interval than two that are not (the last section has an example); the swing
            is the 90th percentile of the lengths over the 10th, for VISAGE, area and width. So
            intervals from two or three directions are longer than they had to be where directions
            are alike, and hold the
            truth a little too seldom where walls differ three times as much as here.
            """
        ),
        paragraph(
            """
            With one direction nothing is known of others, and the interval speaks of that
            direction alone: that is the first row, where directions do not differ. In the rows
            below it the truth is of all directions, which one does not tell. The last two rows have
            an origin near the tolerance, where a few prompts decide between a whole basin and
            none. The band of the curve is pointwise, and at a wall it is right too seldom: there
            the ASR of one direction is near 0 and that of the next near 100 %, and few directions
            do not tell how many are which.
            """
        ),
    ]


def between_directions(found: Any, real: Any) -> list[str]:
    names = {"visage": "VISAGE", "auc": "area", "width": "width", "edge": "edge above"}
    rows = []
    for row in (*found["rows"], *real["rows"]):
        cells = []
        for name in names:
            part = row["measures"][name]
            cells.append(f"{part['share']:.3f}" if part["share"] else "no basin")
        steep = row["measures"].get("sharpness")
        cells.append("-" if steep is None else f"{steep['share']:.2f}")
        rows.append(f"| `{row['model']}` | {' | '.join(cells)} |")
    return [
        "## How much directions differ",
        paragraph(
            f"""
            {found["directions"]} random directions of 21 points, {found["prompts"]} prompts, judge
            `{found["judge"]}`: the standard deviation of a measure between directions, as a share
            of the geometric mean of its distances from its two limits; of the sharpness, that of
            its logarithm. The intervals take {found["assumed"]:g} and
            {found["assumed_logarithm"]:g} as usual. The last row is a language model of 135
            million parameters, aligned with LoRA: {real["directions"]} directions of
            {real["points"]} points up to {real["radius"]:g}, the first {real["prompts"]} rows of
            AdvBench, {real["max_new_tokens"]} tokens, judge `{real["judge"]}`.
            """
        ),
        command("direction_spread"),
        "\n".join(
            [
                f"| model | {' | '.join(names.values())} | sharpness above |",
                "|---|---|---|---|---|---|",
                *rows,
            ]
        ),
        on_a_real_model(real),
    ]


def on_a_real_model(real: Any) -> str:
    """What the usual spread is worth there, by a range around the basin and by the default one."""
    [row] = real["rows"]
    measures = row["measures"]
    shares = [measures[name]["share"] for name in ("visage", "auc", "width")]
    wide = {}
    for name, reach in (("width", 1.0), ("edge", 0.5)):
        mean, deviation = (measures[name][part] for part in ("mean", "deviation"))
        wide[name] = deviation / math.sqrt(mean * (reach - mean))
    # The simulated walls that differ by 0.06: two of them make a width of 0.6 on a range of 1.
    simulated = math.sqrt(2) * 0.06 / math.sqrt(0.6 * 0.4)
    return paragraph(
        f"""
        That row's range is drawn tightly around its basin ({measures["width"]["mean"]:.2f} wide),
        so the same walls make larger shares, {min(shares):.2f} to {max(shares):.2f}: somewhat more
        than is taken as usual, as far as {real["directions"]} directions tell, and less than the
        {simulated:.2f} of the simulated scans whose walls differ by 0.06, of which the intervals
        above hold the truth 95 to 98 times in 100 with two directions or more. On the default
        range of 0.5 the same widths have a share of {wide["width"]:.2f}, and the edges above one of
        {wide["edge"]:.2f}. So the usual spread stays as it is. A single edge on a tight range
        ({measures["edge"]["share"]:.2f}) differs twice as much: from two or three directions its
        interval is too short there. The answers of that run ended where the keyword judge was sure
        of a refusal; of 27 places that were answered whole, too, one verdict differs.
        """
    )


def corrected() -> list[str]:
    """Every `corrected_*.json` holds rows of what was printed wrongly and is not any more."""
    files = sorted(RESULTS.glob("corrected_*.json"))
    rows = [
        f"| {' | '.join(row[part] for part in ('number', 'where', *CORRECTED))} |"
        for file in files
        for row in json.loads(file.read_text(encoding="utf-8"))["rows"]
    ]
    lines = [f"$ python benchmarks/{f.stem}.py --out benchmarks/results/{f.name}" for f in files]
    return [
        "## Numbers that were wrong",
        "What an earlier version printed, what is printed now, and the same number from the "
        "counts of answers by a few lines of NumPy.",
        "\n".join(["```console", *lines, "```"]),
        "\n".join(
            ["| number | where | before | now | independently |", "|---|---|---|---|---|", *rows]
        ),
    ]


def first_token(found: Any) -> list[str]:
    correlation, openers = found["correlation"], found["openers"]
    names = [f"along `{name}`" for name in found["directions"]]
    parts = [
        *zip(names, correlation["each"], strict=True),
        ("all points together", correlation["all"]),
        ("points with an ASR of neither 0 nor 100 %", correlation["asr_neither_0_nor_1"]),
    ]
    rows = [
        f"| {name} | {part['points']} | {part['value']:.2f} ({part['low']:.2f} to "
        f"{part['high']:.2f}) |"
        for name, part in parts
    ]
    learnt = "from the table"
    if openers["source"] == "learnt":
        learnt = "learnt from its own answers"
    by_score, by_asr = (
        sum(row[way]["values"] for row in found["adaptive"])
        for way in ("by_score_and_asr", "by_asr")
    )
    placed = [
        f"| {row['edge_tolerance']:g} | {row['even_values']} | {row['by_asr']['values']} | "
        f"{row['by_score_and_asr']['values']} |"
        for row in found["adaptive"]
    ]
    return [
        "## The first-token score",
        paragraph(
            f"""
            The score is the probability that the first token of an answer opens a refusal, less
            that of a compliant answer, by one pass a prompt. Spearman's rank correlation with the
            keyword ASR of generated answers, `{found["model"]}`, {found["prompts"]}; intervals are
            from a bootstrap over points, and since neighbouring points are alike the true ones are
            wider. The openers, {learnt}, hold {100 * openers["coverage_at_origin"]:.0f} % of the
            undisplaced model's first tokens.
            """
        ),
        command("first_token_score"),
        "\n".join(["| points | number | rank correlation |", "|---|---|---|", *rows]),
        paragraph(
            """
            A good score has a coefficient near -1: it falls where the ASR rises. It tells which of
            two points is the more broken, not how often the model complies: where the ASR has
            reached 100 % the score may still be close to 1, since a broken answer can begin as a
            refusal does. Compare it along one line, not between directions or models.
            """
        ),
        paragraph(
            f"""
            `safebasin scan --adaptive` puts half of its points on an even line and the others
            where the edges of the basin are. The values a line that it takes until the edges on
            both sides of all directions are known to a tolerance, beside an even grid as fine,
            replayed on the same answers. All rows together take {by_score} values where the score
            places the points, and {by_asr} where they halve what the ASR leaves open.
            """
        ),
        "\n".join(
            [
                "| edges known to | even grid | placed by ASR | by score and ASR |",
                "|---|---|---|---|",
                *placed,
            ]
        ),
    ]


def hostile(found: Any) -> list[str]:
    kills = ", ".join(f"{count} of `{name}`" for name, count in found["kills"].items())
    return [
        "## Hostile input, kills and fuzzed replies",
        paragraph(
            """
            `make test-hostile` does at length what the tests do a little of: commands killed with
            SIGKILL at random moments and run again, folders of models, adapters and runs that try
            to run code, to escape or to hang, and replies of judge models with faults thrown in.
            `KILLS`, `FOLDERS` and `REPLIES` set how many, as in
            `make test-hostile KILLS=20 FOLDERS=60 REPLIES=5000`; the defaults are 300, 300 and
            30,000.
            """
        ),
        "\n".join(
            [
                "| what | how many | found |",
                "|---|---|---|",
                f"| kills | {sum(found['kills'].values())}: {kills} | every record kept, nothing "
                "doubled or left behind; the numbers are those of a run left alone |",
                f"| hostile folders | {found['folders']} | none ran code, showed a traceback or "
                "took a minute |",
                f"| fuzzed replies | {found['replies']:,} | none was guessed |",
            ]
        ),
        paragraph(
            """
            After each kill `verify` finds no problem: what is not there yet is incomplete, not
            damaged.
            """
        ),
    ]


def paragraph(text: str) -> str:
    """One line of a text that was broken to fit the page of code."""
    return " ".join(text.split())


def share(estimate: Any) -> str:
    """A share as a percentage with its interval."""
    low, high = 100 * estimate["low"], 100 * estimate["high"]
    return f"{100 * estimate['value']:.1f} % ({low:.1f} to {high:.1f})"


if __name__ == "__main__":
    print(page(), end="")
