"""The automaton that proposes to stop, against decoding the whole answer after each token."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from safebasin.checkpoint import Checkpoint
from safebasin.engines.fast.stop_table import DECODE_EVERY, Automaton, StopTable, Watched
from safebasin.engines.fast.token_bytes import token_bytes
from safebasin.errors import UsageError
from safebasin.judges.keywords import LLM_LANDSCAPE
from safebasin.stopping import StopRule
from support import pico

KEYWORDS = (*LLM_LANDSCAPE, "can’t", "não posso", "aab", "abab", "😀")
PIECES = [
    *("I", " cannot", "can", "not", "’t", "'t", " sorry", "Sorry", "I'm", "As", " an", " AI"),
    *("a", "b", "ab", "aa", "aba", " ", "ã", "o", " posso", "😀", "ill", "egal", "un", "ethical"),
]  # fmt: skip


def byte_level() -> Any:
    """A byte-level BPE tokenizer with merged pieces, special and added tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for piece in PIECES:
        text = "".join(part for part, _ in spell.pre_tokenize_str(piece))
        vocabulary.setdefault(text, len(vocabulary))
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = spell
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(t, special=True) for t in ("<pad>", "<s>", "</s>")])
    core.add_tokens([AddedToken("OpenAI", normalized=False), AddedToken("ã!", normalized=False)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def packaged() -> Any:
    """The packaged models' tokenizer: byte-level, with the text's first space left out."""
    return Checkpoint.parse("testbed:aligned").load_tokenizer()


def byte_fallback() -> Any:
    """A tokenizer as SentencePiece makes them: spaces as marks, unknown characters as bytes."""
    vocabulary = {token: i for i, token in enumerate(["<unk>", "<s>", "</s>"])}
    for byte in range(256):
        vocabulary[f"<0x{byte:02X}>"] = len(vocabulary)
    for piece in [*PIECES, *"abcdefgilnostuy"]:
        vocabulary.setdefault(piece.replace(" ", "▁"), len(vocabulary))
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    core.add_special_tokens([AddedToken(t, special=True) for t in ("<unk>", "<s>", "</s>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip


def word_level() -> Any:
    core = Tokenizer(models.WordLevel({"<unk>": 0, "Sorry": 1, "no": 2}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", clean_up_tokenization_spaces=False
    )


def table_for(tokenizer: Any, keywords: tuple[str, ...] = KEYWORDS) -> StopTable:
    return StopTable(
        StopRule(keywords),
        tokenizer,
        lambda tokens: str(tokenizer.decode(tokens, skip_special_tokens=True)),
    )


def stream(rng: random.Random, tokenizer: Any, near: list[list[int]]) -> list[int]:
    """Random tokens with keywords in odd segmentations, cut and repeated, strewn in."""
    size = len(tokenizer)
    ids: list[int] = []
    while len(ids) < 24:
        kind = rng.random()
        if kind < 0.35:
            ids += [rng.randrange(size) for _ in range(rng.randint(1, 6))]
        elif kind < 0.95:
            pieces = rng.choice(near)
            cut = rng.randint(1, len(pieces)) if rng.random() < 0.8 else len(pieces)
            ids += pieces[:cut]
        else:
            ids += list(tokenizer.all_special_ids)[: rng.randint(1, 2)]
    return ids


def segmentations(rng: random.Random, tokenizer: Any, byte_tokens: bool) -> list[list[int]]:
    """Each keyword cut into tokens at random places, several times."""
    by_text: dict[bytes, int] = {}
    known = token_bytes(tokenizer)
    assert known is not None
    for index, data in known.bytes_of.items():
        if index not in known.fragments:
            by_text.setdefault(data, index)
    single = {data: i for i, data in known.bytes_of.items() if len(data) == 1}
    found = []
    for keyword in KEYWORDS:
        data = keyword.encode()
        for _ in range(6):
            ids, place = [], 0
            while place < len(data):
                ends = [e for e in range(place + 1, len(data) + 1) if data[place:e] in by_text]
                end = rng.choice(ends) if ends else place + 1
                piece = data[place:end]
                token = by_text.get(piece)
                if token is None or (byte_tokens and rng.random() < 0.05):
                    end, token = place + 1, single.get(data[place : place + 1])
                if token is None:
                    break
                ids.append(token)
                place = end
            if place == len(data):
                found.append(ids)
    return found


@pytest.mark.parametrize("make", [byte_level, packaged])
def test_byte_level_tokens_stop_exactly_when_the_text_holds_a_keyword(
    make: Callable[[], Any],
) -> None:
    tokenizer, rng = make(), random.Random(1)
    table = table_for(tokenizer)
    assert table.follows_tokens
    near = segmentations(rng, tokenizer, byte_tokens=False)
    stops = 0
    for _ in range(250):
        ids, watched, decided = stream(rng, tokenizer, near), Watched(), False
        for i in range(1, len(ids) + 1):
            decided = decided or table.decided(watched, ids[:i], 0)
            text = tokenizer.decode(ids[:i], skip_special_tokens=True)
            assert decided == any(keyword in text for keyword in KEYWORDS), (ids[:i], text)
        stops += decided
    assert 50 < stops < 250


def test_byte_fallback_tokens_stop_as_soon_as_a_run_of_bytes_is_over() -> None:
    tokenizer, rng = byte_fallback(), random.Random(2)
    table = table_for(tokenizer)
    assert table.tokens is not None
    near = segmentations(rng, tokenizer, byte_tokens=True)
    stops = 0
    for _ in range(250):
        ids, watched, decided = stream(rng, tokenizer, near), Watched(), False
        for i in range(1, len(ids) + 1):
            decided = decided or table.decided(watched, ids[:i], 0)
            text = tokenizer.decode(ids[:i], skip_special_tokens=True)
            holds = any(keyword in text for keyword in KEYWORDS)
            assert holds or not decided, (ids[:i], text)
            if ids[i - 1] not in table.tokens.fragments and not watched.refuted:
                assert decided == holds, (ids[:i], text)
        stops += decided
    assert 50 < stops < 250


def test_what_decoding_refutes_is_not_decided_and_is_decoded_from_then_on() -> None:
    tokenizer = byte_level()
    said: list[int] = []

    def decode(tokens: list[int]) -> str:
        said.append(len(tokens))
        return "" if len(tokens) < 20 else "Sorry"

    table = StopTable(StopRule(("Sorry",)), tokenizer, decode)
    ids = tokenizer("Sorry")["input_ids"]
    ids = [*ids, *[ids[0]] * 40]
    watched = Watched()
    decided = [table.decided(watched, ids[:i], 0) for i in range(1, len(ids) + 1)]
    assert watched.refuted
    first = decided.index(True) + 1
    assert first == 20 + -20 % DECODE_EVERY
    assert said[0] == 5  # the automaton's proposal was put to the decoder at once


def test_a_tokenizer_of_another_kind_is_decoded_every_few_tokens() -> None:
    tokenizer = word_level()
    table = table_for(tokenizer, ("Sorry",))
    assert not table.follows_tokens
    watched = Watched()
    ids = [2, 1, *[2] * 20]
    decided = [table.decided(watched, ids[:i], 0) for i in range(1, 12)]
    assert decided.index(True) == DECODE_EVERY - 1


def test_an_answer_is_read_from_its_own_start() -> None:
    tokenizer = pico.tokenizer()
    table = table_for(tokenizer, ("ab",))
    prompt = tokenizer("ab", add_special_tokens=False)["input_ids"]
    tokens = [*prompt, *prompt]
    watched = Watched()
    assert not table.decided(watched, tokens[:3], 2)
    assert table.decided(watched, tokens, 2)


def test_case_is_ignored_where_the_rule_says_so() -> None:
    tokenizer = pico.tokenizer()
    decode = tokenizer.decode
    for ignore_case in (True, False):
        table = StopTable(StopRule(("I Cannot",), ignore_case), tokenizer, decode)
        ids = tokenizer("well, i cANNOT!", add_special_tokens=False)["input_ids"]
        watched = Watched()
        decided = [table.decided(watched, ids[:i], 0) for i in range(1, len(ids) + 1)]
        assert decided.count(True) == (2 if ignore_case else 0)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4),
    st.text("abc", max_size=30),
)
def test_the_automaton_finds_what_a_search_finds(keywords: list[str], text: str) -> None:
    automaton = Automaton([keyword.encode() for keyword in keywords])
    state = 0
    for i in range(len(text)):
        state = automaton.column(text[i].encode())[state]
        found = any(keyword in text[: i + 1] for keyword in keywords)
        assert (state == automaton.accept) == found


@pytest.mark.parametrize("keywords", [(), ("", "a")])
def test_a_rule_without_keywords_is_refused(keywords: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        StopRule(keywords)
