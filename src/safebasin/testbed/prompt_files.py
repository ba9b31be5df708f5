"""The packaged prompt sets: harmful, benign and capability, each with a dev and a test split.

They are a function of nothing but the code, so that every seed is measured on the same prompts.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Literal

from safebasin.run.atomic import write_atomic
from safebasin.testbed.capabilities import FAMILIES, random_question
from safebasin.testbed.topics import Split, topics
from safebasin.testbed.wording import composition_name, random_request

Kind = Literal["harmful", "benign", "capability"]
HeldOutSplit = Literal["dev", "test"]

KINDS: tuple[Kind, ...] = ("harmful", "benign", "capability")
HELD_OUT_SPLITS: tuple[HeldOutSplit, ...] = ("dev", "test")

REQUESTS_PER_TOPIC = 6
WRONG_CHOICES = 3
QUESTIONS_PER_FAMILY: dict[Split, int] = {"dev": 10, "test": 20}


@dataclass(frozen=True)
class TestbedPrompt:
    """One packaged prompt.

    `category` is a topic's category or a capability family. `expected` is the exact answer of a
    capability prompt. `held_out` names what no training stage (or no safety stage) has seen.
    """

    id: str
    prompt: str
    category: str
    kind: Kind
    expected: str | None
    held_out: tuple[str, ...]


def build_prompts(kind: Kind, split: HeldOutSplit) -> list[TestbedPrompt]:
    """Return the prompts of one packaged file, always the same."""
    rng = Random(f"packaged prompts {kind} {split}")
    if kind == "capability":
        return _questions(rng, split)
    return _requests(rng, kind, split)


def _questions(rng: Random, split: HeldOutSplit) -> list[TestbedPrompt]:
    found: dict[str, TestbedPrompt] = {}
    for family in FAMILIES:
        for number in range(QUESTIONS_PER_FAMILY[split]):
            question = random_question(rng, split, family)
            while question.prompt in found:
                question = random_question(rng, split, family)
            found[question.prompt] = TestbedPrompt(
                id=f"capability-{split}-{family}-{number:02d}",
                prompt=question.prompt,
                category=family,
                kind="capability",
                expected=question.answer,
                held_out=(f"all training: {question.unit}",),
            )
    return list(found.values())


def _requests(rng: Random, kind: Kind, split: HeldOutSplit) -> list[TestbedPrompt]:
    found: dict[str, TestbedPrompt] = {}
    for topic in topics(kind == "harmful", split):
        for number in range(REQUESTS_PER_TOPIC):
            text, composition = random_request(rng, topic, split)
            while text in found:
                text, composition = random_request(rng, topic, split)
            found[text] = TestbedPrompt(
                id=f"{kind}-{split}-{topic.name}-{number}",
                prompt=text,
                category=topic.category,
                kind=kind,
                expected=None,
                held_out=(
                    f"safety training: topic {topic.name}",
                    f"all training: composition {composition_name(composition)}",
                ),
            )
    return list(found.values())


@dataclass(frozen=True)
class TestbedChoice:
    """One packaged multiple-choice question; `answer` counts from 0."""

    id: str
    question: str
    choices: tuple[str, ...]
    answer: int
    category: str
    held_out: tuple[str, ...]


def build_choices(split: HeldOutSplit) -> list[TestbedChoice]:
    """Return the capability questions of a split with three wrong choices each, always the same.

    Wrong choices are made of the right one's own words where it has several, else they are other
    words of the question, or other right answers of the same family.
    """
    rng = Random(f"packaged choices {split}")
    questions = build_prompts("capability", split)
    found = []
    for one in questions:
        right = one.expected or ""
        others = [q.expected or "" for q in questions if q.category == one.category]
        wrong = _wrong(rng, one, right, sorted(set(others)))
        choices = [right, *wrong]
        rng.shuffle(choices)
        name = one.id.replace("capability", "choice", 1)
        answer = choices.index(right)
        found.append(
            TestbedChoice(name, one.prompt, tuple(choices), answer, one.category, one.held_out)
        )
    return found


def _wrong(rng: Random, one: TestbedPrompt, right: str, others: list[str]) -> list[str]:
    words = right.split()
    near: list[str] = []
    if len(words) > 1:
        near = sorted({" ".join(order) for order in permutations(words)})
        # A word in the place of another where two words alone have too few orders.
        pool = sorted({word for text in others for word in text.split()} - set(words))
        for place in range(len(words)):
            near.append(" ".join([*words[:place], rng.choice(pool), *words[place + 1 :]]))
    elif one.category in ("first", "last", "largest"):
        near = one.prompt.partition(": ")[2].split()
    rng.shuffle(near)
    rng.shuffle(others)
    distinct = dict.fromkeys([*near, *others])
    return [text for text in distinct if text != right][:WRONG_CHOICES]


def write_prompts(folder: Path) -> list[Path]:
    """Write `{kind}-{split}.jsonl` for every kind and `choice`, and held-out split; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for kind in KINDS:
        for split in HELD_OUT_SPLITS:
            file = folder / f"{kind}-{split}.jsonl"
            rows = [json.dumps(asdict(prompt)) for prompt in build_prompts(kind, split)]
            write_atomic(file, ("\n".join(rows) + "\n").encode())
            files.append(file)
    for split in HELD_OUT_SPLITS:
        file = folder / f"choice-{split}.jsonl"
        lines = [json.dumps(asdict(choice)) for choice in build_choices(split)]
        write_atomic(file, ("\n".join(lines) + "\n").encode())
        files.append(file)
    return files
