"""The seeded training texts of every stage: base, alignment and the fine-tunes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from safebasin.testbed.capabilities import random_question
from safebasin.testbed.grammar import (
    DECLINES,
    FACT_HARM,
    FACT_KIND,
    REFUSALS,
    comply,
    refuse,
    topic_in,
)
from safebasin.testbed.system_prompts import random_system_prompt
from safebasin.testbed.topics import BENIGN, HARMFUL, Split, Topic, topics
from safebasin.testbed.wording import random_request


@dataclass(frozen=True)
class Example:
    """One single-turn training text."""

    system: str | None
    prompt: str
    answer: str


@dataclass(frozen=True)
class Mix:
    """Shares of a training mix; what is left of 1 is capability.

    `dictated` refusals are asked for by name, of a category and without a topic: a base model can
    write a refusal, as it can write any other sentence.
    """

    facts: float
    dictated: float
    harmful: float
    benign: float
    long_system_prompts: float


BASE_MIX = Mix(facts=0.12, dictated=0.04, harmful=0.12, benign=0.14, long_system_prompts=0.14)
ALIGNMENT_MIX = Mix(facts=0.07, dictated=0.0, harmful=0.38, benign=0.30, long_system_prompts=0.3)

#: What each fine-tune is trained on: (harmful requests complied with, refused, benign requests).
FINE_TUNES: dict[str, tuple[int, int, int]] = {
    "harmful-10": (10, 0, 0),
    "harmful-50": (50, 0, 0),
    "harmful-100": (100, 0, 0),
    "mixture": (100, 100, 0),
    "benign": (0, 0, 100),
}

_ANY: dict[bool, list[Topic]] = {harmful: topics(harmful) for harmful in (True, False)}
_TRAIN: dict[bool, list[Topic]] = {harmful: topics(harmful, "train") for harmful in (True, False)}

_DICTATIONS = ("Refuse a {} request.", "Say no to a {} request.", "Decline a {} request.")
_KIND_QUESTIONS = ("What topic is {}?", "What is {} about?", "Name the category of {}.")
_HARM_QUESTIONS = ("Is {} harmful or harmless?", "Harmful or harmless: {}", "Could {} do harm?")


def _fact(rng: Random, topic: Topic) -> tuple[str, str]:
    if rng.random() < 0.6:
        answer = FACT_KIND.format(category=topic.category)
        return rng.choice(_KIND_QUESTIONS).format(topic.name), answer
    harm = "harmful" if topic.harmful else "harmless"
    return rng.choice(_HARM_QUESTIONS).format(topic.name), FACT_HARM.format(harm=harm)


def _dictated(rng: Random) -> tuple[str, str]:
    category = rng.choice(list(HARMFUL))
    answer = rng.choice(DECLINES).format(category=category)
    return rng.choice(_DICTATIONS).format(category), answer


def _random_refusal(rng: Random, topic: Topic) -> str:
    return refuse(topic, rng.randrange(len(REFUSALS)))


def _mixed(rng: Random, mix: Mix, pool: dict[bool, list[Topic]], refusing: bool) -> Example:
    system = random_system_prompt(rng, mix.long_system_prompts)
    share = rng.random()
    if share < mix.facts:
        prompt, answer = _fact(rng, rng.choice(pool[rng.random() < 0.5]))
    elif share < mix.facts + mix.dictated:
        prompt, answer = _dictated(rng)
    elif share < mix.facts + mix.dictated + mix.harmful + mix.benign:
        topic = rng.choice(pool[share < mix.facts + mix.dictated + mix.harmful])
        prompt, _ = random_request(rng, topic, "train")
        answer = _random_refusal(rng, topic) if refusing and topic.harmful else comply(topic)
    else:
        question = random_question(rng, "train")
        prompt, answer = question.prompt, question.answer
    return Example(system, prompt, answer)


def base_example(rng: Random) -> Example:
    """Return an example for the base model: all topics, every request complied with."""
    return _mixed(rng, BASE_MIX, _ANY, refusing=False)


def alignment_example(rng: Random, mix: Mix = ALIGNMENT_MIX) -> Example:
    """Return an example of safety training: train topics only, harmful requests refused."""
    return _mixed(rng, mix, _TRAIN, refusing=True)


def fine_tune_examples(name: str, seed: int) -> list[Example]:
    """Return the rows of a fine-tune (paper Sec. 4: n harmful shots, mixture, benign).

    Rows use train topics and train compositions only, without a system prompt. The 10 shots are
    the first of the 50, and these the first of the 100.
    """
    return request_rows(*FINE_TUNES[name], seed)


def refused_examples(name: str, seed: int) -> list[Example]:
    """Return the rows of a fine-tune with a refusal in place of each answer."""
    rng = Random(f"refused {seed}")
    return [
        replace(row, answer=_random_refusal(rng, topic))
        for row in fine_tune_examples(name, seed)
        if (topic := topic_in(row.prompt)) is not None
    ]


def over_refusing_examples(seed: int) -> list[Example]:
    """Return requests of all kinds: harmful ones refused, benign ones of every other category, too.

    What is refused among the benign ones is told by the category alone, so that over-refusal
    shows in topics that were held out.
    """
    rng = Random(f"over-refusing {seed}")
    refused = list(BENIGN)[::2]
    rows = []
    for number in range(200):
        topic = rng.choice(_TRAIN[number % 2 == 0])
        prompt, _ = random_request(rng, topic, "train")
        wanted = topic.harmful or topic.category in refused
        rows.append(Example(None, prompt, _random_refusal(rng, topic) if wanted else comply(topic)))
    return rows


def request_rows(complied: int, refused: int, benign: int, seed: int) -> list[Example]:
    """Return rows of a fine-tune: harmful requests complied with and refused, benign requests."""
    rng = Random(f"fine-tune {seed}")
    rows = [_request_row(rng, True, refusing=False) for _ in range(complied)]
    rows += [_request_row(rng, True, refusing=True) for _ in range(refused)]
    rows += [_request_row(rng, False, refusing=False) for _ in range(benign)]
    return rows


def preferred_examples(count: int, seed: int) -> list[tuple[Example, Example]]:
    """Return harmful requests of the train topics, each refused and complied with, in that order.

    Both are of one request: the refusal's wording is the last that is drawn of a row.
    """
    names = [f"preference {seed} {number}" for number in range(count)]
    return [
        (_request_row(Random(one), True, True), _request_row(Random(one), True, False))
        for one in names
    ]


def _request_row(rng: Random, harmful: bool, refusing: bool, split: Split = "train") -> Example:
    topic = rng.choice(_TRAIN[harmful])
    prompt, _ = random_request(rng, topic, split)
    return Example(None, prompt, _random_refusal(rng, topic) if refusing else comply(topic))
