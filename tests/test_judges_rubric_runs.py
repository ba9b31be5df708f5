"""Runs judged by an endpoint that fails: nothing looks safe, nothing is lost, no key leaks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from safebasin.exchange import Exchange
from safebasin.judges import Judge, build
from safebasin.results import look, rejudge, review
from safebasin.run import RunFolder
from support import judged_runs
from support.judged_runs import COMPLIANCE, REFUSAL
from support.loopback import Call, Reply, Server
from support.rubric_endpoint import KEY, MISBEHAVIOUR, honest, loopback_with_key, spec_of

pytest.importorskip("openai")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    loopback_with_key(monkeypatch)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(honest).running() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """20 prompts at 5 points; the model refuses near the origin."""
    return judged_runs.write(
        tmp_path / "run", lambda p, n: COMPLIANCE if p.distance > 0.15 else REFUSAL
    )


class TestRuns:
    @pytest.mark.parametrize("how", ["401", "500", "prose", "timeout"])
    def test_an_outage_does_not_look_like_safety(  # type: ignore[no-untyped-def]
        self, server: Server, run: Path, command, how: str
    ) -> None:
        server.reply, why = MISBEHAVIOUR[how]
        name = spec_of(server, "&timeout=0.2&retries=0&concurrency=2")
        code, out, err = command("rejudge", run, "--judge", name)
        assert code == 4
        assert "rubric:strongreject@tiny could not judge 100.0 % of the answers: " in err
        assert why in err
        assert "ASR not defined" in out
        assert "ASR 0.0 %" not in out
        summary = look(run).summary
        assert summary.origin is not None
        assert (summary.origin.n, summary.origin.unjudged) == (0, 20)
        assert summary.origin.asr.value is None
        assert summary.visage.value is None
        assert (summary.judged, summary.unjudged) == (0, 100)

    def test_what_was_not_judged_is_asked_the_next_time_and_nothing_twice(
        self, server: Server, run: Path
    ) -> None:
        def half(call: Call) -> Reply:
            answer = json.loads(call.body["messages"][1]["content"].split("\n")[0].split(" ", 1)[1])
            return honest(call) if int(answer.removeprefix("ask p")) % 2 else Reply(body=b"?")

        server.reply = half
        first = rejudge(run, [spec_of(server)])
        assert (first.summary.judged, first.summary.unjudged) == (50, 50)
        asked = len(server.calls)
        assert asked == 100
        server.reply = honest
        second = rejudge(run, [spec_of(server)])
        assert (second.summary.judged, second.summary.unjudged) == (100, 0)
        assert len(server.calls) == asked + 50
        assert second.summary.origin is not None
        assert second.summary.origin.asr.value == 0
        rejudge(run, [spec_of(server)])
        assert len(server.calls) == asked + 50

    def test_looking_at_a_run_calls_nobody(self, server: Server, run: Path) -> None:
        server.reply = MISBEHAVIOUR["prose"][0]
        rejudge(run, [spec_of(server)])
        calls = len(server.calls)
        assert review(run).summary.unjudged == 100
        assert look(run).summary.unjudged == 100
        assert len(server.calls) == calls

    def test_the_key_is_in_no_file_and_on_no_stream(  # type: ignore[no-untyped-def]
        self, server: Server, run: Path, command
    ) -> None:
        server.reply = lambda call: (
            honest(call) if call.number > 3 else Reply(418, {"error": f"key {KEY}"})
        )
        code, out, err = command("rejudge", run, "--judge", spec_of(server, "&retries=0"))
        assert code in (0, 4)
        assert KEY not in out + err
        assert "100 calls" in err
        assert "tokens in" in err
        for file in run.rglob("*"):
            if file.is_file():
                assert KEY.encode() not in file.read_bytes(), file

    def test_a_budget_counts_only_what_is_left(self, server: Server, run: Path, command) -> None:  # type: ignore[no-untyped-def]
        command("rejudge", run, "--judge", spec_of(server))
        _, _, err = command("rejudge", run, "--judge", spec_of(server))
        assert ": 0 calls" in err

    def test_verdicts_are_stored_in_small_parts(self, server: Server, tmp_path: Path) -> None:
        folder = judged_runs.write(tmp_path / "big", lambda p, n: REFUSAL, prompts=80)
        stop_at = 40

        def interrupted(call: Call) -> Reply:
            return honest(call)

        server.reply = interrupted
        judge = build(spec_of(server, "&concurrency=1"))
        ask = type(judge).judge
        seen: list[int] = []

        def watching(self: Judge, part: list[Exchange]) -> object:
            if sum(seen) >= stop_at:
                raise KeyboardInterrupt
            seen.append(len(part))
            return ask(self, part)  # type: ignore[arg-type]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(judge), "judge", watching)
            with pytest.raises(KeyboardInterrupt):
                rejudge(folder, [spec_of(server, "&concurrency=1")])
        assert seen == [32, 32]
        stored = RunFolder.read(folder)
        kept = sum(
            len(stored.read_verdicts(judge.name, judge.spec(), point))
            for point in stored.manifest.points
        )
        assert kept == 64
