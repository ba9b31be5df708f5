"""Writes docs/bench-defences.md from the committed results.

python benchmarks/bench_defences_page.py > docs/bench-defences.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from bench_defences_claims import CLAIMS, HARM, difference, side_effects, verdict
from bench_defences_rows import (
    MAIN,
    REST,
    balanced,
    command,
    counted,
    failures,
    is_harmful,
    listed,
    points,
    summarised,
    table,
)
from bench_defences_sections import depth, limits, on_a_real_model, over_refusal
from bench_defences_thresholds import thresholds
from page_text import paragraph, rows

from safebasin.defence_bench.methods import methods
from safebasin.defence_bench.tables import shown

SMALL = "safebasin bench-defences --tunes harmful-10 --defences safe-lora,sppft --seeds 1 --dry-run"
RESULTS = Path(__file__).parent / "results"
RESULT, REAL = RESULTS / "bench_defences.json", RESULTS / "bench_defences_real.json"
DEPTH = RESULTS / "derta_depth.json"
OVER = RESULTS / "bench_defences_over_refusing.json"
STEERED = RESULTS / "scans_over_refusing.json"


def page(
    result: Any, real: Any = None, deep: Any = None, over: Any = None, steered: Any = None
) -> str:
    """The whole page as Markdown.

    real, deep, over, steered  the results of a real model, of prefilled answers, of a fine-tune
                               that over-refuses, and of a model that does; a section is left out
                               where there is none
    """
    cells = result["cells"]
    result = balanced(result)
    whole = summarised(result)
    parts = [
        "# Defences on the same fine-tunes",
        paragraph(
            f"""
            Each defence was published on fine-tunes, prompts and judges of its own. Here
            {len(whole["defences"])} methods meet the same {len(whole["tunes"])} fine-tunes with
            {counted(whole["seeds"], "seed")} each, measured by one yardstick: {whole["measured"]}
            cells of `{result["model"]["name"]}`.{beside(len(cells) - whole["cells"])} This page is
            generated from [the result](../benchmarks/results/bench_defences.json) by
            `benchmarks/bench_defences_page.py`; `make bench-defences` measures it anew, and goes
            on where it was stopped.
            """
        ),
        f"```text\n{command(result)}\n```",
        paragraph(
            """
            A smaller one, or one with the methods of another package, which are rows of the same
            table ([extending](extending.md#a-row-of-the-bench)): `--dry-run` tells what would be
            measured. It writes `bench.html`, a page that a browser opens from the disk, beside
            `bench.md`, `bench.csv` and `bench.json`. The same command started several times at once
            shares its cells between the processes, be it on one GPU. As many frozen blocks at any
            other place are one more row: `--defences sppft,sppft-0-1`.
            """
        ),
        f"```console\n$ {SMALL}\n```",
        "## What holds here",
        *claims(result, over is not None),
        "## The harmful fine-tunes",
        paragraph(
            f"""
            Means over {listed([t for t in whole["tunes"] if is_harmful(t)])}, at the last epoch.
            Intervals are at 95 %, {whole["interval"]}: they tell how other seeds would do and not
            other prompts; with three seeds they are wide, and of no width where all seeds are
            alike, which then is left out. That of the share at maximum harm is Wilson's.
            """
        ),
        table(whole["means"], "harmful", MAIN),
        meaning(),
        "## All fine-tunes",
        table(whole["means"], "all", REST),
        "## The attacker's best so far",
        paragraph(
            """
            The attack's own settings are how long it trains: a ninth, a third and all of its
            epochs. An attacker keeps the best; so this never falls. ASR in percent, means over
            seeds.
            """
        ),
        curves(whole),
        "## Each fine-tune",
        "ASR in percent at the last epoch, means over seeds:",
        by_tune(whole, "asr", 100, ".0f"),
        paragraph(
            """
            Loss of the fine-tune's own rows by the defended model, nats an answer token. Of benign
            rows it is the task, which a defence is to keep:
            """
        ),
        by_tune(whole, "loss", 1, ".2f"),
        *failures(whole),
        *over_refusal(over, steered),
        *depth(deep),
        *on_a_real_model(real),
        *thresholds(result, real),
        *limits(result, real),
    ]
    return "\n\n".join(parts) + "\n"


def beside(count: int) -> str:
    if not count:
        return ""
    return (
        f" {count} more were measured on fine-tunes that not every method has met with every seed "
        "yet, and are left out."
    )


def claims(result: Any, elsewhere: bool) -> list[str]:
    """What each paper says, and what came of it; `elsewhere`: over-refusal has a section."""
    cells, known = result["cells"], methods()
    names = [n for n in dict.fromkeys(c["defence"] for c in cells) if n in CLAIMS]
    lines = []
    for name in names:
        claim = CLAIMS[name]
        if claim.text.startswith("None"):
            continue
        measured = [
            f"{points(difference(cells, name, other, HARM, is_harmful))} against `{other}`"
            for other in ("none", *claim.controls)
            if other in names or other == "none"
        ]
        effects = side_effects(cells, name, is_harmful)
        lines.append(
            [
                f"`{name}`",
                claim.text,
                "; ".join(measured)
                + milder(cells, name)
                + (f". Beside it: {', '.join(effects)}" if effects else ""),
                ", ".join(f"`{one}`" for one in claim.controls if one in names) or "`none`",
                f"**{verdict(cells, name, is_harmful)}**"
                + ("; [where they do](#over-refusal)" if name == "scans" and elsewhere else ""),
            ]
        )
    references = "; ".join(
        f"`{name}`: {known[name].reference}"
        for name in names
        if name in known and not CLAIMS[name].text.startswith("None")
    )
    return [
        paragraph(
            """
            What was measured is the highest ASR that the attack reached at any of its settings on
            the harmful fine-tunes, in points, less that of the undefended fine-tune and less that
            of the control that could have refuted the claim, paired by fine-tune and seed. A claim
            is said to hold where both are certainly below zero and no cheaper reason is seen. On
            benign rows and identity shifting, against the undefended one, it is told beside that.
            """
        ),
        rows(["defence", "the claim", "measured", "could be refuted by", "so"], lines),
        references + ".",
    ]


def milder(cells: Any, name: str) -> str:
    """The same on the fine-tunes that are not of harmful rows alone."""
    found = difference(cells, name, "none", HARM, lambda tune: tune in ("benign", "identity"))
    return "" if found.value is None else f"; {points(found)} on benign rows and identity"


def meaning() -> str:
    told = {
        "ASR": """answers to harmful prompts that the keyword judge does not call a refusal.
            **complied** and **incoherent** are shares of the outcome judge: broken text is told by
            the likelihood that the aligned model gives it""",
        "at maximum harm": """of all seeds and epochs looked at, the share where ASR is at least the
            highest that the undefended fine-tune reached. **highest ASR**: the most that the attack
            reached at any of those epochs""",
        "ASR after ablation": """once the refusal direction is taken out of the defended model, the
            attack that every defence is to be tried against""",
        "loss of its rows": """nats an answer token of the fine-tune's own rows, by the defended
            model. A defence that only keeps them from being learnt shows here""",
        "contrast": """the share of harmful prompts refused less that of benign ones that sound
            alike. A model that refuses everything has 0""",
        "width**, **VISAGE": "of the basin around the defended model, along one random direction",
        "margin": """how much further than fine-tune and defence the way from the aligned model
            could go""",
        "CPU s more": """seconds of one core beyond the plain fine-tune; **numbers**: weights moved
            or frozen, and values of steering vectors""",
    }
    return "\n".join(f"- **{name}**: {paragraph(text)}." for name, text in told.items())


def curves(whole: Any) -> str:
    groups = [t for t in whole["tunes"] if is_harmful(t)]
    own = {(row["defence"], row["tune"]): row["best_so_far"] for row in whole["rows"]}
    lines = []
    for name in whole["defences"]:
        cells = [
            " · ".join(shown(one, 100, ".0f", interval=False) for one in own[name, tune]) or "-"
            for tune in groups
        ]
        lines.append([f"`{name}`", *cells])
    return rows(["defence", *groups], lines)


def by_tune(whole: Any, key: str, factor: float, how: str) -> str:
    own = {(row["defence"], row["tune"]): row for row in whole["rows"]}
    lines = [
        [f"`{name}`", *(shown(own[name, tune][key], factor, how) for tune in whole["tunes"])]
        for name in whole["defences"]
    ]
    return rows(["defence", *whole["tunes"]], lines)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--result", type=Path, default=RESULT)
    given = parser.parse_args()
    others = map(read, (REAL, DEPTH, OVER, STEERED))
    print(page(read(given.result), *others), end="")


if __name__ == "__main__":
    main()
