"""In what a tuned model differs from its base beside its weights, and what of it changes answers.

Both are asked through one model, one tokenizer and one chat template, the base's. What the tuned
model brings of its own is compared with them: a difference that a reader should know of is noted,
and one by which the answers would not be the tuned model's is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.chat_templates import stored_chat_template
from safebasin.checkpoint.chats import Unrendered
from safebasin.checkpoint.mismatches import Mismatch, other_template, recorded_base
from safebasin.checkpoint.token_tables import SAME, OtherTokens, renamed_tokens
from safebasin.engines.rendered import REQUEST
from safebasin.engines.template import Template, own_template
from safebasin.errors import TemplateError
from safebasin.prompts import Prompt
from safebasin.run.stored_weights import told_storage
from safebasin.terminal import listed, shorten

_REST = ("dropout", "_pdrop", "initializer", "_token_id", "output_", "router_aux", "router_jitter")
_NO_COMPUTATION = {
    "_name_or_path", "architectures", "chunk_size_feed_forward", "dtype", "id2label",
    "is_encoder_decoder", "label2id", "max_position_embeddings", "max_window_layers", "n_positions",
    "pretraining_tp", "problem_type", "return_dict", "tie_word_embeddings", "torch_dtype",
    "transformers_version", "use_cache", "use_sliding_window", "vocab_size",
}  # fmt: skip
"""Settings that say nothing of what is computed, or that the shapes of the weights tell."""


def between(
    template: Template, base: Checkpoint, tuned: Checkpoint, prompts: Iterable[Prompt], rows: int
) -> list[Mismatch]:
    """Every mismatch of a tuned model and the base that stands for it.

    template  how both are asked, with the base's tokenizer
    prompts   what they are asked
    rows      how many tokens the base has an output for
    """
    found = [*recorded_base(base), *other_template(base, template.source)]
    if tuned.folders == base.folders:
        return found
    found += [one for one in recorded_base(tuned) if one not in found]
    found += _storage(base, tuned)
    found += [] if tuned.folders[0] == base.folders[0] else _computation(base, tuned)
    theirs = _tokenizer(base, tuned)
    if theirs is not None:
        found += _tokens(template, theirs, list(prompts), rows)
    found += _templates(template, base, tuned, theirs)
    found += _ends(base.end_tokens(), tuned.end_tokens(), template.tokenizer, rows)
    return found


def _storage(base: Checkpoint, tuned: Checkpoint) -> list[Mismatch]:
    """That one of both is stored as codes, or both in two ways."""
    ours, theirs = (one.spec().get("quantisation") for one in (base, tuned))
    if ours == theirs:
        return []
    here, there = (told_storage(one) if one else "plain numbers" for one in (ours, theirs))
    return [
        Mismatch(
            "quantisation",
            f"the tuned model is stored as {there}, the base as {here}: what the codes mean is "
            "measured, and the way between them is in part what storing changed",
        )
    ]


def _tokenizer(base: Checkpoint, tuned: Checkpoint) -> Any:
    """The tokenizer that the tuned model brings of its own; None where it has the base's."""
    if tuned.adapter_tokenizer is not None or tuned.folders[0] == base.folders[0]:
        return tuned.adapter_tokenizer
    return tuned.load_tokenizer()


def _computation(base: Checkpoint, tuned: Checkpoint) -> list[Mismatch]:
    """Settings by which the same weights compute something else.

    Only those that the architecture itself knows count: others are some tool's notes.
    """
    ours, theirs = base.config().get_text_config(), tuned.config().get_text_config()
    alike = ours.model_type == theirs.model_type
    if not alike and not _llamas(base, tuned, {ours.model_type, theirs.model_type}):
        return [
            Mismatch(
                "architecture",
                f"'{tuned.name}' is of the architecture {shorten(theirs.model_type)}, and the base "
                f"of {shorten(ours.model_type)}: the same weights are another model there.",
                SAME,
            )
        ]
    known = type(ours)().to_dict()
    here, there = ours.to_dict(), theirs.to_dict()
    other = [
        f"{name} ({shorten(str(there.get(name)))}, here {shorten(str(here.get(name)))})"
        for name in known
        if _computes(name)
        and not _same(here.get(name), there.get(name))
        and (alike or (name in there and name != "model_type"))
    ]
    if not other:
        return []
    return [
        Mismatch(
            "architecture",
            f"The config.json of '{tuned.name}' has another {listed(other)}, by which the base "
            "with its weights would not be it.",
            "Give the base that it was tuned from, or scan each model by itself.",
        )
    ]


