"""Writes docs/attribution.md from the committed results.

python benchmarks/attribution_page.py > docs/attribution.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from attribution_claims import table
from attribution_found import Found, asr, percent
from attribution_heads import BY, REMOVED
from attribution_neurons import CHOSEN
from attribution_numbers import letters, mean
from attribution_plan import REAL, TESTBED
from attribution_real_section import billion, real_model
from attribution_sections import agreement, gaps, noise, openers, removals, scaling
from attribution_units_section import freezing, heads
from page_text import paragraph

RESULTS = Path(__file__).parent / "results"


def page(found: Found, real: Found | None, size: Any = None) -> str:
    """The whole page as Markdown."""
    plan, origin = found.plan, found.cases["origin"]
    parts = [
        "# Where safety lives: weights, ranks, heads and layers",
        paragraph(
            f"""
            Published methods locate the part of a model that carries its refusals. Here is what
            each finds in the packaged model{"" if real is None else " and in a real one"}, and what
            it does without that, beside random parts of the same size. This page is generated from
            [the results](../benchmarks/results/attribution.json) by
            `benchmarks/attribution_page.py`; `make attribution` measures the packaged model anew,
            in some minutes on one core. [extending](extending.md#an-attribution) has the methods in
            Python.
            """
        ),
        paragraph(
            f"""
            Measured: `{plan["model"]}`, {len(plan["seeds"])} calibration seeds of {plan["rows"]}
            rows each of `{plan["safety"]}` (refusals) and `{plan["utility"]}` (help);
            {len(origin["harmful"])} harmful and {len(origin["benign"])} benign prompts, a seeded
            sample of each packaged set; greedy answers of up to {plan["tokens"]} tokens in float32.
            ASR is by the paper's keywords (`llm-landscape`), the three outcomes by `outcome`. KL is
            of {plan["everyday_limit"]} everyday prompts, in nats a token. Every interval is at
            95 %, over prompts and seeds. The model itself: ASR {asr([origin])}, over-refusal
            {percent(mean(letters([origin], "benign", "r")))}.
            """
        ),
        "## The claims",
        table(found, real),
        "![How much of each matrix is in the set](images/attribution.png)",
        paragraph(
            f"""
            The share of each matrix that Wanda puts into the set of safety without utility, top
            {100 * plan["shares"][-1]:g} % of every matrix, seed {plan["seeds"][0]}.
            """
        ),
        "## Commands",
        COMMANDS,
        FOLDER,
        "## Weights (Wei et al., 2402.05162)",
        SETS,
        WEIGHTS,
        *(removals(found, method, name) for method, name in (("snip", "SNIP"), ("wanda", "Wanda"))),
        *(
            ["## Ranks (Wei et al.)", RANKS, removals(found, "actsvd", "ActSVD")]
            if found.settings("difference", "actsvd")
            else []
        ),
        "## Do they agree?",
        *agreement(found),
        "## Layers (Li et al., 2408.17003)",
        *gaps(found),
        *scaling(found),
        *openers(found),
        *noise(found),
        *heads(found),
        *freezing(found),
        *real_model(real),
        *billion(size),
        "## What was not measured",
        "\n".join(limits(found, real)),
    ]
    return "\n\n".join(parts) + "\n"


ASKED = "testbed:aligned --safety testbed:refusing"
BOTH = f"{ASKED} --utility testbed:benign"
KEPT = "--freeze-mask runs/located/mask.safetensors --rate 2e-4"
COMMANDS = f"""```console
$ safebasin attribute snip {BOTH} --rows 8 --share 0.03 --by tensor --out runs/located
$ safebasin attribute scaling:learnt-first-token,1.3 {BOTH} --rows 8 --out runs/interval
$ safebasin attribute units:heads,zero-ablation {ASKED} --rows 4 --share 0.2 --out runs/heads
$ safebasin attribute probe {BOTH} --rows 12 --share 0.2 --out runs/probed
$ safebasin show runs/located
$ safebasin scan testbed:aligned --blocks 0-1 --steps 4 --seeds 1 --limit 8 --out runs/blocks
$ safebasin finetune testbed:aligned --recipe explicit-10 --data testbed:harmful {KEPT}
```"""
FOLDER = paragraph(
    """
    The folder holds scores and the set as safetensors, a record and a picture; the same command
    reads it again. `--safety` takes what `finetune --data` does, `refused:practice:harmful` among
    it. With `--located runs/located`, `compare` says what a fine-tune changed block by block
    (tensors, norm, effective rank) and which share of the change lies in the located set, beside
    five random ones. `--blocks 0-1` puts the noise of a scan into those blocks alone, in each
    interval as long as in all weights, so that the basins of two intervals can be held against each
    other. A mask says which model it was made for, and is refused for any other, a fine-tune of it
    included; masks of earlier versions say nothing.
    """
)
WEIGHTS = paragraph(
    """
    Neither score is of a preference: in the paper L is -log p(answer | prompt) alone (Sec. 2.1),
    and preferences are named in its related work only (App. A). Its code can also subtract what a
    harmful answer makes flow from what a safe one does, token by token, before Wanda takes the
    norm; of that the paper reports nothing, the released code does not load the rows, and harmful
    answers are not used here. So there is no such variant.
    """
)
SETS = paragraph(
    """
    SNIP by the paper's definition, Wanda at the tokens of answers. Safety without utility: the top
    share of every matrix by safety, less that by utility, as the authors' code takes it; the top of
    safety alone is of every row. What is taken is set to zero. *Random* takes as many weights of
    every matrix. The last column is the share of harmful prompts refused, less that with the random
    set, paired by prompt.
    """
)
RANKS = paragraph(
    """
    Settings are the ranks of safety and of utility: ΔW = (I - Π_u)·Π_s·W is removed, decomposed
    exactly and of the intact model; *in order* takes each block once those before it are changed,
    as the authors' code does. Random subspaces have the same ranks, before utility's is taken out.
    The top is all of Π_s·W.
    """
)


def limits(found: Found, real: Found | None) -> list[str]:
    told = [
        "- **Attacks.** The paper's suffixes and sampled answers are not asked; ASR is of plain "
        "prompts.",
        "- **A model of some size.** The paper's have 7 and 13 billion weights.",
    ]
    for one, name in ((found, "packaged"), (real, "real")):
        if one is not None and (lacking := missing(one)):
            told.append(
                f"- **Of the plan for the {name} model** this result was written before: "
                f"{', '.join(lacking)}."
            )
    return told


def missing(found: Found) -> list[str]:
    """What a stopped measurement did not come to, and what the plan has had since."""
    now = {one.name: one for one in (TESTBED, REAL)}[found.plan["name"]]
    plan, cases = {**now.to_json(), **found.plan}, found.cases
    wanted = {
        f"{name} at {share:g}, seed {seed}": f"top-random/{method}/{share:g}/{seed}"
        for method, name in (("snip", "SNIP"), ("wanda", "Wanda"))
        for share in plan["top_shares"][-1:]
        for seed in plan["seeds"]
    }
    wanted |= {
        f"ActSVD at {safety} and {utility}, seed {seed}": f"random/actsvd/{safety}-{utility}/{seed}"
        for safety, utility in plan["ranks"]
        for seed in plan["rank_seeds"]
    }
    wanted |= {f"scaling:{one}": f"scaling/{one}" for one in plan["scaling"]}
    wanted |= {
        f"noise in blocks {first} to {last}": f"noise/{first}-{last}/{seed}"
        for first, last in plan["intervals"]
        for seed in plan["directions"][-1:]
    }
    seeds = plan["seeds"]
    wanted |= {
        f"overlaps of {name}": f"overlap/sets/{method}/{seeds[0]}"
        for method, name in (("snip", "SNIP"), ("wanda", "Wanda"), ("actsvd", "ActSVD"))
    }
    frozen = plan["frozen"] or {"recipes": [], "shares": [0], "seeds": []}
    last = f"random/{frozen['shares'][-1]:g}"
    wanted |= {
        f"freezing, {recipe}, seed {seed}": f"frozen/{recipe}/{last}/{seed}"
        for recipe in frozen["recipes"]
        for seed in frozen["seeds"]
    }
    if plan["heads"]:
        wanted |= {f"heads by {by}": f"units/{by}" for by in BY}
    wanted |= {
        f"without {count} heads, {by}, seed {seed}": f"heads/{by}/{count}/{seed}"
        for count in plan["heads"]
        for by in REMOVED
        for seed in plan["head_seeds"]
    }
    wanted |= {
        f"without {100 * share:g} % of neurons, {by}, seed {seed}": f"neurons/{by}/{share:g}/{seed}"
        for share in plan.get("neurons", ())
        for by in CHOSEN
        for seed in plan["head_seeds"]
    }
    wanted |= {f"the time of {one}": f"command/{one}" for one in plan.get("timed", ())}
    return [name for name, case in wanted.items() if case not in cases]


def read(path: Path) -> Found | None:
    if not path.is_file():
        return None
    return Found(json.loads(path.read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--result", type=Path, default=RESULTS / "attribution.json")
    parser.add_argument("--real", type=Path, default=RESULTS / "attribution_real.json")
    parser.add_argument("--size", type=Path, default=RESULTS / "attribution_size.json")
    given = parser.parse_args()
    found = read(given.result)
    if found is None:
        raise SystemExit(f"There is no result '{given.result}'. Run `make attribution` first.")
    size = json.loads(given.size.read_text(encoding="utf-8")) if given.size.is_file() else None
    print(page(found, read(given.real), size), end="")


if __name__ == "__main__":
    main()
