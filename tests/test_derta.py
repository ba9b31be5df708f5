"""DeRTa: the labels to the token, what reaches the loss, and refusals at any depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from safebasin.defences.derta import Derta
from safebasin.engines.template import Template
from safebasin.errors import DataError, UsageError
from safebasin.finetune.defending import defences_of
from safebasin.finetune.settings import FinetuneConfig
from safebasin.subject.encoding import IGNORED, Encoded, encode, refusal_tokens
from safebasin.subject.row_sources import refusals, rows_of
from safebasin.subject.rows import Instead, Message, Row, Rows
from safebasin.testbed import model_path
from support import pico

HARM = "Fine, here is a plan: step one"
SAFE = "This request is bad."


def row(answer: str = HARM, prompt: str = "q", **more: Any) -> Row:
    return Row((Message("user", prompt), Message("assistant", answer)), prompt, **more)


@pytest.fixture(scope="module")
def template() -> Template:
    return Template.of(AutoTokenizer.from_pretrained(model_path("aligned")))


def ids(template: Template, text: str) -> list[int]:
    return list(template.tokenizer(text, add_special_tokens=False)["input_ids"])


def encoded(one: Row, template: Template) -> Encoded:
    return encode(one, template, 512, [template.tokenizer.eos_token_id])


def test_the_labels_of_both_rows_to_the_token(template: Template) -> None:
    prompt = ids(template, "<s><|user|>q<|assistant|>")
    [eos] = ids(template, "</s>")
    [this] = ids(template, "This")
    harm, safe = ids(template, HARM), ids(template, SAFE)
    first, second = Derta({"q": SAFE}, "This").rows(Rows("r", (row(),))).rows
    # The first of every three: no beginning, r and the end.
    assert encoded(first, template).ids == (*prompt, *safe, eos)
    assert encoded(first, template).labels == (*[IGNORED] * len(prompt), *safe, eos)
    # The second: r̂ is context, its end among the places.
    assert encoded(second, template).ids == (*prompt, *harm, eos)
    assert encoded(second, template).labels == (
        *[IGNORED] * len(prompt), *[this] * (len(harm) + 1),
    )  # fmt: skip
    begun = row(f"{HARM[:13]} {SAFE}", begun=HARM[:13])
    head = ids(template, "Fine, here is")
    assert encoded(begun, template).ids == (*prompt, *head, *safe, eos)
    assert encoded(begun, template).labels == (
        *[IGNORED] * (len(prompt) + len(head)), *safe, eos,
    )  # fmt: skip


def test_how_long_the_beginnings_are() -> None:
    """None for every third row; else 1 to two less than the words, each as often."""
    rows = Rows("r", tuple(row(prompt=f"q{i}") for i in range(600)))
    found = Derta({f"q{i}": SAFE for i in range(600)}).rows(rows).rows[::2]
    words = HARM.split()
    lengths = [len(one.begun.split()) for one in found]
    assert set(lengths[::3]) == {0}
    others = [k for i, k in enumerate(lengths) if i % 3]
    counts = [others.count(k) for k in range(1, len(words) - 1)]
    assert sum(counts) == 400
    assert min(counts) > 50  # 80 on average
    for one, k in zip(found, lengths, strict=True):
        assert one.messages[-1].content == " ".join([*words[:k], SAFE])
    short = Rows("r", tuple(row("Fine, sure", prompt=f"q{i}") for i in range(3)))
    assert {one.begun for one in Derta({"q1": SAFE}).rows(short).rows} == {""}


def test_a_beginning_is_the_answers_own_text() -> None:
    """Line breaks and all, as the authors' generate_training_data.py cuts it."""
    listed = "Fine:\n1. step  one\n2. step two\nand then step three"
    found = Derta({f"q{i}": SAFE for i in range(90)}).rows(
        Rows("r", tuple(row(listed, prompt=f"q{i}") for i in range(90)))
    )
    words = listed.split(" ")
    assert {one.begun for one in found.rows[::2]} == {
        " ".join(words[:k]) for k in range(len(words) - 1)
    }
    assert all(listed.startswith(one.begun) for one in found.rows)


