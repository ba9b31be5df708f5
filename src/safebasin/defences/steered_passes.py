"""The passes of a model that is steered: where each prompt ends, and which way it is steered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from safebasin.errors import EngineError
from safebasin.subject.hooks import Hook, hooked
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject

AGREES = "Sure"
"""What is put after a prompt, to see where an answer that complies leads."""


def ends_of(
    subject: Subject, prompt: Sequence[int], blocks: Sequence[int]
) -> tuple[Tensor, Tensor, int]:
    """States after blocks at the last token of a prompt, and at that of "Sure" after it.

    Both float32 [blocks, width] on the CPU, from one pass of this row alone; and the token with
    which the model itself would begin its answer.
    """
    agreed = subject.template.tokenizer(AGREES, add_special_tokens=False)["input_ids"]
    places = [len(prompt) - 1, len(prompt) + len(agreed) - 1]
    states: dict[int, Tensor] = {}

    def keep(block: int) -> Hook:
        def hook(module: nn.Module, given: Any, out: Any) -> None:
            whole = out[0] if isinstance(out, tuple) else out
            states[block] = whole[0, places].float().cpu()

        return hook

    modules = blocks_of(subject)
    ids = torch.tensor([[*prompt, *agreed]], device=subject.model.device)
    with torch.no_grad(), hooked([(modules[one], keep(one)) for one in blocks]):
        logits = subject.model(input_ids=ids, use_cache=False).logits
    found = torch.stack([states[one] for one in blocks])
    return found[:, 0], found[:, 1], int(logits[0, places[0]].argmax())


def score(transition: Tensor, references: Tensor) -> float:
    """The mean over blocks of the cosines of two [blocks, width]."""
    return float(nn.functional.cosine_similarity(transition, references, dim=-1).mean())


class SteeredPasses:
    """What happens in each pass while a model is steered.

    A pass without a cache before it is searched for the ends of its prompts, and each prompt is
    told harmful or not by passes of its own, once. A pass with one goes on from there: its rows
    are those of the pass before. `steps` is what is added after a block, times the sign.
    """

    def __init__(
        self,
        subject: Subject,
        end: Sequence[int],
        steps: Mapping[int, Tensor],
        transitions: Mapping[int, Tensor],
        threshold: float,
    ) -> None:
        self.subject, self.end, self.threshold = subject, list(end), threshold
        device, dtype = subject.model.device, subject.model.dtype
        self.steps = {block: step.to(device, dtype) for block, step in steps.items()}
        self.scored = sorted(transitions)
        self.references = torch.stack([transitions[block] for block in self.scored])
        self.scores: dict[tuple[int, ...], float] = {}
        self.signs = torch.empty(0)
        self.steered = torch.empty(0)
        self._telling = False

    def enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Before the pass: which of its tokens are steered, and which way."""
        if self._telling:
            return
        ids = kwargs.get("input_ids", args[0] if args else None)
        if ids is None:
            raise EngineError(
                "The model is given no tokens, so that where a prompt ends cannot be told.",
                "Ask it by token ids.",
            )
        past = kwargs.get("past_key_values")
        if past is not None and past.get_seq_length():
            if len(ids) != len(self.signs):
                raise EngineError(
                    f"{len(ids)} rows go on where {len(self.signs)} were steered.",
                    "Begin with the prompts of all rows.",
                )
            self.steered = torch.ones_like(ids, dtype=torch.bool)
            return
        mask = kwargs.get("attention_mask")
        self.steered = torch.zeros_like(ids, dtype=torch.bool)
        signs = []
        for number, row in enumerate(ids.tolist()):
            real = list(range(len(row))) if mask is None else mask[number].nonzero()[:, 0].tolist()
            tokens = [row[i] for i in real]
            last = self._last(tokens)
            self.steered[number, real[last:]] = True
            signs.append(1 if self.score(tokens[: last + 1]) >= self.threshold else -1)
        self.signs = torch.tensor(signs, device=ids.device)

    def score(self, prompt: Sequence[int]) -> float:
        """How much like harmful ones a prompt is, by the unsteered model; in [-1, 1]."""
        key = tuple(prompt)
        if key not in self.scores:
            self._telling = True
            try:
                before, after, _ = ends_of(self.subject, prompt, self.scored)
            finally:
                self._telling = False
            self.scores[key] = score(before - after, self.references)
        return self.scores[key]

    def hook(self, block: int) -> Hook:
        """After a block: its step, signed, at the steered tokens, and every other as it was."""

        def hook(module: nn.Module, given: Any, out: Any) -> Any:
            if self._telling:
                return None
            whole = out[0] if isinstance(out, tuple) else out
            step = self.signs[:, None, None].to(whole.dtype) * self.steps[block]
            moved = torch.where(self.steered[..., None], whole + step, whole)
            return (moved, *out[1:]) if isinstance(out, tuple) else moved

        return hook

    def _last(self, tokens: Sequence[int]) -> int:
        """The place of the last token of the last prompt."""
        width = len(self.end)
        for last in range(len(tokens) - 1, width - 2, -1):
            if list(tokens[last - width + 1 : last + 1]) == self.end:
                return last
        raise EngineError(
            "A row does not hold what the chat template writes after a prompt, so that where it "
            "ends, and steering begins, cannot be told.",
            "Ask by the chat template that the steering was found with.",
        )
