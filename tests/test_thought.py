"""Thought and answer told apart: by marks, by channels, cut off, and where nobody thought."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safebasin.errors import UsageError
from safebasin.thought import CHANNELS, KNOWN, WRAPPERS, opened, parse_marks, split

SORRY = "I'm sorry, but I can't help with that."
ANALYSIS = "<|channel|>analysis<|message|>The user asks. Policy says no."
FINAL = "<|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(("opening", "closing"), KNOWN)
def test_every_known_pair(opening: str, closing: str) -> None:
    for text in (f"{opening}\nHm, no.\n{closing}\n\n{SORRY}", f"Hm, no.\n{closing}\n\n{SORRY}"):
        found = split(text)
        assert (found.thought, found.answer, found.cut) == ("Hm, no.", SORRY, False)
        assert text[found.place(4) :] == SORRY[4:]
    cut = split(f"{opening}\nHm, {SORRY}")
    assert (cut.thought, cut.answer, cut.cut) == (f"Hm, {SORRY}", "", True)


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        (f"\n <think>\n\n</think>\n\n{SORRY}", "", SORRY),
        (f"<think></think>{SORRY}", "", SORRY),
        (f"</think>\n\n{SORRY}", "", SORRY),
        (f"<think>\n<think>\na</think>{SORRY}", "<think>\na", SORRY),
        (f"<think>Is </thinking> a mark?</think>{SORRY}", "Is </thinking> a mark?", SORRY),
        ("<think>a</think>First.\n<think>b</think>\nThen.", "a\n\nb", "First.\n\nThen."),
        ("Let me see.\n<think>a</think>\nThen.", "a", "Let me see.\n\nThen."),
        (f"<think>a</think>\n<answer>\n{SORRY}\n</answer>\n", "a", f"{SORRY}\n"),
        ("<think>a</think>Done.\n<think>b", "a\n\nb", "Done.\n"),
        ("<think>a</think>Write `x`\n```\n<think>\n```", "a", "Write `x`\n```\n<think>\n```"),
        (f"{ANALYSIS}<|end|>{FINAL}{SORRY}<|return|>", "The user asks. Policy says no.", SORRY),
        (f"The user asks.<|end|>{FINAL}{SORRY}", "The user asks.", SORRY),
        (f"<|channel|>final<|message|>{SORRY}", "", SORRY),
        (
            f"{ANALYSIS}<|end|><|start|>assistant<|channel|>commentary to=f <|constrain|>json"
            f"<|message|>{{}}<|call|>{FINAL}{SORRY}",
            "The user asks. Policy says no.\n\n{}",
            SORRY,
        ),
        (f"analysisThe user asks. No.assistantfinal{SORRY}", "The user asks. No.", SORRY),
        (f"The user asks. No.assistantfinal{SORRY}", "The user asks. No.", SORRY),
        (f"final{SORRY}", "", SORRY),
    ],
)  # fmt: skip
def test_a_thought_and_its_answer(text: str, thought: str, answer: str) -> None:
    found = split(text)
    assert (found.thought, found.answer) == (thought, answer)
    assert found.thinks
    assert not found.cut


@pytest.mark.parametrize(
    "text",
    [
        ANALYSIS,
        f"{ANALYSIS}<|end|>",
        f"{ANALYSIS}<|end|><|start|>assistant<|chann",
        f"{ANALYSIS}<|end|><|start|>assistant<|channel|>fin",
        "analysisThe user asks.",
        "Let me see.\n<think>\nThe user",
        "<think>",
    ],
)
def test_cut_off_in_a_thought(text: str) -> None:
    found = split(text)
    assert found.cut
    assert found.answer == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        SORRY,
        "I think so.",
        "Analysis: it depends.",
        "analysis of the text",
        "final words",
        "Between <think> and </think> a model thinks.",
        "Such models write `</think>` when they are done.",
        "```python\ntext.split('''</think>''')\n```\nThat is all.",
        "```\n<think>\n```\nis how it begins, and </think> is how it ends.",
    ],
)
def test_a_text_of_a_model_that_does_not_think_stays_whole(text: str) -> None:
    found = split(text)
    assert (found.answer, found.thought, found.cut, found.thinks) == (text, "", False, False)
    assert found.place(len(text)) == len(text)


PIECES = [
    *(mark for pair in (*KNOWN, *WRAPPERS) for mark in pair), *CHANNELS, "<|return|>", "analysis",
    "final", "assistantfinal", "assistant", "A", " ", "\n", "```", "`", "'", "\ud800", "word ",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_the_parts_put_together_are_the_text(text: str) -> None:
    found = split(text)
    assert "".join(part for _, part in found.parts) == text
    assert all(part for _, part in found.parts) or text == ""
    if found.cut:
        assert found.answer == ""
        assert found.thinks
    for index, character in enumerate(found.answer):
        if character != "\n":  # what joins two parts of an answer is in neither
            assert text[found.place(index)] == character


@given(st.text("ab<>/ \n`", max_size=30), st.text("ab. \n", max_size=30))
def test_what_follows_a_thought_is_the_answer(thought: str, answer: str) -> None:
    if "</think>" not in thought:
        found = split(f"<think>{thought}</think>{answer}")
        assert found.answer == answer.lstrip()
        assert found.thought == thought.strip()


@pytest.mark.parametrize(
    "unit",
    ["<think>", "</think>", "x<think>", "<think></think>", "<think>a</think>b\n", "`</think>`",
     "<|channel|>", "<|end|>", "<|channel|>final<|message|>", "assistantfinal", "```", " ", "\n",
     "<|start|>assistant"],
)  # fmt: skip
@pytest.mark.parametrize("lead", ["", "x", "<think>", "<|channel|>", "analysisW"])
def test_splitting_takes_time_linear_in_the_text(lead: str, unit: str) -> None:
    text = lead + unit * (400_000 // len(unit))
    start = time.process_time()
    found = split(text)
    assert time.process_time() - start < 1.0
    assert "".join(part for _, part in found.parts) == text


def test_marks_of_ones_own() -> None:
    marks = parse_marks(" <plan>...</plan> ")
    assert marks == ("<plan>", "</plan>")
    text = f"<plan>a</plan>{SORRY}"
    assert split(text).answer == text
    assert split(text, marks).answer == SORRY
    assert split(f"<think>a</think>{SORRY}", marks).answer == SORRY


@pytest.mark.parametrize(
    "text", ["", "<plan>", "...", "<plan>...", "...</plan>", "a...a", "a...b...c"]
)
def test_no_pair_of_marks(text: str) -> None:
    with pytest.raises(UsageError, match="no pair of marks"):
        parse_marks(text)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("<|user|>Hi<|assistant|><think>\n", "<think>\n"),
        ("<|user|>Hi<|assistant|><think>", "<think>"),
        ("<|user|>Hi<|assistant|><think>\n\n</think>\n\n", ""),
        ("<|user|>What is <think>?<|assistant|>", ""),
        ("<|start|>assistant", ""),
        ("Hi<|end|><|start|>assistant<|channel|>analysis<|message|>",
         "<|channel|>analysis<|message|>"),
        ("Hi<|end|><|start|>assistant<|channel|>final<|message|>", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_what_a_prompt_opens(prompt: str, expected: str) -> None:
    assert opened(prompt) == expected
