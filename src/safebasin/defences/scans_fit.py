"""How SCANS is found in a model: vectors and references, blocks, and one threshold."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from safebasin.defences.scans import Scans
from safebasin.defences.steered_passes import ends_of, score
from safebasin.engines.template import Template
from safebasin.errors import DataError, EngineError, UsageError
from safebasin.prompts import Prompt
from safebasin.prompts.prompt import PromptSet
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject

MOST = 64
"""The anchors of a kind, as in the paper."""
TOP = 10
SHARE = 0.25
"""Of the vector's norm: on the packaged model a half begins to break text."""


class _Side(NamedTuple):
    """States of some prompts, float32 [prompts, blocks, width], and the tokens they begin with."""

    before: Tensor
    after: Tensor
    first: list[int]


def fit(
    subject: Subject,
    harmful: PromptSet,
    benign: PromptSet,
    *,
    blocks: Collection[int] | None = None,
    share: float = SHARE,
) -> Scans:
    """Find the steering of a model; of each set every other prompt is an anchor, at most 64.

    blocks  those to steer; by default the third in which refusals are read: of its unit vectors
            the first principal component (not centred), times the output layer, has the most
            tokens among its top 10 with which the model itself begins its answers to harmful
            anchors. The middle one where several have as many. Thirds end at ⌊n/3⌋ and ⌊2n/3⌋
    share   how much is added, in units of the vector's norm

    The prompts that are no anchors settle the threshold, which is then frozen: it is the middle of
    the widest range with the most of (harmful at or above + benign below) / 2. Scored are the
    blocks from the first steered one to the last but one.

    Raises DataError where a set has too few prompts, both kinds of anchors give the same states, or
    the template writes nothing after a prompt;
    UsageError for blocks that cannot be steered; EngineError where a state is not finite.
    """
    _require_enough(harmful, benign)
    count = len(blocks_of(subject))
    end = end_of(subject.template)
    sides = [_states(subject, one, count) for one in (harmful, benign)]
    anchors = [_Side(one.before[::2][:MOST], one.after[::2][:MOST], one.first[::2][:MOST])
               for one in sides]  # fmt: skip
    raw = anchors[0].before.mean(0) - anchors[1].before.mean(0)
    if not bool(raw.any(dim=-1).all()):
        raise DataError(
            "Harmful and benign anchors have the same mean state after a block: there is no "
            "direction between them.",
            "Give other prompts.",
        )
    thirds = _thirds(count)
    tokens = sorted(set(anchors[0].first))
    read = [_top_tokens(subject, raw[list(third)]) for third in thirds]
    hits = [len(set(one) & set(tokens)) for one in read]
    if blocks is None:
        best = max((1, 2, 0), key=lambda i: hits[i])
        blocks = [one for one in thirds[best] if one < count - 1] or list(thirds[1])
    chosen = _checked(blocks, count)
    scored = list(range(chosen[0], count - 1))
    references = (anchors[0].before - anchors[0].after).mean(0)[scored]
    scores = [_scores(one, scored, references) for one in sides]
    others = [one[1::2] + one[::2][MOST:] for one in scores]
    curve = curve_of(*others)
    threshold, accuracy = _best(curve)
    return Scans(
        model={"name": subject.checkpoint.name, "fingerprint": subject.checkpoint.fingerprint()},
        end=tuple(end),
        vectors={one: raw[one].clone() for one in chosen},
        transitions={one: references[i].clone() for i, one in enumerate(scored)},
        threshold=threshold,
        share=share,
        found={
            "harmful": described(harmful),
            "benign": described(benign),
            "anchors": [len(one.first) for one in anchors],
            "refusal_tokens": _shown(subject, tokens),
            "begin_so": [sum(one in tokens for one in side.first) for side in anchors],
            "thirds": [
                {"blocks": list(third), "refusal_tokens": found, "top": _shown(subject, top)}
                for third, found, top in zip(thirds, hits, read, strict=True)
            ],
            "curve": [list(one) for one in curve],
            "balanced_accuracy": accuracy,
            "at_threshold": {
                kind: {"above": sum(s >= threshold for s in one), "prompts": len(one)}
                for kind, one in zip(("harmful", "benign"), others, strict=True)
            },
        },
    )


def require_prompts(harmful: PromptSet, benign: PromptSet) -> None:
    """Raise DataError for too few prompts of either kind, or prompts that are of both."""
    _require_enough(harmful, benign)
    if shared := {one.text for one in harmful} & {one.text for one in benign}:
        raise DataError(
            f"{len(shared)} prompts are both harmful and benign.", "Leave them out of one."
        )