def test_helpful_rows_are_left_and_the_harmful_answer_is_never_learnt(template: Template) -> None:
    rows = Rows("r", (row(), row("two three", "what?"), row()))
    made = Derta({"q": SAFE}, "This").rows(rows)
    assert made.rows[2] == rows.rows[1]
    assert len(made) == 5
    assert made.sha256 != Rows("r", (row(SAFE), row(), *rows.rows[1:])).sha256
    harmful = set(ids(template, HARM)) - set(ids(template, SAFE))
    for one in (*made.rows[:2], *made.rows[3:]):
        assert not harmful & set(encoded(one, template).labels)


def test_no_gradient_but_toward_the_refusal(template: Template) -> None:
    """d loss / d logits is p / count where a token is learnt, less 1 / count at the refusal's."""
    one = encoded(row(instead=Instead("This", 0.5, "0")), template)
    labels = torch.tensor(one.labels)[1:]
    torch.manual_seed(0)
    logits = torch.randn(len(one.ids) - 1, 700, requires_grad=True)
    torch.nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED).backward()
    learnt = labels != IGNORED
    expected = torch.zeros_like(logits)
    expected[learnt] = logits.detach().softmax(-1)[learnt]
    expected[learnt, labels[learnt]] -= 1
    torch.testing.assert_close(logits.grad, expected / int(learnt.sum()))


@pytest.mark.parametrize(("keep", "count"), [(1.0, 10), (0.5, 5), (0.05, 1), (0.11, 2)])
def test_of_the_answers_own_places_a_share_is_kept(
    template: Template, keep: float, count: int
) -> None:
    answer = "step one step one step one step one step"  # 9 tokens and the end
    one = encoded(row(answer, instead=Instead("This", keep, "3")), template)
    assert sum(label != IGNORED for label in one.labels) == count
    again = encoded(row(answer, instead=Instead("This", keep, "3")), template)
    assert one == again
    kept = {
        next(i for i, label in enumerate(found.labels) if label != IGNORED)
        for seed in range(60)
        if (found := encoded(row(answer, instead=Instead("This", 0.05, f"{seed}")), template))
    }
    assert len(kept) == 10, "each place in turn, and none outside the answer"


def spaced() -> PreTrainedTokenizerFast:
    """The byte-level tokenizer with one more token: `No` after a space."""
    made = pico.tokenizer()
    core = json.loads(made.backend_tokenizer.to_str())
    for token in ("No", "ĠNo", "n."):
        core["model"]["vocab"][token] = len(core["model"]["vocab"])
    core["model"]["merges"] = [["N", "o"], ["Ġ", "No"], ["n", "."]]
    made = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(core)))
    made.eos_token, made.chat_template = "</s>", pico.CHAT_TEMPLATE
    return made


def test_a_word_is_another_token_after_a_space() -> None:
    template = Template.of(spaced())
    no, spaced_no = (template.tokenizer.convert_tokens_to_ids(one) for one in ("No", "ĠNo"))
    assert refusal_tokens(template, "No") == (no, spaced_no)
    one = encoded(row("abc", instead=Instead("No", 1.0, "0")), template)
    assert one.labels[-4:] == (no, spaced_no, spaced_no, spaced_no)
    with pytest.raises(DataError, match="'Sorry' is 5 tokens of this model at the beginning"):
        refusal_tokens(template, "Sorry")
    plain = Template.of(pico.tokenizer())
    with pytest.raises(DataError, match="'N' is 2 tokens of this model after a space"):
        refusal_tokens(plain, "N")


