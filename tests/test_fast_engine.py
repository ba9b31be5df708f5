"""The fast engine against the plain one: the same answers and verdicts, in every mode."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from safebasin.directions import Gaussian, Resident
from safebasin.engines import Sampling
from safebasin.engines.fast import copies, packed, planning
from safebasin.engines.fast.costs import Cost
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.memory_plan import SHARE_OF_FREE
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.errors import EngineError, UsageError
from safebasin.exchange import Exchange
from safebasin.plane import Axis, Plane, Point, outward
from safebasin.prompts import Prompt
from safebasin.stopping import StopRule
from safebasin.weights import Weights
from support import pico

PROMPTS = [
    Prompt(f"p{i}", text)
    for i, text in enumerate(["Hi", "What is a basin?", "What is it", "What", "xyz and more"])
]
LIMIT = Sampling(20)
LINE = Plane((Axis.symmetric("a", 0.5, 4),))
PLANE = Plane((Axis.symmetric("a", 0.4, 2), Axis.symmetric("b", 0.2, 2)))


@pytest.mark.parametrize(("cost", "tried"), [(Cost(0.0, 1.0), False), (Cost(1.0, 0.0), True)])
def test_a_pool_of_a_large_model_is_tried_where_it_may_be_faster(
    cost: Cost, tried: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass bound by its tokens gains nothing from more rows, and multiplies by more."""
    calls = []
    monkeypatch.setattr(planning, "READY_BYTES", 0)
    monkeypatch.setattr(planning, "measure_plain", lambda forward, context: cost)
    monkeypatch.setattr(
        planning, "pool_mismatch", lambda *given: calls.append("tried") or "it was tried"
    )
    engine = FastEngine(*parts(sharpened()))
    line = Plane((Axis.symmetric("a", 0.5, 20),))
    plan = engine.plan(outward((line,)), PROMPTS, LIMIT)
    assert plan.mode == "in-place"
    assert bool(calls) == tried
    assert (plan.reasons[0] == "it was tried") == tried


Answers = dict[Point, list[Exchange]]


def sharpened(family: str = "llama", **changes: Any) -> Any:
    """A pico model that does not repeat one token for ever, and whose choices are clear."""
    model = pico.model(family, seed=3, **changes)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(3 if changes.get("tied") else 8)
    return model


def parts(model: Any, **selection: Any) -> tuple[Any, Weights, dict[str, Gaussian], Template]:
    weights = Weights(model, **selection)
    directions = {"a": Gaussian(1, weights, name="a"), "b": Gaussian(2, weights, name="b")}
    return model, weights, directions, Template.of(pico.tokenizer(), system="Be short.")


def plain(made: Any, planes: Sequence[Plane] = (LINE,), sampling: Sampling = LIMIT) -> Answers:
    return dict(PlainEngine(*made).answers(outward(planes), PROMPTS, sampling))


def fast(
    made: Any, planes: Sequence[Plane] = (LINE,), sampling: Sampling = LIMIT, **options: Any
) -> tuple[Answers, FastEngine]:
    engine = FastEngine(*made, **options)
    return dict(engine.answers(outward(planes), PROMPTS, sampling)), engine


def assert_equal(found: Answers, expected: Answers) -> None:
    assert found.keys() == expected.keys()
    for point, exchanges in expected.items():
        for ours, theirs in zip(found[point], exchanges, strict=True):
            assert ours.origin_logprob == pytest.approx(theirs.origin_logprob, abs=2e-4)
            assert ours.origin_logprobs == pytest.approx(theirs.origin_logprobs, abs=2e-2)
            assert without_score(ours) == without_score(theirs), point


def without_score(exchange: Exchange) -> tuple[Any, ...]:
    return (
        exchange.prompt_id, exchange.prompt, exchange.response, exchange.finish,
        exchange.prompt_tokens, exchange.new_tokens,
    )  # fmt: skip


def text_of(answers: Answers) -> Iterator[str]:
    for exchanges in answers.values():
        yield from (exchange.response for exchange in exchanges)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(
    "family",
    ["llama", "llama-mha", "qwen2", "qwen3", "gemma", "mistral", "phi", "phi3", "gpt2"],
)
def test_every_mode_gives_the_plain_answers(family: str, tied: bool) -> None:
    made = parts(sharpened(family, tied=tied))
    before = made[1].checksum()
    expected = plain(made)
    for options in (
        {"mode": "in-place"},
        {"mode": "in-place", "drafts": False, "rows": 2},
        {"mode": "pool"},
        {"mode": "pool", "drafts": True, "rows": 3},
        {"mode": "pool", "drafts": False},
    ):
        found, engine = fast(made, **options)
        assert_equal(found, expected)
        assert engine.counter.passes > 0
        if options["mode"] == "pool":
            assert engine.plan(outward([LINE]), PROMPTS, LIMIT).mode == "pool"
    assert made[1].checksum() == before


