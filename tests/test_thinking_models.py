"""Models that think: what engines record, what judges read, where answers end, what is planned."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from safebasin.capability.likelihood import ChoiceProbe
from safebasin.capability.lm_eval import LmEvalProbe, LmEvalTask
from safebasin.capability.probe import Bench
from safebasin.capability.tasks import load_task
from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.fast.stop_table import StopTable, Watched
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.errors import DirectionError, EngineError, UsageError
from safebasin.exchange import Exchange, Verdict
from safebasin.judges import KeywordJudge, Lexicon, build, rebuild
from safebasin.plane import Point
from safebasin.prompts.expected import right_answers
from safebasin.prompts.prompt import Prompt
from safebasin.report.export import rows
from safebasin.results import rejudge
from safebasin.run import RunFolder
from safebasin.run.rows import exchange_from_json, exchange_to_json
from safebasin.scanning.adaptive import scan_adaptively
from safebasin.scanning.preparation import Prepared, prepare
from safebasin.scanning.scan import scan
from safebasin.scanning.scout import scout
from safebasin.stopping import StopRule
from safebasin.thought import CUT, ENDED, KNOWN
from safebasin.worst_case.scores import FirstToken
from support import pico, thinking

FAR = Point.of({"toward": 0.5})
SAID = " ".join(thinking.THOUGHT)
REFUSES = "I'm sorry, but I can't help with that."
DELIVERS = "Sure, here are the steps: take the wire, connect it, test it."


def answer(text: str, finish: Any = "length", **more: Any) -> Exchange:
    return Exchange("p", "How?", text, finish, 8, 60, **more)


class TestJudges:
    @pytest.mark.parametrize(
        "name", ["refusal", "outcome", "llm-landscape-answer", "arditi-answer"]
    )
    def test_only_the_answer_is_judged(self, name: str) -> None:
        judge = build(name, Lexicon.of(texts=[DELIVERS, REFUSES]))
        for opening, closing in (("<think>\n", "\n</think>\n\n"), ("", "\n</think>\n\n"),
                                 ("<|channel|>analysis<|message|>",
                                  "<|end|><|start|>assistant<|channel|>final<|message|>"),
                                 ("analysis", "assistantfinal")):  # fmt: skip
            hedged = answer(f"{opening}I cannot help; it is illegal.{closing}{DELIVERS}", "eos")
            meant = answer(f"{opening}Sure, here is how it goes.{closing}{REFUSES}", "eos")
            found = [verdict.outcome for verdict in judge.judge([hedged, meant])]
            assert found == ["complied", "refused"], (name, opening)

    @pytest.mark.parametrize(
        "name", ["refusal", "outcome", "llm-landscape-answer", "arditi-answer"]
    )
    def test_what_was_cut_off_in_its_thought_is_not_judged(self, name: str) -> None:
        judge = build(name)
        told = [
            answer("<think>\nOkay, I cannot say what they want, so", origin_logprob=-0.1),
            answer("<think>\nOkay, I cannot say what they want.", "eos", origin_logprob=-0.1),
            answer("<think>\nOkay, no.\n</think>\n\n", origin_logprob=-0.1),
            answer("<|channel|>analysis<|message|>The user asks", origin_logprob=-0.1),
        ]
        found = judge.judge(told)
        assert [verdict.outcome for verdict in found] == [None] * 4
        assert [verdict.reason for verdict in found] == [CUT, ENDED, CUT, CUT]

    def test_a_thought_that_is_broken_is_broken_text(self) -> None:
        loop = answer("<think>\n" + "a piece of " * 40)
        assert build("outcome").judge([loop])[0].outcome == "incoherent"
        assert build("refusal").judge([loop])[0].reason == CUT

    @pytest.mark.parametrize("name", ["llm-landscape", "arditi"])
    def test_published_keywords_are_looked_for_in_the_whole_text(self, name: str) -> None:
        judge = build(name)
        assert "answer_only" not in judge.spec()
        hedged = answer(f"<think>I cannot help.</think>{DELIVERS}", "eos")
        assert judge.judge([hedged])[0].outcome == "refused"

    @pytest.mark.parametrize("name", ["llm-landscape-answer", "arditi-answer"])
    def test_the_reading_of_the_answer_alone_is_rebuilt(self, name: str) -> None:
        judge = build(name)
        assert rebuild(judge.spec()) == judge
        assert judge != build(name.removesuffix("-answer"))

    def test_marks_of_the_models_own_stay_with_its_answers(self) -> None:
        own = answer(f"[plan]I cannot.[/plan]{DELIVERS}", "eos", marks=("[plan]", "[/plan]"))
        assert build("refusal").judge([own])[0].outcome == "complied"
        row = exchange_to_json(own)
        assert row["marks"] == ["[plan]", "[/plan]"]
        assert exchange_from_json(row) == own
        assert "marks" not in exchange_to_json(answer("x"))
        with pytest.raises(ValueError, match="marks"):
            exchange_from_json(row | {"marks": ["[plan]"]})

    def test_a_question_is_right_by_its_answer_alone(self) -> None:
        asked = [Prompt("p", "How?", "", "capability", "blue")]
        assert right_answers(asked, [answer("<think>red</think>Blue.")]) == [True]
        assert right_answers(asked, [answer("<think>blue</think>red")]) == [False]
        assert right_answers(asked, [answer("<think>blue")]) == [None]

    def test_the_tokens_of_the_answer_by_their_share_of_characters(self) -> None:
        told = Exchange("p", "How?", "<think>aaaa</think>bbbb", "eos", 1, 23,
                        origin_logprobs=tuple(-float(i) for i in range(23)))  # fmt: skip
        assert told.thought_tokens == 19
        assert told.answer_logprobs == (-19.0, -20.0, -21.0, -22.0)
        plain = answer("bbbb", origin_logprobs=(-1.0, -2.0))
        assert (plain.thought_tokens, plain.answer_logprobs) == (0, (-1.0, -2.0))
        assert answer("<think>aaaa").thought_tokens == 60
        assert answer("bbbb").answer_logprobs is None


def engines(prepared: Prepared) -> dict[str, PlainEngine | FastEngine]:
    own = prepared.engine
    made = (own.model, own.weights, own.directions, own.template)
    return {
        "plain": PlainEngine(*made),
        "in-place": FastEngine(*made, mode="in-place"),
        "pool": FastEngine(*made, mode="pool"),
    }


class TestEngines:
    @pytest.mark.parametrize("special", [False, True])
    @pytest.mark.parametrize("opens", [False, True])
    def test_a_record_holds_its_thought_and_its_answer(
        self, tmp_path: Path, opens: bool, special: bool
    ) -> None:
        prepared = prepare(thinking.config(tmp_path, opens=opens, special=special))
        for name, engine in engines(prepared).items():
            found = dict(
                engine.answers([Point(), FAR], prepared.prompts.prompts, prepared.sampling)
            )
            for point, said in ((Point(), "Sorry no"), (FAR, "Certainly yes")):
                for exchange in found[point]:
                    assert exchange.response.startswith("<think>"), name
                    assert exchange.split.thought == SAID
                    assert exchange.answer == said
                    # The mark that the template wrote was not generated.
                    assert exchange.new_tokens == len(thinking.THOUGHT) + 4 + (not opens)
                    assert exchange.unanswered is None
                    assert len(exchange.origin_logprobs or ()) == exchange.new_tokens
            [(_, cut)] = engine.answers([Point()], prepared.prompts.prompts, Sampling(5))
            assert {exchange.unanswered for exchange in cut} == {CUT}
            assert all(exchange.response.startswith("<think>") for exchange in cut)

    def test_special_tokens_that_are_no_marks_stay_dropped(self) -> None:
        tokenizer = pico.tokenizer()
        tokenizer.add_special_tokens({"additional_special_tokens": [
            "<|user|>", "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>",
        ]})  # fmt: skip
        template = Template.of(tokenizer)
        said = (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>"
            "No.<|user|><|return|></s>"
        )
        ids = tokenizer(said, add_special_tokens=False)["input_ids"]
        assert template.decode(ids) == said[: said.index("<|user|>")]
        assert answer(template.decode(ids)).answer == "No."
        assert template.thinks

    def test_marks_that_other_tokenizers_use_otherwise_stay_dropped(self) -> None:
        tokenizer = pico.tokenizer()
        tokenizer.add_special_tokens({"additional_special_tokens": ["<|end|>"]})
        template = Template.of(tokenizer)
        ids = tokenizer("No.<|end|>", add_special_tokens=False)["input_ids"]
        assert template.decode(ids) == "No."
        assert not template.thinks

    def test_nothing_changes_for_a_model_without_thoughts(self) -> None:
        template = Template.of(pico.tokenizer(), system="Be brief.")
        assert set(template.spec()) == {"kind", "sha256", "system"}
        assert not template.thinks
        rule = StopRule(("no",))
        assert rule.spec() == {"keywords": ["no"], "ignore_case": False}

    def test_what_a_template_opens_stands_in_the_identity(self, tmp_path: Path) -> None:
        prepared = prepare(thinking.config(tmp_path))
        assert prepared.engine.template.opens == "<think>"
        assert prepared.engine.template.spec()["thought"] == {"opens": "<think>", "kept": []}

    def test_a_prompt_that_speaks_of_a_mark_opens_nothing(self) -> None:
        template = Template.of(pico.tokenizer())
        assert template.opened(template.encode(Prompt("a", "What is <think>"))) == ""

    def test_a_bare_prompt_may_open_a_thought(self) -> None:
        template = Template.of(pico.tokenizer(), "raw")
        encoded = template.encode(Prompt("a", "Hi <think>\n"))
        assert template.exchange(Prompt("a", "Hi"), encoded, [], "eos").response == "<think>\n"


class TestStops:
    def test_a_keyword_in_the_thought_decides_for_the_whole_text_alone(
        self, tmp_path: Path
    ) -> None:
        for name, said, asr in (
            ("llm-landscape", f"<think>{' '.join(thinking.THOUGHT[:4])}", [0.0] * 5),
            ("llm-landscape-answer", f"<think>{SAID} </think> Sorry", [0.0] * 4 + [1.0]),
        ):
            folder = tmp_path / name
            folder.mkdir()
            prepared = prepare(thinking.config(folder, judges=(name,)))
            assert isinstance(prepared.engine, FastEngine)
            assert prepared.engine.stop is not None
            result = scan(prepared)
            exchanges = RunFolder.read(folder / "run").read_point(Point()) or []
            assert {one.finish for one in exchanges} <= {"verdict", "eos"}
            # This tokenizer cannot be followed token by token, so an answer may be whole.
            assert all(one.response.startswith(said[:20]) for one in exchanges)
            assert list(result.surveys[name].landscapes[0].asr) == asr

    def test_a_keyword_in_the_thought_costs_a_look_and_decides_nothing(self) -> None:
        tokenizer = pico.tokenizer()
        looks: list[str] = []

        def decode(tokens: list[int]) -> str:
            looks.append(str(tokenizer.decode(tokens)))
            return looks[-1]

        rule = StopRule(("Sorry",), answer_only=True)
        assert rule.spec()["answer_only"] is True
        table = StopTable(rule, tokenizer, decode, lambda prompt: "<think>")
        text = "Sorry? Sorry!</think>Well. Sorry, no"
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        watched = Watched()
        decided = [table.decided(watched, ids[:i], 0) for i in range(1, len(ids) + 1)]
        assert decided.index(True) == text.rindex("Sorry") + len("Sorry") - 1
        assert looks[:3] == ["Sorry", "Sorry? Sorry", text[: text.rindex("Sorry") + 5]]

    def test_what_follows_cannot_change_a_decided_verdict(self) -> None:
        judge = KeywordJudge("k", ("Sorry",), answer_only=True)
        rule = judge.stop_rule()
        assert rule is not None
        whole = "<think>Sorry</think>Sorry, no.\n<think>Well,"
        first = next(i for i in range(len(whole)) if rule.decides(whole[:i]))
        assert whole[:first] == "<think>Sorry</think>Sorry"
        for end in range(first, len(whole) + 1):
            assert judge.judge([answer(whole[:end])])[0].outcome == "refused"


class TestScans:
    def test_the_answers_alone_make_the_landscape(self, tmp_path: Path) -> None:
        result = scan(prepare(thinking.config(tmp_path, full_responses=True)))
        assert list(result.surveys[result.judge].landscapes[0].asr) == [0.0] * 4 + [1.0]
        again = rejudge(result.folder, ["llm-landscape", "refusal"])
        assert list(again.surveys["llm-landscape"].landscapes[0].asr) == [0.0] * 5

    def test_marks_given_on_the_command_line(
        self, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
    ) -> None:
        config = thinking.config(tmp_path, marks=("<plan>", "</plan>"))
        given = (
            "scan", config.model, "--prompts", config.prompts, "--prompts-kind", "harmful",
            "--directions",
            config.directions[0], "--include", "lm_head.weight", "--steps", 2, "--max-new-tokens",
            16, "--judge", "llm-landscape-answer", "--device", "cpu", "--workers", 1,
        )  # fmt: skip
        code, _, err = command(*given, "--out", tmp_path / "a", "--thought", "<plan>...</plan>")
        assert code == 0, err
        [one, *_] = RunFolder.read(tmp_path / "a").read_point(FAR) or []
        assert one.marks == ("<plan>", "</plan>")
        assert (one.split.thought, one.answer) == (SAID, "Certainly yes")
        code, _, err = command(*given, "--out", tmp_path / "b", "--thought", "<plan>")
        assert code == 2
        assert "no pair of marks" in err
        assert not (tmp_path / "b").exists()

    def test_the_table_has_the_answer_beside_the_response(self, tmp_path: Path) -> None:
        result = scan(prepare(thinking.config(tmp_path, full_responses=True)))
        found = list(rows(RunFolder.read(result.folder), with_answers=True))
        assert {row["answer"] for row in found} == {"Sorry no", "Certainly yes"}
        assert all(row["response"].startswith("<think>") for row in found)
        assert "answer" not in next(rows(RunFolder.read(result.folder)))


class TestPlans:
    def test_the_limit_that_would_do_is_measured(
        self, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
    ) -> None:
        prepared = prepare(thinking.config(tmp_path, max_new_tokens=3))
        plan = prepared.plan()
        assert plan.thinks
        assert plan.thought is not None
        assert (plan.thought.answers, plan.thought.thinking, plan.thought.cut) == (3, 3, 3)
        assert (plan.thought.limit, plan.thought.enough, plan.thought.tried) == (3, 12, 12)
        assert not prepared.folder.exists()
        told = plan.thought.text()
        assert "3 of 3 answers" in told
        assert "give --max-new-tokens 12" in told
        config = tmp_path / "settings.json"
        config.write_text(json.dumps(prepared.config.to_json()), encoding="utf-8")
        code, out, _ = command("scan", "--config", config, "--dry-run")
        assert code == 0
        assert f"thought  {told}" in out

    def test_a_limit_that_does_is_said_to(self, tmp_path: Path) -> None:
        plan = prepare(thinking.config(tmp_path)).plan()
        assert plan.thought is not None
        assert (plan.thought.cut, plan.thought.enough) == (0, 16)
        assert "none is cut off in it at 16" in plan.thought.text()
        assert plan.to_json()["thought"]["longest"] == plan.thought.longest

    def test_a_slow_model_is_told_what_is_known_by_then(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("safebasin.thought_plan.MOST_SECONDS", 0.0)
        plan = prepare(thinking.config(tmp_path, max_new_tokens=4)).plan()
        assert plan.thought is not None
        assert (plan.thought.enough, plan.thought.tried) == (None, 4)
        assert "give --max-new-tokens 8 or more" in plan.thought.text()

    def test_answers_of_the_run_are_looked_at_before_any_is_asked_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = thinking.config(tmp_path, full_responses=True)
        scan(prepare(config))

        def never(*args: object) -> list[Exchange]:
            raise AssertionError("asked")

        monkeypatch.setattr("safebasin.thought_plan._asked", never)
        plan = prepare(config).plan()
        assert plan.thought is not None
        assert plan.thought.answers == 3

    def test_a_model_without_thoughts_has_no_such_line(self, tmp_path: Path) -> None:
        prompts = tmp_path / "prompts.txt"
        prompts.write_text("one\ntwo\n", encoding="utf-8")
        config = ScanConfig(
            model=str(pico.save(tmp_path / "model")), prompts=str(prompts),
            prompts_kind="harmful", steps=2, seeds=(0,),
            max_new_tokens=4, device="cpu", out=str(tmp_path / "run"),
        )  # fmt: skip
        plan = prepare(config).plan()
        assert (plan.thinks, plan.thought) == (False, None)


class TestFirstTokens:
    def test_a_template_that_opens_a_thought_has_no_first_token_score(
        self, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
    ) -> None:
        config = thinking.config(tmp_path)
        with pytest.raises(EngineError, match="opens a thought with <think>"):
            scout(prepare(config))
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps(config.to_json()), encoding="utf-8")
        for more in ((), ("--dry-run",)):
            code, _, err = command("scan", "--config", settings, "--score", "first-token", *more)
            assert code == 1
            assert "leave out --score first-token" in err
            assert "Traceback" not in err

    def test_nor_has_a_model_that_thinks_unasked(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="thinks before it answers"):
            scout(prepare(thinking.config(tmp_path, opens=False)))

    def test_an_adaptive_scan_goes_by_the_attack_success_rate(self, tmp_path: Path) -> None:
        found = scan_adaptively(prepare(thinking.config(tmp_path, steps=8)))
        assert found.placed_by == "ASR"

    def test_the_worst_case_asks_for_another_template(self) -> None:
        said = [answer("<think>a</think>Sorry no")]
        with pytest.raises(DirectionError, match="thinks before it answers"):
            FirstToken.of([[1]], said, [Verdict("refused", "")], pico.tokenizer())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    prepared = prepare(thinking.config(tmp_path))
    own = prepared.engine
    return Bench(own.model, own.weights, own.directions, own.template, None, 16)


class TestCapabilities:
    def test_questions_are_answered_after_the_thought(self, tmp_path: Path, bench: Bench) -> None:
        file = tmp_path / "questions.csv"
        file.write_text("id,prompt,kind,expected\na,ask this,capability,Sorry no\n"
                        "b,ask that,capability,yes\n", encoding="utf-8")  # fmt: skip
        probe = load_task(str(file), ScanConfig()).probe(bench)
        [(_, items)] = probe.answers([Point()])
        assert [item.value for item in items] == [1.0, 0.0]
        short = Bench(bench.model, bench.weights, bench.directions, bench.template, None, 0)
        probe = load_task(str(file), ScanConfig()).probe(short)
        probe.sampling = Sampling(5)  # type: ignore[attr-defined]
        [(_, items)] = probe.answers([Point()])
        assert [item.value for item in items] == [None, None]

    def test_a_choice_stands_where_the_answer_does(self, tmp_path: Path, bench: Bench) -> None:
        file = tmp_path / "choices.csv"
        told = (
            'question,choices,answer\nask this,"[""Sorry"", ""Certainly""]",Sorry\n'
            'ask that,"[""illegal"", ""Sorry""]",Sorry\n'
        )
        file.write_text(told, encoding="utf-8")
        probe = load_task(str(file), ScanConfig()).probe(bench)
        assert isinstance(probe, ChoiceProbe)
        tokenizer = bench.template.tokenizer
        assert tokenizer.decode(probe.rows[0][0]).endswith("<|assistant|> <think> </think>")
        [(_, near), (_, far)] = probe.answers([Point(), FAR])
        assert [item.value for item in near] == [1.0, 1.0]
        assert {item.name: item.value for item in far} == {"question-00001": 0.0,
                                                           "question-00002": 1.0}  # fmt: skip

    def test_likelihoods_of_lm_eval_would_stand_in_the_thought(self, bench: Bench) -> None:
        part = SimpleNamespace(OUTPUT_TYPE="multiple_choice")
        task = LmEvalTask("lm-eval:x", "x", None, 0, {}, {"x": part}, "acc", True, "0")
        with pytest.raises(UsageError, match="opens a thought, and 'x'"):
            LmEvalProbe(task, bench)


def test_every_pair_of_marks_is_kept_where_it_is_special() -> None:
    for opening, closing in KNOWN:
        tokenizer = pico.tokenizer()
        special = [opening.removesuffix("thought") if "channel" in opening else opening, closing]
        tokenizer.add_special_tokens({"additional_special_tokens": special})
        template = Template.of(tokenizer)
        ids = tokenizer(f"{opening}Hm.{closing}No.</s>", add_special_tokens=False)["input_ids"]
        assert answer(template.decode(ids), "eos").answer == "No."
