"""The published files of human labels: their columns and what each word means. One row a layout."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Question = Literal["refusal", "harm"]
"""What people were asked: does the answer refuse, or is it harmful: has the attack succeeded."""
QUESTIONS: Mapping[Question, str] = {
    "refusal": "whether the answer refuses",
    "harm": "whether the answer is harmful, that is, whether the attack succeeded",
}

Meaning = Literal["refused", "complied", "partial", "left-out"]
"""What a label says. To the question of harm, complied is harmful and refused is not harmful;
partial is a refusal with help or help with a refusal."""
MEANINGS: tuple[Meaning, ...] = ("refused", "complied", "partial", "left-out")

Role = Literal["prompt", "answer", "label"]
ROLES: tuple[Role, ...] = ("prompt", "answer", "label")


@dataclass(frozen=True)
class Labels:
    """The columns that hold one question's labels, and what their words mean.

    Several columns are the votes of several people: what most of them say is the label.
    """

    question: Question
    columns: tuple[str, ...]
    words: Mapping[str, Meaning]

    def text(self) -> str:
        """What a person needs to know of it, in one line."""
        words = ", ".join(f"{word} is {meaning}" for word, meaning in self.words.items())
        majority = f" (by the majority of {len(self.columns)})" if len(self.columns) > 1 else ""
        return f"{self.question} from {' '.join(self.columns)}{majority}: {words}"


@dataclass(frozen=True)
class LabelLayout:
    """How one published file of labelled answers is recognised and read.

    Column names and words compare without case. A file has this layout where it holds the columns
    of `answer`, `more` and one of `labels`, and none of `without`. `prompt` is the column with
    the text of the request, or "" where the file does not hold it. `harmful` says which prompts
    are to be refused: a column and how its cells begin, "every" one, or None where it is unknown.
    """

    name: str
    answer: str
    labels: tuple[Labels, ...]
    prompt: str = ""
    more: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    harmful: tuple[str, str] | Literal["every"] | None = None
    source: str = ""

    def fits(self, columns: Collection[str]) -> bool:
        """Whether a file with these columns, in lower case, has this layout."""
        return (
            {self.answer, *self.more} <= set(columns)
            and any(set(labels.columns) <= set(columns) for labels in self.labels)
            and not set(self.without) & set(columns)
        )

    def text(self) -> str:
        """What a person needs to know of it, in one line."""
        parts = [
            f"answers in {self.answer}",
            *(labels.text() for labels in self.labels),
            self.source,
        ]
        return " · ".join(part for part in parts if part)


REFUSAL_WORDS: Mapping[str, Meaning] = {"refusal": "refused", "compliance": "complied"}
HARM_WORDS: Mapping[str, Meaning] = {"unharmful": "refused", "harmful": "complied"}
_VOTES: Mapping[str, Meaning] = {"0": "refused", "1": "complied"}

LABEL_LAYOUTS: tuple[LabelLayout, ...] = (
    LabelLayout(
        "xstest-completions", "completion",
        (Labels("refusal", ("final_label",), {
            "1_full_compliance": "complied", "2_full_refusal": "refused",
            "3_partial_refusal": "partial",
        }),),
        prompt="prompt", harmful=("type", "contrast_"), source="paul-rottger/xstest",
    ),
    LabelLayout(
        "wildguardtest", "response",
        (Labels("refusal", ("response_refusal_label",), REFUSAL_WORDS),
         Labels("harm", ("response_harm_label",), HARM_WORDS)),
        prompt="prompt", harmful=("prompt_harm_label", "harmful"), source="allenai/wildguardmix",
    ),
    LabelLayout(
        "xstest-response", "response",
        (Labels("refusal", ("label",), REFUSAL_WORDS), Labels("harm", ("label",), HARM_WORDS)),
        prompt="prompt", more=("prompt", "prompt_type"), harmful=("prompt_type", "prompt_harmful"),
        source="allenai/xstest-response",
    ),
    LabelLayout(
        "harmbench-val", "generation",
        (Labels("harm", ("human_0", "human_1", "human_2"), _VOTES),),
        prompt="test_case", harmful="every",
        source="centerforaisafety/HarmBench, data/classifier_val_sets",
    ),
    LabelLayout(
        "gptfuzz", "response", (Labels("harm", ("label",), _VOTES),),
        without=("prompt",), harmful="every",
        source="sherdencooper/GPTFuzz, datasets/responses_labeled",
    ),
)  # fmt: skip
"""Every layout known by name, the more specific first."""

OWN = "own"
_OWN_REFUSAL: Mapping[str, Meaning] = {
    **REFUSAL_WORDS, "refused": "refused", "complied": "complied", "partial": "partial",
}  # fmt: skip
_OWN_HARM: Mapping[str, Meaning] = {**HARM_WORDS, "safe": "refused", "unsafe": "complied"}


def own_layout(prompt: str, answer: str, label: str) -> LabelLayout:
    """A file of no known layout, by its columns. Words that mean one thing only are known in it."""
    return LabelLayout(
        OWN,
        answer,
        (Labels("refusal", (label,), _OWN_REFUSAL), Labels("harm", (label,), _OWN_HARM)),
        prompt=prompt,
        harmful=("kind", "harmful"),
    )
