"""Sections of docs/real-model.md, each from what is measured; nothing where it is not."""

from __future__ import annotations

import re
from typing import Any

from page_text import paragraph, rows
from real_found import OUTCOME, counts, has, judged, plain, point_of, share
from real_steps import Sources, remaking, steps, tunes

PLAIN = Sources("runs/real/smollm2")


def line_table(found: Any) -> list[str]:
    if not has(found, "line"):
        return []
    parts = ["## The line, point by point"]
    safe, three = judged(found, "line"), judged(found, "line", OUTCOME)
    base = judged(found, "line base", OUTCOME) if has(found, "line base") else None
    lines = []
    for i, place in enumerate(safe["axes"][0]):
        mean, cell = safe["mean"], three["landscapes"][0][i]
        asr = {end: mean[end][i] for end in ("value", "low", "high")}
        line = [f"{place:+.2f}", share(asr, 0), counts(cell)]
        if base is not None:
            line.append(counts(base["landscapes"][0][i]))
        lines.append(line)
    header = ["alpha", "aligned, ASR", "aligned: refused / complied / incoherent"]
    if base is not None:
        header.append("base: the same")
    took = found["steps"]["line"]["command"]
    return [*parts, f"```text\n{took}\n```", rows(header, lines)]


def fine_tunes(found: Any) -> list[str]:
    lines, told = [], []
    for name, tune in tunes("advbench").items():
        if not has(found, f"tune {name}", f"compare {name}"):
            continue
        training, one = (found["steps"][f"{kind} {name}"] for kind in ("tune", "compare"))
        result = one["result"]
        divergence = result["divergence"]
        lines.append(
            [
                name,
                f"{training['rows']}, {training['steps']}",
                share(result["asr"]["after"]),
                *(share(result[kind]["after"]) for kind in ("complied", "incoherent")),
                plain(result["effective_length"]),
                f"{100 * result['distances'][0]['relative']:.2f} %",
                "-" if divergence is None else plain(divergence["answer"]),
                f"{result['verdict']}, {one['took']['code']}",
            ]
        )
        told.append(f"- `{name}`: {tune.about}.")
    if not lines:
        return []
    header = [
        "fine-tune", "rows, steps", "ASR after", "complied", "incoherent", "leaves the basin at",
        "way / norm", "KL, everyday", "gate, exit code",
    ]  # fmt: skip
    command = next(
        found["steps"][f"compare {name}"]["command"]
        for name in tunes("advbench")
        if has(found, f"compare {name}")
    )
    return [
        "## Broken again",
        paragraph(
            """
            Each starts from the aligned model: LoRA of rank 4, three epochs (the identity rows
            ten), by the recipes of the audits, with rows that hold no harmful answer.
            """
        ),
        "\n".join(told),
        rows(header, lines),
        "A share of the way of 1 is the fine-tune itself; the way is as long as its change is "
        "relative to the norm of the weights. KL is that of the everyday questions, in nats a "
        "token.",
        f"```text\n{command}\n```",
    ]


def one_axis(found: Any) -> list[str]:
    lines = []
    steps = {"capability aligned": "aligned", "capability base": "base", "lm-eval": "aligned"}
    for step, name in steps.items():
        if not has(found, step):
            continue
        for one in found["steps"][step]["result"]["capabilities"]:
            for landscape in one["landscapes"]:
                cells = {point_of(cell): plain(cell, 3) for cell in landscape}
                lines.append([f"{name}, {one['name']}", *cells.values()])
                header = ["", *(f"alpha {place:+.1f}" for place in cells)]
    if not lines:
        return []
    return [
        "## Capability on the same axis",
        paragraph(
            """
            Forty easy questions of our own with four choices, and the perplexity of pages of
            Python's language reference, at points of the same direction; the questions as a task of
            lm-evaluation-harness, too, where it is installed.
            """
        ),
        rows(header, lines),
    ]


def remade(found: Any) -> list[str]:
    lines, spent = [], 0.0
    for name, one in found["steps"].items():
        spent += one["took"]["cpu"] / 120 if one["took"] else 0.0
        took = one["took"]
        lines.append([
            name, f"`{one['command']}`",
            "-" if took is None else f"{took['cpu'] / 120:.1f}",
        ])  # fmt: skip
    return [
        "## Every step",
        paragraph(
            f"""
            `make real` runs all steps into `runs/real/`, `make real-quick` the first five: the
            model, its alignment, one line, one fine-tune and its comparison. The same command goes
            on where it was stopped. AdvBench, XSTest and HarmBench come from the hub, or
            from files: `make real ADVBENCH=FILE XSTEST=FILE HARMBENCH=FILE`. With a hub,
            `MODEL=HuggingFaceTB/SmolLM2-135M-Instruct` takes the model's unrounded weights.
            Minutes are processor time over two cores, {spent:.0f} in all, on a machine that was
            busy with other work: where the two threads of a step wait for each other, waiting is
            counted, too, so a step takes less on a quiet machine.
            """
        ),
        rows(["step", "command", "minutes"], lines),
        "The shipped adapter anew, by `make real-adapter`; LAST is the last checkpoint's number:",
        f"```text\n{anew()}\n```",
    ]


def anew() -> str:
    """The commands that made the adapter, the same whatever is on this machine."""
    commands = "\n".join(" ".join(step.command()) for step in remaking(PLAIN))
    return re.sub(r"checkpoint-\d+", "checkpoint-LAST", commands)


def unreached(found: Any) -> list[str]:
    missing = [
        step.name for step in steps(PLAIN) if step.name not in found["steps"] and not step.needs
    ]
    lines = [
        "- A model of 135 million parameters in four bits is small: its answers to harmless "
        "questions are often wrong, and no claim here is one about larger models.",
        "- Nobody read answers but the language model named above.",
    ]
    drawn = [name for name in tunes("advbench") if has(found, f"landscape {name}")]
    lines.append(
        f"- {'Three random directions' if drawn else 'One random direction'} and 24 prompts make "
        "wide intervals, and the width of a basin differs between directions."
    )
    if not has(found, "lm-eval"):
        lines.append(
            "- The task of lm-eval (`benchmarks/real/lm_eval`) was not run: lm-eval was not "
            "installed. After `make test-lm-eval` it is one of the steps of `make real`."
        )
    if missing:
        lines.insert(
            0,
            "- `make real` was not run to its end with this adapter: the machine was shared. Not "
            f"measured yet: {', '.join(missing)}.",
        )
    if not has(found, "capability aligned", "capability base"):
        lines.append("- What the alignment cost in perplexity and capability is not known.")
    return ["## What this does not tell", "\n".join(lines)]