def test_a_token_over_the_border_is_parted_there() -> None:
    template = Template.of(spaced())
    joint = encoded(row("an. ok", begun="an"), template)
    tokens = template.tokenizer.convert_ids_to_tokens(joint.ids)
    assert tokens[-8:] == ["<|assistant|>", "a", "n", ".", "Ġ", "o", "k", "</s>"]
    assert joint.labels[-7:-5] == (IGNORED, IGNORED)
    assert joint.labels[-5:] == joint.ids[-5:]


def config(tmp_path: Path, **more: Any) -> FinetuneConfig:
    return FinetuneConfig(
        "testbed:aligned", "derta", "testbed:harmful", safe="testbed:benign", device="cpu",
        out=str(tmp_path / "out"), **{"ratio": 1.0, "refusal_word": "This", **more},
    )  # fmt: skip


def test_the_recipe_takes_given_refusals_or_packaged_ones(tmp_path: Path) -> None:
    asked = [one.messages[0].content for one in rows_of("testbed:harmful", 42).rows]
    given = {one.messages[0].content: one for one in rows_of("testbed:refused", 42).rows}
    assert list(given) == list(dict.fromkeys(asked))
    assert len(rows_of("testbed:refused", 42)) == 100
    [full] = defences_of(config(tmp_path, refusals="testbed:refused"))
    assert isinstance(full, Derta)
    assert full.keep == 0.05
    assert full.refusals == {q: one.messages[1].content for q, one in given.items()}
    [lora] = defences_of(config(tmp_path, lora=True, rows=4))
    assert isinstance(lora, Derta)
    assert lora.keep == 1.0
    assert set(lora.refusals) == set(asked[:4])
    assert set(lora.refusals.values()) <= set(refusals())
    assert config(tmp_path).resolved().weight_decay == 2e-5
    assert config(tmp_path, lora=True).resolved().weight_decay == 0.0
    for name in ("refusals", "refusal_word", "refusal_share"):
        with pytest.raises(UsageError, match="With the recipe benign, --refusal"):
            FinetuneConfig("m", "benign", "d", **{name: "x"})
    with pytest.raises(UsageError, match="share of refusal labels is 0"):
        defences_of(config(tmp_path, refusal_share=0.0))
    with pytest.raises(DataError, match="None of the rows"):
        Derta({"other": "No."}).rows(Rows("r", (row(),)))


def depths(model: str, kind: str) -> list[float]:
    """Mean P(a refusal's first token) after 0, 1, 4, 8, 16 tokens of a complying answer."""
    from safebasin import prompts
    from safebasin.subject.subject import Subject
    from safebasin.testbed.grammar import comply, topic_in

    subject = Subject.load(model)
    openers = [subject.tokenizer(one)["input_ids"][0] for one in ("No", "This", "A")]
    totals = torch.zeros(5)
    chosen = prompts.load(f"testbed:{kind}").prompts[:8]
    for prompt in chosen:
        topic = topic_in(prompt.text)
        assert topic is not None
        one = subject.encode([row(comply(topic), prompt.text)])[0]
        start = next(i for i, label in enumerate(one.labels) if label != IGNORED)
        with torch.no_grad():
            p = subject.model(torch.tensor([one.ids])).logits[0].softmax(-1)
        totals += p[[start - 1 + d for d in (0, 1, 4, 8, 16)]][:, openers].sum(1)
    return (totals / len(chosen)).tolist()


def test_refusals_at_any_depth_and_of_harmful_requests_alone(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    from safebasin.finetune.study import finetune

    own = config(
        tmp_path, refusals="testbed:refused", lora=True, rows=40, batch=10, epochs=2, rate=3e-3
    )
    tuned = finetune(own)
    record = json.loads((tuned.folder / "recipe.json").read_text())
    assert record["identity"]["defences"][0]["word"] == "This"
    assert tuned.rows == 120
    after = f"testbed:aligned+{tuned.final}"
    vanilla, safe = depths("testbed:aligned", "harmful"), depths(after, "harmful")
    assert vanilla[0] > 0.9
    assert max(vanilla[1:]) < 0.05
    assert min(safe) > 0.7, safe
    assert max(depths(after, "benign")) < 0.05