@pytest.mark.parametrize("tied", [False, True])
def test_a_plane_is_answered_line_by_line(tied: bool) -> None:
    made = parts(sharpened(tied=tied))
    expected = plain(made, [PLANE, LINE])
    found, engine = fast(made, [PLANE, LINE], mode="pool", drafts=True)
    assert_equal(found, expected)
    one_by_one, other = fast(made, [PLANE, LINE], mode="in-place", drafts=False)
    assert_equal(one_by_one, expected)
    assert engine.counter.passes < other.counter.passes


def test_tied_tensors_move_as_the_reference_moves_them() -> None:
    made = parts(sharpened(tied=True), tied="reference")
    assert_equal(fast(made, mode="pool")[0], plain(made))


def test_answers_end_where_their_verdict_is_decided() -> None:
    made = parts(sharpened())
    expected = plain(made)
    middle = {response[4:6] for response in text_of(expected) if len(response) > 8}
    rule = StopRule(tuple(sorted(word for word in middle if "�" not in word))[:3])
    finishes = set()
    for options in (
        {"mode": "in-place"},
        {"mode": "pool"},
        {"mode": "pool", "drafts": True},
        {"mode": "pool", "rows": 2},
    ):
        found, _ = fast(made, stop=rule, **options)
        for point, exchanges in expected.items():
            for ours, theirs in zip(found[point], exchanges, strict=True):
                finishes.add(ours.finish)
                assert rule.decides(ours.response) == rule.decides(theirs.response)
                if ours.finish == "verdict":
                    assert theirs.response.startswith(ours.response)
                    assert not rule.decides(ours.response[:-1])
                    assert ours.new_tokens <= theirs.new_tokens
                else:
                    assert without_score(ours) == without_score(theirs)
    assert finishes >= {"verdict", "length"}


def test_coefficients_of_zero_add_exact_zeros() -> None:
    made = parts(sharpened())
    engine = FastEngine(*made, mode="pool")
    at_origin, _ = fast(made, [Plane((Axis("a", (0.0,)),))], mode="in-place", rows=5)
    in_a_pool = dict(engine.answers(outward([LINE]), PROMPTS, LIMIT))
    origin = Point()
    assert [without_score(e) for e in in_a_pool[origin]] == [
        without_score(e) for e in at_origin[origin]
    ]


def test_drafts_and_shared_prefixes_save_passes_and_tokens() -> None:
    made = parts(sharpened())
    _, without = fast(made, mode="pool", drafts=False, rows=3)
    _, drafted = fast(made, mode="pool", drafts=True, rows=3)
    assert drafted.counter.passes < without.counter.passes
    assert drafted.counter.accepted > 0
    system = len(made[3].encode(Prompt("x", "")))
    assert without.counter.copied >= len(outward([LINE])) * len(PROMPTS) * (system - 2)


def test_scores_can_be_left_out() -> None:
    found, engine = fast(parts(sharpened()), mode="pool", scores=False)
    assert all(e.origin_logprob is None for exchanges in found.values() for e in exchanges)
    _, scored = fast(parts(sharpened()), mode="pool")
    assert engine.counter.tokens < scored.counter.tokens


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("gemma2", {}, "slides over 16 tokens"),
        ("gemma3", {}, "slides over 16 tokens"),
        ("mistral", {"sliding_window": 16}, "slides over 16 tokens"),
    ],
)
def test_models_that_packed_rows_do_not_suit_go_to_the_plain_engine(
    family: str, changes: dict[str, Any], reason: str
) -> None:
    made = parts(sharpened(family, **changes))
    found, engine = fast(made)
    assert_equal(found, plain(made))
    plan = engine.plan(outward([LINE]), PROMPTS, LIMIT)
    assert plan.mode == "plain"
    assert reason in plan.text()


def test_a_window_that_no_row_outgrows_does_not_matter() -> None:
    made = parts(sharpened("mistral", sliding_window=400))
    found, engine = fast(made, mode="pool")
    assert_equal(found, plain(made))
    assert engine.plan(outward([LINE]), PROMPTS, LIMIT).mode == "pool"


def test_a_model_that_computes_something_else_with_packed_rows_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = parts(sharpened())
    attention = made[0].model.layers[0].self_attn
    forward = attention.forward

    def other(*args: Any, **kwargs: Any) -> Any:
        output, rest = forward(*args, **kwargs)
        return output / output.shape[1], rest

    monkeypatch.setattr(attention, "forward", other)
    engine = FastEngine(*made)
    assert "something else" in engine.plan(outward([LINE]), PROMPTS, LIMIT).text()


