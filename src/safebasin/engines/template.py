"""Prompts as the model sees them, and its answers as text: chat template, token ids, thought."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from safebasin.checkpoint.chat_templates import stored_chat_template
from safebasin.checkpoint.chats import Unrendered, write_chat
from safebasin.engines.clock import Clock, reads_clock
from safebasin.engines.rendered import REQUEST, Rendered, rendered
from safebasin.errors import TemplateError
from safebasin.exchange import Exchange, Finish
from safebasin.prompts import Prompt
from safebasin.protocol.texts import PREFIX, TEMPLATES
from safebasin.terminal import listed, shorten
from safebasin.thought import Marks, closing_of, opened, special_marks

RAW = "raw"
TAIL = 32
"""How many tokens of a prompt's end are looked at for a mark that opens a thought."""
AGAIN = 7
"""How often a prompt is rendered again to see whether a chat template draws at random."""
REMEDY = (
    "Give one with --template FILE (a Jinja chat template), or --template raw to send prompts bare."
)
_NO_PREFILL = "Leave out --prefill, or give a chat template with --template FILE."


@dataclass(frozen=True)
class Template:
    """How a prompt becomes token ids for one tokenizer, and an answer's token ids its text.

    `source` is the Jinja text of a chat template, or None to send the prompt's text bare, with the
    special tokens that the tokenizer itself adds. `system` is the system message, "" for an empty
    one; None sends none, and a chat template may then put in its own. `marks` are what the model's
    thoughts stand between, None for the known marks. `clock` is what a chat template that asks for
    the date is told.
    """

    tokenizer: Any
    source: str | None
    system: str | None = None
    marks: Marks | None = None
    clock: Clock = field(default_factory=Clock, compare=False)

    @classmethod
    def of(
        cls,
        tokenizer: Any,
        template: str | None = None,
        system: str | None = None,
        marks: Marks | None = None,
    ) -> Template:
        """The model's own template, or the one asked for: `raw`, a file with Jinja text, the folder
        of a model or an adapter that brings one, or one of the paper's by its name, such as
        `peng2024:vicuna`.

        Raises TemplateError where there is none, where it cannot be read, and where it refuses,
        or silently drops, the system message or the prompt, or puts its own in the place of an
        empty one.
        """
        if template == RAW:
            if system is not None:
                raise TemplateError(
                    "A raw prompt has no place for a system message.",
                    "Leave out --system, or give a chat template with --template FILE.",
                )
            return cls(tokenizer, None, marks=marks)
        source = own_template(tokenizer) if template is None else _given_template(template)
        result = cls(tokenizer, source, system, marks)
        result._probe()
        return result

    def render(self, text: str, prefill: str = "", *, anew: bool = False) -> str:
        """The whole input for one prompt, up to where the answer begins, or goes on.

        `prefill` is the beginning of the answer, which the chat template writes as that of a last
        message of the assistant's (`continue_final_message` of transformers); "" for none. `anew`
        has the template write what is known from before again. Raises Unrendered, a TemplateError,
        where the chat template does not write it, and TemplateError for a prefill without one.
        """
        if self.source is None:
            if prefill:
                raise TemplateError("A raw prompt has no answer that could be begun.", _NO_PREFILL)
            return text
        messages = [{"role": "user", "content": text}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        if prefill:
            messages.append({"role": "assistant", "content": prefill})
        how = "continue_final_message" if prefill else "add_generation_prompt"
        return write_chat(
            self.tokenizer, messages, self.source, today=self.day, anew=anew, **{how: True}
        )

    @property
    def day(self) -> str | None:
        """The day that the chat template is told, such as 2026-11-27; None where it asks none."""
        return self.clock.day.isoformat() if reads_clock(self.source) else None

    def renderings(self, prompts: Iterable[Prompt]) -> dict[str, str]:
        """A digest of each prompt as the model sees it, by the prompt's id; none of bare ones."""
        if self.source is None:
            return {}
        texts = {prompt.id: self.render(prompt.text, prompt.prefill) for prompt in prompts}
        return {
            name: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
            for name, text in texts.items()
        }

    @cached_property
    def rendered(self) -> Rendered:
        """What a prompt holds beside the request: the system message above all."""
        return rendered(self.with_system, self.system)

    def with_system(self, system: str | None, text: str) -> str:
        """A prompt as it would be under another system message."""
        return replace(self, system=system).render(text)

    def encode(self, prompt: Prompt) -> list[int]:
        """The token ids of one prompt.

        Raises TemplateError, naming the prompt, where the chat template fails and for a doubled
        start token.
        """
        try:
            text = self.render(prompt.text, prompt.prefill)
        except Unrendered as error:
            raise TemplateError(
                f"The chat template fails at prompt '{shorten(prompt.id)}': {error.reason}.",
                "Leave out the prompt, or give a chat template that takes it with --template FILE.",
            ) from error
        ids = self.tokenizer(text, add_special_tokens=self.source is None)
        tokens = [int(token) for token in ids["input_ids"]]
        if not tokens:
            raise TemplateError(
                f"Prompt '{prompt.id}' becomes no tokens at all.",
                "Give a prompt with text, or a chat template with --template FILE.",
            )
        bos = self.tokenizer.bos_token_id
        if bos is not None and tokens[:2] == [bos, bos]:
            raise TemplateError(
                f"Prompt '{prompt.id}' starts with the start token twice.",
                "Remove it from the chat template or from the prompt's text.",
            )
        return tokens

    def opened(self, encoded: Sequence[int]) -> str:
        """The mark by which an encoded prompt opens a thought, with what follows it; "" for none.

        It is read off the prompt's last tokens, which is what the model sees.
        """
        tail = tuple(encoded[-TAIL:])
        if tail not in self._opened:
            text = str(self.tokenizer.decode(list(tail), skip_special_tokens=False))
            self._opened[tail] = opened(text, self.marks)
        return self._opened[tail]

    @cached_property
    def _opened(self) -> dict[tuple[int, ...], str]:
        return {}

    @cached_property
    def opens(self) -> str:
        """The mark by which the chat template opens a thought; "" where it opens none."""
        return "" if self.source is None else opened(self.render(REQUEST), self.marks)

    @cached_property
    def thinks(self) -> bool:
        """Whether the model may be one that thinks: its template or its tokens speak of thoughts.

        Many models can do both, so only their answers show whether they do.
        """
        return bool(
            self.opens or self._kept or closing_of(self.source or "", self.marks) is not None
        )

    @cached_property
    def _kept(self) -> dict[int, str]:
        """Special tokens that are marks of a thought, which the text of an answer keeps."""
        found = self.tokenizer.added_tokens_decoder.items()
        special = {str(token.content): int(index) for index, token in found if token.special}
        return {special[mark]: mark for mark in special_marks(special, self.marks)}

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of answer tokens: without special tokens, but for the marks of a thought."""
        if not self._kept:
            return str(self.tokenizer.decode(tokens, skip_special_tokens=True))
        added = self.tokenizer.added_tokens_decoder
        dropped = {*self.tokenizer.all_special_ids, *(i for i, t in added.items() if t.special)}
        dropped -= self._kept.keys()
        left = [token for token in tokens if token not in dropped]
        return str(self.tokenizer.decode(left, skip_special_tokens=False))

    def exchange(
        self, prompt: Prompt, encoded: Sequence[int], tokens: Sequence[int], finish: Finish
    ) -> Exchange:
        """An answer's tokens as an exchange. What the prompt opened of a thought is put before it,
        so that thought and answer can be told apart by the text alone."""
        text = self.opened(encoded) + self.decode(tokens)
        return Exchange(
            prompt.id, prompt.text, text, finish, len(encoded), len(tokens), marks=self.marks
        )

    def spec(self) -> dict[str, object]:
        """What determines the rendering, and the text of answers, as JSON values."""
        digest = None if self.source is None else hashlib.sha256(self.source.encode()).hexdigest()
        thought: dict[str, object] = {"opens": self.opens, "kept": sorted(self._kept.values())}
        if self.marks is not None:
            thought["marks"] = list(self.marks)
        return {
            "kind": RAW if self.source is None else "chat",
            "sha256": digest,
            "system": self.system,
            # Left out where it says nothing, so that the runs of other models stay what they are.
            **({"thought": thought} if any(thought.values()) else {}),
            **({"date": self.day} if self.day and self.clock.told else {}),
        }

    def _probe(self) -> None:
        probe = REQUEST
        try:
            text = self.render(probe)
        except Unrendered as error:
            if self.system is not None and self._works_without_system(probe):
                raise TemplateError(
                    f"The chat template refuses a system message: {error.reason}.",
                    "Leave out --system, or give a template that takes one with --template FILE.",
                ) from error
            raise
        if probe not in text:
            raise TemplateError("The chat template leaves out the prompt.", REMEDY)
        if any(self.render(probe, anew=True) != text for _ in range(AGAIN)):
            raise TemplateError("The chat template writes one prompt in several ways.", REMEDY)
        own = rendered(self.with_system, None).system if self.system == "" else None
        if own and own in text:
            raise TemplateError(
                "The chat template puts in its own system message in the place of an empty one: "
                f"'{shorten(own)}'.",
                "Leave out --system, or give a template that takes one with --template FILE.",
            )
        if self.system is not None and self.system.strip() not in text:
            raise TemplateError(
                "The chat template silently drops the system message.",
                "Leave out --system, or give a template that takes one with --template FILE.",
            )

    def _works_without_system(self, probe: str) -> bool:
        try:
            return probe in Template(self.tokenizer, self.source).render(probe)
        except Unrendered:
            return False


def _given_template(template: str) -> str:
    if template.startswith(PREFIX):
        named = TEMPLATES.get(template.removeprefix(PREFIX))
        if named is None:
            known = ", ".join(f"{PREFIX}{name}" for name in TEMPLATES)
            raise TemplateError(f"There is no template '{template}'.", f"Give one of {known}.")
        return named
    path = Path(template)
    if path.is_dir():
        found = stored_chat_template(path)
        if not found:
            raise TemplateError(f"The folder '{template}' brings no chat template.", REMEDY)
        return found
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(
            f"The template '{template}' cannot be read: {error}.",
            "Give the path of a Jinja chat template, or raw.",
        ) from error


def own_template(tokenizer: Any) -> str:
    """The chat template of a tokenizer, of several the default; TemplateError where it has none."""
    own = getattr(tokenizer, "chat_template", None)
    if isinstance(own, dict):
        if own and "default" not in own:
            names = listed([f"'{shorten(str(name))}'" for name in own])
            raise TemplateError(
                f"The model's chat templates are named {names}, and none is the default one.",
                REMEDY,
            )
        own = own.get("default")
    if not own:
        raise TemplateError("The model's tokenizer has no chat template.", REMEDY)
    return str(own)
