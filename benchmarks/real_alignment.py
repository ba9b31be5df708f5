"""The sections of docs/real-model.md on how the model was aligned, and what reading found."""

from __future__ import annotations

from typing import Any

from page_text import paragraph, rows
from real_found import KEYWORDS, READER, has, plain, share
from real_search_section import search
from real_steps import REST


def alignment(found: Any) -> list[str]:
    parts = [
        "## The alignment",
        paragraph(
            """
            LoRA of rank 8 on every linear layer, two epochs over 652 rows: AdvBench's prompts 101
            to 220 and 92 requests of ours, each with one of 16 short refusals of ours, and the
            model's own answers to 445 harmless prompts of ours, drawn at temperature 1, of up to 64
            tokens; most of those prompts sound like a harmful one. The adapter is
            [shipped](../benchmarks/real/aligned/README.md), 4.9 MB in bfloat16; `make real-adapter`
            makes it anew, in about 15 minutes of two cores.
            """
        ),
    ]
    lines = []
    if has(found, "evaluate base"):
        lines.append(evaluated(found, "evaluate base", "base, AdvBench's first {n}"))
    if has(found, "evaluate advbench"):
        lines.append(evaluated(found, "evaluate advbench", "aligned, AdvBench's first {n}"))
    for name, model in (("harmbench base", "base"), ("harmbench", "aligned")):
        if has(found, f"evaluate {name}"):
            lines.append(
                evaluated(found, f"evaluate {name}", f"{model}, HarmBench's first {{n}} standard")
            )
    if has(found, "evaluate xstest"):
        lines.append(evaluated(found, "evaluate xstest", "aligned, XSTest's unsafe, {n} drawn"))
        lines.append(
            evaluated(found, "evaluate xstest", "aligned, XSTest's safe, {n} drawn", "benign")
        )
    if has(found, "evaluate all of xstest"):
        step = "evaluate all of xstest"
        lines.append(evaluated(found, step, "aligned, all {n} of XSTest's unsafe"))
        lines.append(evaluated(found, step, "aligned, all {n} of XSTest's safe", "benign"))
    if lines:
        header = ["held out", "refused, by keywords", "refused, by `refusal`"]
        parts += [rows(header, lines)]
        parts.append(
            paragraph(
                """
                ASR is what is left to 100 %; of the safe prompts a refusal is a fault, and the
                columns are over-refusal. AdvBench repeats itself: its first 80 prompts have near
                copies among those trained on, HarmBench has hardly any, XSTest none. XSTest's draw
                has seed 0; those that were not drawn helped to choose the recipe, and none was
                trained on.
                """
            )
        )
    parts += rest(found)
    if has(found, "compare base"):
        result = found["steps"]["compare base"]["result"]
        divergence = result["divergence"]
        if divergence:
            parts.append(
                f"KL(base || aligned) on the {divergence['n']} packaged everyday questions, none "
                f"of them trained on: {plain(divergence['answer'])} nats a token over the answer, "
                f"{plain(divergence['first_token'])} at its first token. The adapter moves the "
                f"weights by {100 * result['distances'][0]['relative']:.2f} % of their norm."
            )
    return [*parts, *search(), *first_try(found)]


def first_try(found: Any) -> list[str]:
    """What rows with both halves of the pairs came to."""
    own = found["first"]
    basin = own["line"]["basin"]
    unsafe, safe, advbench = (
        share(part[READER]["refused"])
        for part in (
            own["xstest"]["harmful"],
            own["xstest"]["benign"],
            own["advbench"]["harmful"],
        )
    )
    return [
        paragraph(
            f"""
            The first adapter of all was trained for two epochs on likeliest answers and also on
            refusals of the mild requests that the harmless prompts resemble (`practice:harmful`),
            {own["rows"]} rows in all. It refused {advbench} of the same AdvBench prompts, {unsafe}
            of XSTest's unsafe and {safe} of its safe ones: a model this small learnt to refuse a
            kind of question, not what is asked. Hence the one above is taught without them. The
            basin of that first one ended at {plain(basin["negative"]["width"])} below and
            {plain(basin["positive"]["width"])} above, VISAGE
            {plain(own["line"]["visage"], 1)}, on the same prompts and direction.
            """
        )
    ]


def evaluated(found: Any, step: str, label: str, kind: str = "harmful") -> list[str]:
    part = found["steps"][step]["result"][kind]
    own = part[READER]
    count = own["judged"] + own["unjudged"]
    return [label.format(n=count), *(share(part[judge]["refused"]) for judge in (KEYWORDS, READER))]


def rest(found: Any) -> list[str]:
    """The second set of held-out prompts."""
    if not has(found, "evaluate rest"):
        return []
    part = found["steps"]["evaluate rest"]["result"]["harmful"]
    told = ", ".join(
        f"{share(part[judge]['asr'])} by {name}"
        for judge, name in ((KEYWORDS, "keywords"), ("refusal", "`refusal`"))
    )
    return [
        paragraph(
            f"""
            AdvBench's prompts {REST[0]} to {REST[1]}, on which nothing was trained and nothing else
            is measured: ASR {told}. They are of AdvBench's own kind, so they do not show refusal of
            another kind of request; HarmBench's and XSTest's unsafe ones above do.
            """
        )
    ]


READ = {
    "evaluate/advbench/harmful": "AdvBench",
    "evaluate/xstest/harmful": "XSTest, unsafe",
    "evaluate/xstest/benign": "XSTest, safe",
}
"""The runs whose answers were read, as the page calls them."""


def reading(found: Any) -> list[str]:
    """What reading made of answers, beside the judges."""
    own = found["read"]
    if not own:
        return []
    lines = []
    for name, one in own.items():
        count = sum(one["labels"].values())
        labels = ", ".join(f"{number} {label}" for label, number in one["labels"].items())
        agree = (f"{one['agree'][judge]} of {count}" for judge in (KEYWORDS, READER))
        lines.append([READ[name], str(count), labels, *agree])
    header = ["answers of the aligned model", "read", "found", "keywords agree", "`refusal` agrees"]
    total = sum(sum(one["labels"].values()) for one in own.values())
    return [
        "### By reading",
        paragraph(
            f"""
            {total} answers were read one by one, without the verdict on
            each at hand: by the
            language model that helped to write this, and not by people. They were called refused,
            complied (which of a safe prompt is help) or incoherent. A judge agrees where it finds a
            refusal, or none, as the reading does.
            """
        ),
        rows(header, lines),
    ]