def test_parameters_that_are_no_matrices_are_materialised() -> None:
    made = parts(sharpened(), exclude_norms=False)
    found, engine = fast(made, mode="pool")
    assert_equal(found, plain(made))
    plan = engine.plan(outward([LINE]), PROMPTS, LIMIT)
    assert plan.mode == "in-place"
    assert "LlamaRMSNorm" in plan.text()


def test_running_out_of_memory_halves_the_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts(sharpened())
    expected = plain(made)
    real = Forward.predictions
    calls = 0

    def fail(self: Forward, storage: Any, feeds: Any, coefficients: Any = None) -> Any:
        nonlocal calls
        calls += 1
        if len(feeds) > 4 and calls > 3:
            raise torch.OutOfMemoryError("made up")
        return real(self, storage, feeds, coefficients)

    monkeypatch.setattr(Forward, "predictions", fail)
    found, engine = fast(made, mode="pool", rows=8)
    assert_equal(found, expected)
    assert any("4 rows" in note for note in engine.notes)
    with pytest.raises(EngineError, match="Memory ran out"):
        fast(made, mode="pool", rows=20)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_larger_model_that_is_copied_on_the_way_answers_as_the_plain_engine(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(copies, "MOST", 0)
    monkeypatch.setattr(copies, "PATIENCE", 2)
    monkeypatch.setattr(copies, "are_faster", lambda modules: True)
    monkeypatch.setattr(packed, "SMALL", 0)
    made = parts(sharpened(family))
    found, engine = fast(made, mode="in-place")
    assert engine.forward is not None
    assert engine.forward.decoder is not None
    assert any(one._copy is not None for one in engine.forward.decoder.copies.modules)
    assert_equal(found, plain(made))


def test_the_plan_keeps_within_the_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts(sharpened())
    points = outward([LINE])
    roomy = FastEngine(*made, mode="pool").plan(points, PROMPTS, LIMIT)
    assert roomy.mode == "pool"
    assert roomy.fits
    row = (roomy.cache + roomy.logits) // roomy.rows
    assert roomy.scores
    held = roomy.pristine + roomy.direction + roomy.scores
    free = int((held + 12.5 * row) / SHARE_OF_FREE)
    monkeypatch.setattr("safebasin.engines.fast.planning.free_bytes", lambda device: free)
    tight = FastEngine(*made, mode="pool").plan(points, PROMPTS, LIMIT)
    assert tight.mode == "pool"
    assert 8 <= tight.rows <= 12 < roomy.rows
    assert tight.fits
    assert tight.reasons == ()
    [asked] = FastEngine(*made, mode="pool", rows=10**6).plan(points, PROMPTS, LIMIT).reasons
    work = len(points) * len(PROMPTS)
    assert asked == f"{work} rows in a batch were asked for; {tight.rows} fit"
    monkeypatch.setattr("safebasin.engines.fast.planning.free_bytes", lambda device: 3 * row)
    assert FastEngine(*made, mode="pool").plan(points, PROMPTS, LIMIT).mode == "in-place"


def test_a_plan_counts_directions_that_will_be_held() -> None:
    model, weights, directions, template = parts(sharpened())
    held = {
        name: Resident(direction, weights, when_asked=True)
        for name, direction in directions.items()
    }
    points = outward([LINE])
    size = sum(4 * math.prod(parameter.shape) for parameter in weights.parameters)
    for mode in ("in-place", "pool"):
        before = FastEngine(model, weights, directions, template, mode=mode)
        engine = FastEngine(model, weights, held, template, mode=mode)
        more = engine.plan(points, PROMPTS, LIMIT).direction
        # A pool is tried out along one of them, which is drawn for it after the size was taken.
        assert more - before.plan(points, PROMPTS, LIMIT).direction == 2 * size
    found, _ = fast((model, weights, held, template), [LINE, PLANE])
    assert sum(direction.missing_bytes for direction in held.values()) == 0
    assert_equal(found, plain((model, weights, directions, template), [LINE, PLANE]))


def test_a_plan_tells_of_bfloat16_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "only_numba_is_missing", lambda: False)

    def reasons(gain: float, least: int, dtype: torch.dtype = torch.float32) -> tuple[str, ...]:
        monkeypatch.setattr(planning, "bfloat16_gain", lambda: gain)
        monkeypatch.setattr(planning, "READY_BYTES", least)
        made = parts(sharpened().to(dtype))
        return FastEngine(*made, mode="in-place").plan(outward([LINE]), PROMPTS, LIMIT).reasons

    [told] = reasons(1.87, 0)
    assert told.startswith("this processor multiplies 1.9 times as fast in bfloat16")
    assert reasons(1.2, 0) == ()
    assert reasons(1.87, 2**28) == ()
    assert reasons(1.87, 0, torch.bfloat16) == ()


