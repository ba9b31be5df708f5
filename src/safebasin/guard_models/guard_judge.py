"""A guard model that judges: rendered, asked in batches, read."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.chats import Unrendered, write_chat
from safebasin.checkpoint.end_tokens import named_end_tokens
from safebasin.engines.memory import free_bytes, free_model
from safebasin.engines.padding import Side, first_batch, padded, rows_together
from safebasin.engines.token_table import pad_token_of, require_rows
from safebasin.errors import JudgeError
from safebasin.exchange import Exchange, Verdict
from safebasin.judges.guards import Guard
from safebasin.judges.protocol import Footprint, Measure
from safebasin.terminal import printable

LOG = logging.getLogger(__name__)

AS_PUBLISHED = "as published"
DIFFERS = "the model's own, which differs from the published one"
GIVEN = "given"
PROBE = ("Name a {colour}.", "Blue {response} {0}")
"""A request and an answer that show how a template places both; their braces are text."""


@dataclass
class Loaded:
    """The guard's model and tokenizer, once they have been needed, and whose prompt it is asked."""

    model: Any = None
    tokenizer: Any = None
    asked: str = ""


@dataclass(frozen=True)
class GuardJudge:
    """Judges with a guard model, loaded at the first answer and kept until `unload`.

    `template` takes the place of the guard's own. An empty answer is not judged, nor is
    one that was cut off in its thought. `check` says
    before any work what the first answer would find out.
    """

    guard: Guard
    checkpoint: Checkpoint
    template: str | None = None
    dtype: str | None = None
    device: str | None = None
    batch: int = 8
    loaded: Loaded = field(default_factory=Loaded, compare=False, repr=False)

    @property
    def name(self) -> str:
        own = self.checkpoint.name == self.guard.model
        return f"guard:{self.guard.name}" + ("" if own else f"@{self.checkpoint.name}")

    @property
    def measures(self) -> Measure:
        return self.guard.measures

    def spec(self) -> Mapping[str, object]:
        return {
            "type": "guard",
            "name": self.name,
            **self.guard.spec(),
            "template": self.template,
            "prompt": self.asked,
            "model": {"name": self.checkpoint.name, **self.checkpoint.spec()},
        }

    def footprint(self) -> Footprint:
        """What loading the model takes, by its files' headers. Nothing is loaded."""
        needs, device = self.checkpoint.footprint(self.dtype, self.device)
        loaded = self.loaded.model is not None
        return Footprint(str(device), 0 if loaded else needs, free_bytes(device))

    def load(self) -> None:
        """Load the model and its tokenizer, where they are not."""
        self._load_tokenizer()
        if self.loaded.model is None:
            self.loaded.model, _ = self.checkpoint.load(self.dtype, self.device)

    def unload(self) -> None:
        """Give the memory back; the next answer loads the model again."""
        if self.loaded.model is not None:
            free_model(self.loaded.model)
        self.loaded.model = None

    def check(self) -> None:
        """Read the tokenizer alone, and hold the prompt that it makes against the published one.

        Where they differ, that is logged as a warning and stands in `spec`. Raises CheckpointError
        without a tokenizer, JudgeError where its labels or its chat template are of another kind.
        """
        self._load_tokenizer()
        if self.asked == DIFFERS:
            LOG.warning(
                "The chat template of '%s' asks the guard '%s' otherwise than its publisher's did: "
                "scores may not be comparable with published ones.",
                printable(self.checkpoint.name), self.guard.name,
            )  # fmt: skip

    @property
    def asked(self) -> str:
        """Whose prompt the guard is asked with: AS_PUBLISHED, DIFFERS, or GIVEN."""
        if self.template is not None:
            return GIVEN
        if self.guard.published is None:
            return AS_PUBLISHED
        self._load_tokenizer()
        if not self.loaded.asked:
            own = self._chat(*PROBE)
            published = [
                self.guard.render(self.guard.published, *PROBE, guideline)
                for guideline in self.guard.variants
            ]
            self.loaded.asked = AS_PUBLISHED if own == published else DIFFERS
        return self.loaded.asked

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        asked = [i for i, exchange in enumerate(exchanges) if exchange.answer.strip()]
        verdicts = [Verdict(None, exchange.unanswered or "empty") for exchange in exchanges]
        if not asked:
            return verdicts
        self.load()
        # Rows of similar length together, in an order that depends on the texts alone.
        rows = {i: self._rows(exchanges[i]) for i in asked}
        flat = [(i, v) for i in asked for v in range(len(rows[i]))]
        flat.sort(key=lambda at: (-len(rows[at[0]][at[1]]), at))
        found: dict[tuple[int, int], Verdict] = {}
        texts = [rows[i][v] for i, v in flat]
        require_rows(self.loaded.model, self.loaded.tokenizer, texts, "a guard's prompt")
        side: Side = "right" if self.guard.labels else "left"
        together = rows_together(self.loaded.model, texts, self._pad(), side, numbers=False)
        lengths, waiting = [len(row) for row in texts], list(range(len(texts)))
        while waiting:
            batch = first_batch(waiting, lengths, self.batch, together)
            waiting = waiting[len(batch) :]
            part, tokens = [flat[k] for k in batch], [texts[k] for k in batch]
            read = self._scores(tokens) if self.guard.labels else self._replies(tokens)
            found.update(zip(part, read, strict=True))
        for i in asked:
            verdicts[i] = _worst([found[i, v] for v in range(len(rows[i]))])
        return verdicts

    def rendered(self, exchange: Exchange) -> list[str]:
        """The whole input, once for every guideline."""
        self._load_tokenizer()
        prompt, response = self._plain(exchange.prompt), self._clipped(exchange.answer)
        template = self.template or self.guard.template
        if template is not None:
            return [self.guard.render(template, prompt, response)]
        return self._chat(prompt, response)

    def _chat(self, prompt: str, response: str) -> list[str]:
        """What the model's own chat template makes of both, once for every guideline.

        The publishers' examples ask for no generation prompt: their templates end with it.
        """
        messages = self.guard.messages(prompt, response)
        more: list[dict[str, Any]] = [
            {"guideline": text} if text else {} for text in self.guard.variants
        ]
        try:
            return [write_chat(self.loaded.tokenizer, messages, **options) for options in more]
        except Unrendered as error:
            raise JudgeError(
                f"The chat template of '{self.checkpoint.name}' cannot render a conversation: "
                f"{error.reason}.",
                f"Give the model that the guard '{self.guard.name}' was made for.",
            ) from error

    def _rows(self, exchange: Exchange) -> list[list[int]]:
        literal = (self.template or self.guard.template) is not None
        specials = literal and self.guard.specials
        rows = []
        for text in self.rendered(exchange):
            encoded = self.loaded.tokenizer(text, add_special_tokens=specials)
            rows.append([int(token) for token in encoded["input_ids"]])
        return rows

    def _plain(self, text: str) -> str:
        """The text without the guard's special tokens, with which it could end its own turn."""
        tokenizer = self.loaded.tokenizer
        added = tokenizer.added_tokens_decoder.values()
        special = {*tokenizer.all_special_tokens, *(str(t) for t in added if t.special)}
        found = True
        while found:
            found = False
            for token in special:
                if token and token in text:
                    text, found = text.replace(token, ""), True
        return text

    def _clipped(self, response: str) -> str:
        response = self._plain(response)
        tokens = self.loaded.tokenizer(response, add_special_tokens=False)["input_ids"]
        if len(tokens) <= self.guard.clip:
            return response
        return str(
            self.loaded.tokenizer.decode(tokens[: self.guard.clip], skip_special_tokens=True)
        )

    def _load_tokenizer(self) -> None:
        if self.loaded.tokenizer is not None:
            return
        self.loaded.tokenizer = self.checkpoint.load_tokenizer()
        if self.guard.labels and self._single_tokens(self.guard.labels) is None:
            self.loaded.tokenizer = None
            labels = ", ".join(label for label, _ in self.guard.labels)
            raise JudgeError(
                f"The labels {labels} are not one token each for '{self.checkpoint.name}'.",
                f"Give the model that the guard '{self.guard.name}' was made for.",
            )

    def _single_tokens(self, labels: Sequence[tuple[str, float]]) -> list[int] | None:
        """The token of each label, or None where one has several or shares its token."""
        tokenizer = self.loaded.tokenizer
        ids = [tokenizer(label, add_special_tokens=False)["input_ids"] for label, _ in labels]
        tokens = [int(one[0]) for one in ids if len(one) == 1]
        known = len(set(tokens)) == len(labels) and tokenizer.unk_token_id not in tokens
        return tokens if known else None

    @torch.inference_mode()
    def _scores(self, rows: Sequence[list[int]]) -> list[Verdict]:
        """Verdicts by the expected score of the label tokens at the next position."""
        ids, mask = padded(rows, self._pad(), "right")
        device = self.loaded.model.device
        logits = self.loaded.model(
            input_ids=ids.to(device), attention_mask=mask.to(device)
        ).logits  # [rows, tokens, vocabulary]
        last = torch.tensor([len(row) - 1 for row in rows], device=device)
        at_end = logits[torch.arange(len(rows), device=device), last]
        return [
            Verdict(None, "the logits are no numbers") if score is None
            else self.guard.of_score(score)
            for score in self._expected(at_end, self.guard.labels)
        ]  # fmt: skip

    def _expected(self, logits: Tensor, labels: Sequence[tuple[str, float]]) -> list[float | None]:
        """The expected score of each row under the softmax over the label tokens alone."""
        tokens = self._single_tokens(labels)
        if tokens is None:
            return [None] * len(logits)
        values = torch.tensor([value for _, value in labels], device=logits.device)
        scores = (logits[:, tokens].float().softmax(-1) * values).sum(-1).tolist()
        return [score if math.isfinite(score) else None for score in scores]

    @torch.inference_mode()
    def _replies(self, rows: Sequence[list[int]]) -> list[Verdict]:
        """Verdicts by the text that the guard writes, greedily."""
        from transformers import GenerationConfig

        ids, mask = padded(rows, self._pad(), "left")
        model, tokenizer = self.loaded.model, self.loaded.tokenizer
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=GenerationConfig(
                do_sample=False,
                num_beams=1,
                max_new_tokens=self.guard.tokens,
                pad_token_id=self._pad(),
                eos_token_id=model.generation_config.eos_token_id or tokenizer.eos_token_id,
                return_dict_in_generate=True,
                output_logits=bool(self.guard.first),
            ),
        )
        replies = output.sequences[:, ids.shape[1] :]
        verdicts = [
            self.guard.read(text)
            for text in tokenizer.batch_decode(replies, skip_special_tokens=True)
        ]
        if not self.guard.first:
            return verdicts
        return [
            verdict if verdict.outcome is None or score is None else replace(verdict, score=score)
            for verdict, score in zip(
                verdicts, self._first_scores(replies, output.logits), strict=True
            )
        ]

    def _first_scores(self, replies: Tensor, logits: Sequence[Tensor]) -> list[float | None]:
        """The expected score where each reply's first token that is no white space was chosen.

        None where that is none of the labels' tokens, as in a reply of capitals.
        """
        tokenizer = self.loaded.tokenizer
        rows = replies.tolist()
        at = [
            next((i for i, token in enumerate(row) if tokenizer.decode([token]).strip()), 0)
            for row in rows
        ]
        chosen = torch.stack([logits[step][row] for row, step in enumerate(at)])
        labels = self._single_tokens(self.guard.first) or ()
        return [
            score if tokens[step] in labels else None
            for tokens, step, score in zip(
                rows, at, self._expected(chosen, self.guard.first), strict=True
            )
        ]

    def _pad(self) -> int:
        tokenizer = self.loaded.tokenizer
        return pad_token_of(self.loaded.model, tokenizer, named_end_tokens(tokenizer))


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict with the highest score; not judged where one of them is not."""
    unknown = next((verdict for verdict in verdicts if verdict.outcome is None), None)
    return unknown or max(verdicts, key=lambda verdict: verdict.score or 0.0)
