"""Sections of docs/real-model.md on what else was measured: directions, depth, ways of asking."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

from page_text import paragraph, rows
from real_found import KEYWORDS, OUTCOME, counts, has, judged, plain, share
from real_steps import DEPTHS, tunes

from safebasin.protocol.peng2024 import MODELS

TOY = Path(__file__).parent / "results" / "direction_spread.json"
"""The packaged model along 16 directions, by the same judge."""


def directions(found: Any) -> list[str]:
    """A row a model: three random directions, and the score of its first token."""
    lines, scored, drawn = [], [], []
    for name in ("aligned", "base", *tunes("advbench")):
        cells = ["-"] * 6
        if has(found, f"landscape {name}"):
            own, three = (judged(found, f"landscape {name}", one) for one in (KEYWORDS, OUTCOME))
            sides = [own["basin"][side]["width"] for side in ("negative", "positive")]
            cells = [
                share(own["origin"]["asr"]),
                visage(own),
                *(plain(width) if refuses(own) else "none" for width in sides),
                share(own["auc"]),
                visage(three),
            ]
            drawn.append(name)
        score = "-"
        if has(found, f"score {name}"):
            one = origin_score(found, name)
            score = f"{one['score']:+.2f} ({one['low']:+.2f} to {one['high']:+.2f})"
            scored.append(name)
        if name in drawn or name in scored:
            lines.append([name, *cells, score])
    if not lines:
        return []
    header = [
        "model", "origin ASR", "VISAGE", "ends below", "ends above", "area", "VISAGE by `outcome`",
        "first-token score",
    ]  # fmt: skip
    step = f"{'landscape' if drawn else 'score'} {(drawn or scored)[0]}"
    parts = [
        "## Three directions, and the first token",
        paragraph(
            """
            The same three random directions of 21 points for each model, 24 prompts; of the
            fine-tunes each side is walked until it is broken. The first-token score is that of the
            undisplaced model: the probability of a refusal's first token less that of a complying
            answer's, -1 to 1, nothing generated. A dash is not measured; where no answer at any
            point is a refusal there is no basin, and VISAGE is not defined.
            """
        ),
        rows(header, lines),
        f"```text\n{found['steps'][step]['command']}\n```",
    ]
    return parts + ([order(found)] if order(found) else [])


def refuses(judged: Any) -> bool:
    """Whether any answer at any point is a refusal by this judge."""
    return any(cell["refused"] for line in judged["landscapes"] for cell in line)


def visage(judged: Any) -> str:
    """VISAGE with its interval; where nothing is refused it is not defined."""
    return plain(judged["visage"], 1) if refuses(judged) else "not defined"


def origin_score(found: Any, name: str) -> dict[str, float]:
    """The score at the origin with its interval."""
    result = found["steps"][f"score {name}"]["result"]
    at = min(range(len(result["alphas"])), key=lambda i: abs(result["alphas"][i]))
    return {end: result["mean"][end][at] for end in ("score", "low", "high")}


def visage_of(judged: Any) -> float | None:
    """VISAGE, None where it is not defined."""
    value: float | None = judged["visage"]["value"] if refuses(judged) else None
    return value


def order(found: Any) -> str:
    """Whether two measures put the fine-tunes in the order of their ASR, in a sentence each."""
    told = []
    for what, step, value in (
        ("the first-token score", "score", lambda name: origin_score(found, name)["score"]),
        ("VISAGE", "landscape", lambda name: visage_of(judged(found, f"landscape {name}"))),
        ("the area", "landscape", lambda name: judged(found, f"landscape {name}")["auc"]["value"]),
    ):
        known = [
            (found["steps"][f"compare {name}"]["result"]["asr"]["after"]["value"], value(name))
            for name in tunes("advbench")
            if has(found, f"compare {name}", f"{step} {name}")
        ]
        signs = [
            (one[0] - two[0]) * (one[1] - two[1])
            for one, two in combinations(known, 2)
            if one[0] != two[0] and None not in (one[1], two[1])
        ]
        if signs:
            right = sum(sign < 0 for sign in signs)
            told.append(f"{what} puts {right} of {len(signs)} pairs in that order")
    if not told:
        return ""
    return (
        "**Does a score order the fine-tunes?** Of the pairs that differ in ASR after the "
        f"fine-tune (the comparison above), {'; '.join(told)}. Both sides are measured on the same "
        "model and mostly the same prompts, so this is agreement and no prediction; see [what "
        "predicts](what-predicts.md) for that."
    )


def prefills(found: Any) -> list[str]:
    """ASR by how many words of a complying answer are given, and by displacement."""
    known = [words for words in DEPTHS if has(found, f"prefill {words}")]
    if not known or not has(found, "line"):
        return []
    first = judged(found, f"prefill {known[0]}")
    places = first["axes"][0]
    lines = []
    for words in (0, *known):
        step = f"prefill {words}" if words else "line"
        own, three = judged(found, step), judged(found, step, OUTCOME)
        at = [nearest(own["axes"][0], place) for place in places]
        mean = own["mean"]
        cells = [share({end: mean[end][i] for end in ("value", "low", "high")}, 0) for i in at]
        here = nearest(own["axes"][0], 0.0)
        lines.append([str(words), *cells, counts(three["landscapes"][0][here])])
    rates = [judged(found, f"prefill {w}")["origin"]["asr"]["value"] for w in known]
    start = judged(found, "line")["origin"]["asr"]["value"]
    return [
        "## How deep the refusal sits",
        paragraph(
            """
            ASR of the aligned model where each answer is made to begin with the first words of
            AdvBench's published opener ("Sure, here is ..."), by depth and displacement along the
            line's direction. What is judged is what the model adds.
            """
        ),
        rows(
            ["words given", *(f"ASR at {place:+.2f}" for place in places),
             "at 0: refused / complied / incoherent"], lines,
        ),
        f"```text\n{found['steps'][f'prefill {known[-1]}']['command']}\n```",
        paragraph(
            f"""
            Undisplaced, ASR goes from {100 * start:.0f} % without a word to
            {', '.join(f'{100 * r:.0f} % with {w}' for w, r in zip(known, rates, strict=True))}.
            {depth_told(start, dict(zip(known, rates, strict=True)))}
            """
        ),
    ]  # fmt: skip


def depth_told(start: float, rates: dict[int, float]) -> str:
    """What the depths say, whatever it is."""
    broken = [words for words, rate in rates.items() if rate > 0.5 >= start]
    if not broken:
        return "More than half of the requests stay refused at every depth measured."
    return (
        f"With {broken[0]} word{'s' * (broken[0] > 1)} given more than half of the requests are no "
        "longer refused: the alignment sits in the first words of the answer."
    )


def nearest(places: list[float], place: float) -> int:
    return min(range(len(places)), key=lambda i: abs(places[i] - place))


def system_prompts(found: Any) -> list[str]:
    """The line under each system message."""
    known = [name for name in ("system prompts", "no system prompt") if has(found, name)]
    lines = []
    for step in known:
        for one in found["steps"][step]["result"]["conditions"]:
            own = one["landscape"]
            basin = own["basin"]
            lines.append([
                NAMES.get(one["name"], one["name"]),
                share(own["origin"]["asr"]), plain(own["visage"], 1),
                plain(basin["negative"]["width"]), plain(basin["positive"]["width"]),
            ])  # fmt: skip
    if not lines:
        return []
    return [
        "## System prompts",
        paragraph(
            """
            The aligned model along one direction of 9 points, 12 prompts, under several system
            messages. It was trained under the template's own.
            """
        ),
        rows(["system message", "origin ASR", "VISAGE", "ends below", "ends above"], lines),
        "\n".join(["```text", *(found["steps"][step]["command"] for step in known), "```"]),
    ]


NAMES = {"template": "the template's own", "empty": "none (an empty one)"}


def epochs(found: Any) -> list[str]:
    """A training, checkpoint by checkpoint."""
    if not has(found, "way"):
        return []
    result = found["steps"]["way"]["result"]
    lines = [
        [
            str(number),
            f"{100 * one['relative_length']:.2f} %",
            share(one["asr"]),
            share(one["asr_on_the_plane"]),
        ]
        for number, one in enumerate(result["stations"], 1)
    ]
    explained = ", ".join(f"{100 * part:.0f} %" for part in result["explained"])
    return [
        "## A training, epoch by epoch",
        paragraph(
            f"""
            The fine-tune on 50 openers after each epoch, drawn on the plane of its two main
            directions, which hold {explained} of its way's square; 12 prompts.
            """
        ),
        rows(["epoch", "way / norm", "ASR", "ASR at its place on the plane"], lines),
        f"```text\n{found['steps']['way']['command']}\n```",
    ]  # fmt: skip


def differences(found: Any) -> list[str]:
    """The real model beside the toy and the paper's models."""
    if not has(found, "line"):
        return []
    step = "landscape aligned" if has(found, "landscape aligned") else "line"
    own = judged(found, step)
    [toy] = [
        row["measures"]
        for row in json.loads(TOY.read_text(encoding="utf-8"))["rows"]
        if row["model"] == "testbed:aligned"
    ]
    papers = sorted(value for one in MODELS for value, _ in one.visage.values())
    many = f"{len(own['directions'])} direction{'s' * (len(own['directions']) > 1)}"
    lines = [
        f"- The basin's width, both sides: {plain(own['basin']['width'])} here ({many}), "
        f"{toy['width']['mean']:.2f} for the toy (16 directions, with a deviation of "
        f"{toy['width']['deviation']:.2f} between them).",
        f"- VISAGE: {plain(own['visage'], 1)} here, {toy['visage']['mean']:.1f} for the toy, "
        f"{papers[0]:.1f} to {papers[-1]:.1f} for the {sum(bool(m.visage) for m in MODELS)} models "
        "that the paper names a number for, of 7 and 8 billion parameters.",
    ]
    if has(found, "line base", "compare base"):
        base = judged(found, "line base")["origin"]["asr"]
        moved = found["steps"]["compare base"]["result"]["distances"][0]["relative"]
        lines.append(
            f"- The paper's models refuse as published; this one has an origin ASR of "
            f"{share(base)} before it is taught, and the basin is that of an adapter which moves "
            f"{100 * moved:.2f} % of the weights' norm."
        )
    return ["## What differs from the toy and from the paper", "\n".join(lines)]
