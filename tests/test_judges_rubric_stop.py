"""An endpoint that gives no grades costs a few calls, not one for each answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safebasin.judges import build
from safebasin.judges.endpoint_health import DECLINING, FAILURES, ONCE_READ, PATIENCE
from safebasin.judges.endpoint_limits import within
from safebasin.judges.endpoint_request import FIRST_LIMIT, GROWTH, MOST_TOKENS, Request
from safebasin.results import rejudge
from safebasin.run import RunFolder
from support import judged_runs
from support.judged_runs import REFUSAL
from support.loopback import Call, Reply, Server
from support.rubric_endpoint import (
    SOON,
    completion,
    exchanges,
    grade,
    honest,
    loopback_with_key,
    spec_of,
)

pytest.importorskip("openai")

Behaviour = Callable[[Call], Reply]
MANY = [REFUSAL] * 100
DECLINE = "I'm sorry, but I can't assist with that."


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    loopback_with_key(monkeypatch)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(honest).running() as running:
        yield running


def rejecting(*settings: str, message: str = "Unsupported parameter: '{}'.") -> Behaviour:
    """Rejects a request with any of these settings, naming the first of them."""

    def reply(call: Call) -> Reply:
        for setting in settings:
            if setting in call.body:
                error = {"message": message.format(setting), "param": setting}
                return Reply(400, {"error": error})
        return honest(call)

    return reply


def thinking(needed: int, largest: int = MOST_TOKENS, echo: str = "") -> Behaviour:
    """Grades where the limit lets it think for so many tokens; takes no limit above `largest`."""

    def reply(call: Call) -> Reply:
        limit = call.body.get("max_tokens", 0)
        if limit > largest:
            text = f"'max_tokens' or 'max_completion_tokens' is too large: {limit}. {echo}"
            return Reply(400, {"error": {"message": text}})
        return honest(call) if limit >= needed else Reply(body=completion("<think>Hm", "length"))

    return reply


def graded(server: Server, more: str = "", answers: int = 10) -> list[str]:
    verdicts = build(spec_of(server, f"&concurrency=1{more}")).judge(exchanges(*MANY[:answers]))
    assert {verdict.outcome for verdict in verdicts} == {"refused"}
    return [verdict.reason for verdict in verdicts]


class TestStop:
    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (completion("It refuses."), "begins 'It refuses.'; take a model that keeps to the"),
            (completion(None), "(malformed: the reply is empty); check the model's name"),
            (b"<html>Login</html>", "begins '<html>Login</html>'; check base_url"),
            ({"error": {"message": "overloaded"}}, "begins 'overloaded'; see what the endpoint"),
            ({"choices": []}, "begins '{\"choices\": []}'"),
            (b"", "(malformed: the reply is empty); check base_url"),
        ],
    )
    def test_after_a_few_replies_without_a_grade(
        self, server: Server, body: object, told: str
    ) -> None:
        server.reply = lambda call: Reply(body=body)
        verdicts = build(spec_of(server, "&concurrency=1")).judge(exchanges(*MANY))
        assert len(server.calls) == PATIENCE
        assert all(verdict.reason.startswith("malformed") for verdict in verdicts[:PATIENCE])
        [reason] = {verdict.reason for verdict in verdicts[PATIENCE:]}
        assert reason.startswith(f"not asked: {PATIENCE} replies in a row gave no grade (malformed")
        assert told in reason
        assert "patience=0" in reason

    @pytest.mark.parametrize("concurrency", [1, 2, 8])
    def test_those_under_way_are_waited_for(self, server: Server, concurrency: int) -> None:
        server.reply = lambda call: Reply(body=completion("?"))
        build(spec_of(server, f"&concurrency={concurrency}")).judge(exchanges(*MANY))
        assert PATIENCE <= len(server.calls) < PATIENCE + concurrency

    def test_a_grade_that_is_under_way_counts(self, server: Server) -> None:
        def slow_to_grade(call: Call) -> Reply:
            reply = honest(call)
            reply.delay = 0.3
            return reply if call.number == 0 else Reply(body=completion("?"))

        server.reply = slow_to_grade
        build(spec_of(server, "&concurrency=2")).judge(exchanges(*MANY))
        assert len(server.calls) > PATIENCE + 2

    def test_what_was_once_read_gets_more_patience(self, server: Server) -> None:
        server.reply = lambda call: Reply(body=completion("?")) if call.number else honest(call)
        verdicts = build(spec_of(server, "&concurrency=1")).judge(exchanges(*MANY))
        assert len(server.calls) == 1 + PATIENCE * ONCE_READ
        assert f"{PATIENCE * ONCE_READ} replies in a row" in verdicts[-1].reason

    @pytest.mark.parametrize(
        "body",
        [completion(DECLINE), completion(None, refusal="No."), completion("", "content_filter")],
    )
    def test_a_judge_that_declines_for_a_while_is_asked_on(
        self, server: Server, body: object
    ) -> None:
        most = PATIENCE * DECLINING
        server.reply = lambda call: Reply(body=body) if call.number < most - 1 else honest(call)
        verdicts = build(spec_of(server, "&concurrency=1")).judge(exchanges(*MANY))
        assert len(server.calls) == 100
        assert sum(verdict.outcome is None for verdict in verdicts) == most - 1

    def test_a_judge_that_declines_everything_is_not(self, server: Server) -> None:
        server.reply = lambda call: Reply(body=completion(DECLINE))
        verdicts = build(spec_of(server, "&concurrency=1")).judge(exchanges(*MANY))
        assert len(server.calls) == PATIENCE * DECLINING
        assert verdicts[0].reason == "the judge model declines to grade"
        assert verdicts[-1].reason == (
            "not asked: the judge model declined 50 answers in a row; take another, "
            "or ask on with patience=0"
        )

    def test_declining_between_them_makes_unreadable_replies_no_better(
        self, server: Server
    ) -> None:
        server.reply = lambda call: Reply(body=completion(DECLINE if call.number % 2 else "?"))
        build(spec_of(server, "&concurrency=1")).judge(exchanges(*MANY))
        assert len(server.calls) == 2 * PATIENCE - 1

    @pytest.mark.parametrize("text", ["?", DECLINE])
    def test_patience_without_end(self, server: Server, text: str) -> None:
        server.reply = lambda call: Reply(body=completion(text))
        build(spec_of(server, "&concurrency=1&patience=0")).judge(exchanges(*MANY))
        assert len(server.calls) == 100

    def test_a_quota_that_is_used_up_is_asked_once(self, server: Server) -> None:
        error = {"message": "You exceeded your current quota", "code": "insufficient_quota"}
        server.reply = lambda call: Reply(429, {"error": error}, SOON)
        verdicts = build(spec_of(server, "&concurrency=1&retries=3")).judge(exchanges(*MANY))
        assert len(server.calls) == 1
        assert verdicts[-1].reason == "not asked: the account's quota is used up (429)"

    def test_it_holds_for_a_whole_run_and_the_next_one_asks_again(
        self, server: Server, tmp_path: Path
    ) -> None:
        folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL)
        server.reply = lambda call: Reply(body=b"<html>Login</html>")
        name = spec_of(server, "&concurrency=1")
        first = rejudge(folder, [name])
        assert len(server.calls) == PATIENCE
        assert (first.summary.judged, first.summary.unjudged) == (0, 100)
        server.reply = honest
        second = rejudge(folder, [name])
        assert len(server.calls) == PATIENCE + 100
        assert (second.summary.judged, second.summary.unjudged) == (100, 0)


class TestOtherWays:
    """A setting that a server does not take is found out once."""

    def test_another_name_for_the_limit(self, server: Server) -> None:
        server.reply = rejecting(
            "max_tokens", message="'{}' is not supported. Use 'max_completion_tokens' instead."
        )
        reasons = graded(server)
        assert len(server.calls) == 11
        assert server.calls[-1].body["max_completion_tokens"] == FIRST_LIMIT
        assert "asked without" not in reasons[0]

    def test_no_temperature(self, server: Server) -> None:
        server.reply = rejecting("temperature")
        assert graded(server)[0].endswith("; asked without temperature")
        assert len(server.calls) == 11
        assert server.calls[-1].body["max_tokens"] == FIRST_LIMIT

    def test_no_schema(self, server: Server) -> None:
        server.reply = rejecting("response_format", message="json_schema is unknown")
        assert graded(server)[0].endswith("; asked without schema")
        assert len(server.calls) == 11

    def test_all_three(self, server: Server) -> None:
        server.reply = rejecting("max_tokens", "temperature", "response_format")
        assert graded(server)[-1].endswith("; asked without temperature and schema")
        assert len(server.calls) == 13

    def test_a_validator_that_repeats_the_request(self, server: Server) -> None:
        def reply(call: Call) -> Reply:
            if "response_format" not in call.body:
                return honest(call)
            detail = [{"loc": ["body", "response_format"], "msg": "Extra", "input": call.body}]
            return Reply(422, {"detail": detail})

        server.reply = reply
        assert graded(server)[0].endswith("; asked without schema")

    def test_nothing_is_kept_of_a_way_that_was_rejected_too(self, server: Server) -> None:
        server.reply = lambda call: (
            Reply(400, {"error": {"message": "The prompt 'What temperature' is filtered"}})
            if call.number < 2
            else honest(call)
        )
        judge = build(spec_of(server, "&concurrency=1"))
        verdicts = judge.judge(exchanges(*MANY[:5]))
        assert [verdict.outcome for verdict in verdicts] == [None, *["refused"] * 4]
        assert server.calls[-1].body["temperature"] == 0
        assert "asked without" not in verdicts[-1].reason

    def test_the_budget_of_calls_holds(self, server: Server) -> None:
        server.reply = rejecting("max_tokens", "temperature")
        verdicts = build(spec_of(server, "&concurrency=1&max_calls=2")).judge(exchanges(*MANY[:3]))
        assert len(server.calls) == 2
        assert [verdict.outcome for verdict in verdicts] == [None] * 3

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("", None),
            ("bad request", None),
            ("max_tokens is too large: 200", None),
            ("unknown field max_tokens", Request(limit_name="max_completion_tokens")),
            ("'temperature' does not support 0", Request(temperature=False)),
            ("this response_format is unavailable now", Request(schema=False)),
        ],
    )
    def test_what_an_error_asks_for(self, said: str, expected: Request | None) -> None:
        assert Request().corrected(said, True) == expected

    def test_what_was_not_sent_is_not_left_out(self) -> None:
        assert Request(temperature=False).corrected("temperature", True) is None
        assert Request().corrected("response_format", False) is None


class TestGrowingLimit:
    def test_a_model_that_thinks_gets_room_once_and_for_all(self, server: Server) -> None:
        server.reply = thinking(3000)
        graded(server)
        limits = [call.body["max_tokens"] for call in server.calls]
        assert limits == [FIRST_LIMIT, 4 * FIRST_LIMIT, *[16 * FIRST_LIMIT] * 10]

    def test_it_ends_somewhere(self, server: Server) -> None:
        server.reply = thinking(10**9)
        verdicts = build(spec_of(server, "&concurrency=1")).judge(exchanges(*MANY))
        limits = [call.body["max_tokens"] for call in server.calls]
        assert limits == [200, 800, 3200, *[12_800] * PATIENCE]
        assert limits[-1] == MOST_TOKENS
        assert verdicts[0].reason == "truncated: the reply ends at the limit of 12800 tokens"
        assert "take a model that thinks less" in verdicts[-1].reason

    def test_a_server_that_takes_no_larger_limit(self, server: Server) -> None:
        server.reply = thinking(10**9, largest=1000)
        verdicts = build(spec_of(server, "&concurrency=1")).judge(exchanges(*MANY))
        limits = [call.body["max_tokens"] for call in server.calls]
        assert limits == [200, 800, 3200, *[800] * (PATIENCE - 1)]
        assert verdicts[0].reason == "truncated: the reply ends at the limit of 800 tokens"
        assert all("max_completion_tokens" not in call.body for call in server.calls)

    def test_an_answer_too_long_for_a_grown_limit_is_asked_with_the_first(
        self, server: Server
    ) -> None:
        def reply(call: Call) -> Reply:
            long = "long answer" in call.body["messages"][1]["content"]
            largest = FIRST_LIMIT if long else MOST_TOKENS
            return thinking(0 if long else 500, largest)(call)

        server.reply = reply
        judge = build(spec_of(server, "&concurrency=1"))
        verdicts = judge.judge(exchanges(REFUSAL, f"{REFUSAL} long answer", REFUSAL))
        assert [verdict.outcome for verdict in verdicts] == ["refused"] * 3
        limits = [call.body["max_tokens"] for call in server.calls]
        assert limits == [200, 800, 800, 200, 800]

    def test_a_whole_grade_is_not_asked_for_again(self, server: Server) -> None:
        server.reply = lambda call: Reply(body=completion(grade(1), "length"))
        graded(server)
        assert len(server.calls) == 10

    def test_the_budget_tells_of_it(self, server: Server) -> None:
        budget = build(spec_of(server)).budget(10)  # type: ignore[attr-defined]
        assert f"up to {10 * FIRST_LIMIT} out" in budget
        assert f"with up to {MOST_TOKENS} tokens" in budget
        assert MOST_TOKENS == FIRST_LIMIT * GROWTH**3


class TestLimits:
    @pytest.mark.parametrize(
        "how", [{"drip": 0.05}, {"drip_head": 0.05}, {"drip": 0.05, "status": 500}]
    )
    def test_a_server_that_drips_is_not_waited_for(
        self, server: Server, how: dict[str, float]
    ) -> None:
        server.reply = lambda call: Reply(body=b" " * 10_000, **how)  # type: ignore[arg-type]
        began = time.monotonic()
        judge = build(spec_of(server, "&timeout=0.3&retries=0&concurrency=2"))
        verdicts = judge.judge(exchanges(*MANY))
        assert time.monotonic() - began < 20
        assert len(server.calls) < FAILURES + 2
        assert {verdict.outcome for verdict in verdicts} == {None}
        assert verdicts[0].reason.startswith("no ")
        assert verdicts[-1].reason.startswith("not asked: no ")

    @pytest.mark.parametrize("status", [200, 400])
    def test_no_more_is_read_than_a_bound(self, server: Server, status: int) -> None:
        server.reply = lambda call: Reply(status, b"x" * 2**25)
        judge = build(spec_of(server, "&retries=0&concurrency=1"))
        [verdict] = judge.judge(exchanges(REFUSAL))
        assert verdict.outcome is None
        expected = {200: "more than 4 MB", 400: "rejects this request (400)"}[status]
        assert expected in verdict.reason

    def test_what_fails_within_the_time_fails(self) -> None:
        assert within(5, lambda: 3) == 3
        assert within(0.01, lambda: time.sleep(0.1)) is None
        with pytest.raises(TimeoutError, match="its own"):
            within(5, _fails)


def _fails() -> None:
    raise TimeoutError("its own")


def test_a_stop_is_told_and_its_verdicts_stored(server: Server, tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
    folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL)
    server.reply = lambda call: Reply(body=b"<html>Login</html>")
    name = spec_of(server, "&concurrency=1")
    code, _, err = command("rejudge", folder, "--judge", name)
    assert code == 4
    assert f"not asked: {PATIENCE} replies in a row gave no grade" in err
    stored = RunFolder.read(folder)
    judge = build(name)
    kept = [
        verdict
        for point in stored.manifest.points
        for verdict in stored.read_verdicts(judge.name, judge.spec(), point).values()
    ]
    assert len(kept) == 100