def test_a_plan_tells_of_numba_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def reasons(missing: bool, family: str) -> tuple[str, ...]:
        monkeypatch.setattr(planning, "only_numba_is_missing", lambda: missing)
        made = parts(sharpened(family))
        return FastEngine(*made, mode="in-place").plan(outward([LINE]), PROMPTS, LIMIT).reasons

    [told] = reasons(True, "llama")
    assert "pip install 'safebasin[cpu]'" in told
    assert reasons(False, "llama") == ()
    assert reasons(True, "phi") == ()  # whose layers no kernel is for


def test_a_batch_is_never_larger_than_the_work() -> None:
    made = parts(sharpened())
    points = outward([LINE])
    pool = FastEngine(*made, mode="pool", rows=10**6).plan(points, PROMPTS, LIMIT)
    assert pool.rows == len(points) * len(PROMPTS)
    in_place = FastEngine(*made, mode="in-place", rows=10**6).plan(points, PROMPTS, LIMIT)
    assert in_place.rows == len(PROMPTS)
    few = FastEngine(*made, mode="pool").plan(points[:2], PROMPTS[:1], LIMIT)
    assert (few.mode, few.rows) == ("pool", 2)


def test_the_model_is_as_it_was_between_points_and_after_giving_up() -> None:
    made = parts(sharpened())
    model, weights, _, _ = made
    before = weights.checksum()
    implementation = model.config._attn_implementation
    ids = torch.tensor([[1, 2, 3]])
    with torch.inference_mode():
        expected = model(ids).logits
    for mode in ("pool", "in-place"):
        answers = FastEngine(*made, mode=mode).answers(outward([LINE]), PROMPTS, LIMIT)
        next(answers)
        with torch.inference_mode():
            assert torch.equal(model(ids).logits, expected)
        assert model.config._attn_implementation == implementation
        answers.close()
        assert weights.checksum() == before


def test_progress_hears_of_every_answer_once() -> None:
    heard: list[tuple[Point, str]] = []
    engine = FastEngine(*parts(sharpened()), mode="pool")
    points = outward([LINE])

    def progress(point: Point, exchanges: Sequence[Exchange]) -> None:
        heard.extend((point, exchange.prompt_id) for exchange in exchanges)

    list(engine.answers(points, PROMPTS, LIMIT, progress))
    assert len(heard) == len(set(heard)) == len(points) * len(PROMPTS)


def test_one_prompt_one_token_and_the_origin_alone() -> None:
    made = parts(sharpened())
    for prompts, points in ((PROMPTS[:1], [Point()]), (PROMPTS, [Point()]), (PROMPTS[:1], None)):
        asked = points or outward([LINE])
        expected = dict(PlainEngine(*made).answers(asked, prompts, Sampling(1)))
        found = dict(FastEngine(*made).answers(asked, prompts, Sampling(1)))
        assert_equal(found, expected)


def test_broken_weights_do_not_leak_into_other_rows() -> None:
    model = sharpened()
    made = parts(model)
    far = Point.of({"a": 1e30})
    near = Point.of({"a": 0.1})
    expected = dict(PlainEngine(*made).answers([near], PROMPTS, LIMIT))
    engine = FastEngine(*made, mode="pool", rows=2)
    found = dict(engine.answers([far, near], PROMPTS, LIMIT))
    assert_equal({near: found[near]}, expected)


@pytest.mark.parametrize("mode", ["in-place", "pool"])
@pytest.mark.parametrize("rows", [5, None])
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_a_broken_row_leaves_nothing_in_the_slots_that_it_had(
    family: str, rows: int | None, mode: Any
) -> None:
    made = parts(sharpened(family))
    texts = ["abcdefgh"[: 1 + i % 8] * (1 + i % 5) + str(i) for i in range(12)]
    prompts = [Prompt(f"p{i}", text) for i, text in enumerate(texts)]
    points = [Point.of({"a": value}) for value in (0.1, 1e30, 0.2, 0.3)]
    sound = [points[0], *points[2:]]
    expected = dict(PlainEngine(*made).answers(sound, prompts, LIMIT))
    found = dict(FastEngine(*made, mode=mode, rows=rows).answers(points, prompts, LIMIT))
    assert_equal({point: found[point] for point in sound}, expected)


def test_bad_options_are_refused() -> None:
    made = parts(pico.model())
    with pytest.raises(UsageError, match="mode"):
        FastEngine(*made, mode="quick")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="rows"):
        FastEngine(*made, rows=0)