def _require_enough(*sets: PromptSet) -> None:
    for one in sets:
        if len(one) < 4:
            raise DataError(
                f"'{one.name}' has {len(one)} prompts, and half of them are to settle the "
                "threshold.",
                "Give at least 4 of each kind.",
            )


def described(prompts: PromptSet) -> dict[str, Any]:
    """Which prompts were read, as JSON values."""
    return {"name": prompts.name, "sha256": prompts.sha256, "prompts": len(prompts)}


def end_of(template: Template) -> list[int]:
    """The tokens after a request, whatever it is; DataError where there are none."""
    asked = [template.encode(Prompt(text, text)) for text in ("a", "Tell me why?", "Count to 3.")]
    end: list[int] = []
    for tokens in zip(*(reversed(one) for one in asked), strict=False):
        if len(set(tokens)) > 1:
            break
        end.insert(0, tokens[0])
    if not end:
        raise DataError(
            "Nothing is written after a prompt, so that where it ends cannot be found in a row.",
            "Give a chat template with --template FILE.",
        )
    return end


def curve_of(harmful: Sequence[float], benign: Sequence[float]) -> list[tuple[float, float, float]]:
    """(threshold, share of harmful at or above it, share of benign at or above it), ascending.

    Each range of thresholds that tell the prompts apart alike stands once, by its middle.
    """
    values = sorted({*harmful, *benign})
    edges = [values[0] - 0.02, *values, values[-1] + 0.02]
    middles = [(one + two) / 2 for one, two in itertools.pairwise(edges)]
    return [
        (
            middle,
            sum(s >= middle for s in harmful) / len(harmful),
            sum(s >= middle for s in benign) / len(benign),
        )
        for middle in middles
    ]


def _best(curve: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """The threshold with the best balanced accuracy, the middle one of several; and that."""
    accuracies = [(above + 1 - false) / 2 for _, above, false in curve]
    best = [i for i, one in enumerate(accuracies) if one == max(accuracies)]
    return curve[best[len(best) // 2]][0], max(accuracies)


def _states(subject: Subject, prompts: PromptSet, count: int) -> _Side:
    before, after, first = [], [], []
    for prompt in prompts:
        one, two, token = ends_of(subject, subject.template.encode(prompt), range(count))
        if not bool(one.isfinite().all() and two.isfinite().all()):
            raise EngineError(
                f"Prompt '{prompt.id}': what the blocks give is not finite.",
                "Load the model in float32, or leave out the prompt.",
            )
        before.append(one)
        after.append(two)
        first.append(token)
    return _Side(torch.stack(before), torch.stack(after), first)


def _thirds(count: int) -> list[range]:
    edges = [0, count // 3, 2 * count // 3, count]
    return [range(*pair) for pair in itertools.pairwise(edges)]


def _top_tokens(subject: Subject, vectors: Tensor) -> list[int]:
    """Of unit vectors [blocks, width] the first principal component, as the output layer reads it.

    Its sign is that of the vectors' mean. Not centred: their common direction is what is wanted.
    """
    if not len(vectors):
        return []
    units = vectors / vectors.norm(dim=-1, keepdim=True)
    component = torch.linalg.svd(units, full_matrices=False).Vh[0]
    component = component * torch.sign(units.mean(0) @ component)
    table: Any = subject.model.get_output_embeddings().weight
    read = table.detach().float().cpu() @ component
    return [int(one) for one in read.topk(min(TOP, len(read))).indices]


def _checked(blocks: Collection[int], count: int) -> list[int]:
    if count == 1:
        raise UsageError(
            "The model has one block, and the last one is not steered.",
            "Give a model of several blocks.",
        )
    chosen = sorted(set(blocks))
    if not chosen or chosen[0] < 0 or chosen[-1] >= count:
        raise UsageError(
            f"Of the blocks {', '.join(map(str, chosen)) or '(none)'} one is not in the model.",
            f"Its blocks: 0 to {count - 1}.",
        )
    if chosen[-1] == count - 1:
        raise UsageError(
            f"Block {count - 1} is the last, after which there is the final norm: it is not "
            "steered.",
            f"Give blocks from 0 to {count - 2}.",
        )
    return chosen


def _scores(side: _Side, scored: Sequence[int], references: Tensor) -> list[float]:
    return [
        score(one[list(scored)] - two[list(scored)], references)
        for one, two in zip(side.before, side.after, strict=True)
    ]


def _shown(subject: Subject, tokens: Sequence[int]) -> list[str]:
    return [subject.template.tokenizer.decode([token]) for token in tokens]