def _same(one: Any, other: Any) -> bool:
    """Whether two settings are the same; numbers as 32 bits have them, as GGUF stores them."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=2**-23)
    return bool(one == other)


def _llamas(base: Checkpoint, tuned: Checkpoint, kinds: set[str]) -> bool:
    """Whether it is a Mistral and its GGUF file, which calls it a Llama: both compute alike."""
    stored = [one.spec().get("quantisation", {}) for one in (base, tuned)]
    return kinds == {"llama", "mistral"} and any(one.get("format") == "GGUF" for one in stored)


def _computes(name: str) -> bool:
    return name not in _NO_COMPUTATION and not any(part in name for part in _REST)


def _tokens(
    template: Template, theirs: Any, prompts: Sequence[Prompt], rows: int
) -> list[Mismatch]:
    """The tables of tokens, then what the prompts become by both."""
    table = OtherTokens.between(template.tokenizer.get_vocab(), theirs.get_vocab())
    encoded = {prompt.id: template.encode(prompt) for prompt in prompts}
    asked = {token for row in encoded.values() for token in row}
    found = [
        *renamed_tokens(table, template.tokenizer, "the tuned model", asked),
        *_sizes(table, rows),
    ]
    if any(one.remedy for one in found):
        return found
    around = "" if template.source is None else template.render(REQUEST).replace(REQUEST, "")
    special = set(theirs.all_special_tokens) | {
        str(t) for t in theirs.added_tokens_decoder.values() if t.special
    }
    if writes := [token for token in table.added if token in special and token in around]:
        found.append(
            Mismatch(
                "vocabulary",
                f"The chat template writes {_quoted(writes)}, which the tuned model has as a token "
                "and the base's tokenizer takes for text.",
                "Give a base whose tokenizer has the tuned model's tokens, or the base's template.",
            )
        )
        return found
    own = Template(theirs, template.source, template.system, template.marks, template.clock)
    other = [prompt.id for prompt in prompts if _encoded(own, prompt) != encoded[prompt.id]]
    if other:
        found.append(
            Mismatch(
                "tokenizer",
                f"The tuned model's tokenizer splits {len(other)} of {len(prompts)} prompts, such "
                f"as '{shorten(other[0])}', into other tokens than the base's.",
                "Give a tuned model with the base's tokenizer, or scan each model by itself.",
            )
        )
    return found


def _sizes(table: OtherTokens, rows: int) -> list[Mismatch]:
    found = []
    if table.added:
        beyond = sum(number >= rows for number in table.added.values())
        cannot = (
            f"; the base has no row for {beyond} of them, which it cannot write" if beyond else ""
        )
        found.append(
            Mismatch(
                "vocabulary",
                f"the tuned model has {_count(table.added, 'token')} more than the base, such as "
                f"{_quoted(list(table.added))}: neither is asked with them{cannot}",
            )
        )
    if table.missing:
        found.append(
            Mismatch(
                "vocabulary",
                f"the tuned model lacks {_count(table.missing, 'token')} of the base, such as "
                f"{_quoted([token for _, token in table.missing])}",
            )
        )
    return found


def _encoded(template: Template, prompt: Prompt) -> list[int] | None:
    """What a prompt becomes; None where the tokenizer makes no prompt of it."""
    try:
        return template.encode(prompt)
    except TemplateError:
        return None


def _templates(
    template: Template, base: Checkpoint, tuned: Checkpoint, theirs: Any
) -> list[Mismatch]:
    """The chat template that the tuned model brings, and the system message in it."""
    if template.source is None:
        return []
    folder, adapter = tuned.folders
    own = None if adapter is None else stored_chat_template(adapter)
    tokenizer = template.tokenizer if theirs is None else theirs
    if own is not None:
        found = other_template(tuned, template.source)
    elif folder == base.folders[0]:
        return []
    else:
        tokenizer = tuned.load_tokenizer()
        own = _own(tokenizer)
        found = _other_template(tokenizer, own, template.source)
    if own is not None and own != template.source and template.system is None:
        ours, other = _system(template.tokenizer, template.source), _system(tokenizer, own)
        if ours != other:
            found.append(
                Mismatch(
                    "system message",
                    f"by itself the tuned model is told {_told(other)}, and here {_told(ours)}",
                )
            )
    return found


def _other_template(tokenizer: Any, own: str | None, source: str) -> list[Mismatch]:
    if own == source:
        return []
    if own is None:
        sentence = "the tuned model has no chat template; the one here is used for both"
    elif _written(tokenizer, own) == _written(tokenizer, source):
        sentence = "the tuned model has another chat template, which writes a prompt just so"
    else:
        sentence = (
            "the tuned model has another chat template; the one here is used for both, and "
            "--template with the tuned model's folder takes its own"
        )
    return [Mismatch("chat template", sentence)]


def _own(tokenizer: Any) -> str | None:
    try:
        return own_template(tokenizer)
    except TemplateError:
        return None  # it has none, which is noted


def _written(tokenizer: Any, source: str) -> str | None:
    """The probe as a chat template writes it; None where it refuses to."""
    try:
        return Template(tokenizer, source).render(REQUEST)
    except Unrendered:
        return None


def _system(tokenizer: Any, source: str) -> str:
    """The system message that a chat template puts in by itself; "" for none."""
    try:
        found = Template(tokenizer, source).rendered.system
    except Unrendered:
        return ""
    return (found or "").strip()


def _told(system: str) -> str:
    return f"'{shorten(system)}' by its chat template" if system else "nothing before a prompt"


def _ends(ours: Sequence[int], theirs: Sequence[int], tokenizer: Any, rows: int) -> list[Mismatch]:
    if tuple(ours) == tuple(theirs):
        return []
    beyond = [token for token in theirs if token >= rows]
    if beyond:
        return [
            Mismatch(
                "end tokens",
                f"The tuned model ends its answers at token {beyond[0]}, and the base has {rows} "
                "tokens only, so that none would end there.",
                "Give a base whose tables are as long as the tuned model's.",
            )
        ]
    return [
        Mismatch(
            "end tokens",
            f"the tuned model ends its answers at {_ids(theirs, tokenizer)}, the base at "
            f"{_ids(ours, tokenizer)}: each ends by its own, and points between them by either's",
        )
    ]


def _ids(tokens: Sequence[int], tokenizer: Any) -> str:
    return listed([f"'{shorten(tokenizer.decode([i]))}' ({i})" for i in tokens]) or "no token"


def _count(things: Sequence[object] | Mapping[str, int], what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def _quoted(texts: Sequence[str]) -> str:
    return listed([f"'{shorten(text)}'" for text in texts])
