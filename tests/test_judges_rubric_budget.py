"""What asking an endpoint takes is shown before; what failed is told with counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from safebasin.cli import console
from safebasin.results import look, rejudge
from safebasin.scanning.preparation import prepare
from support import judged_runs, planted
from support.judged_runs import COMPLIANCE, REFUSAL
from support.loopback import Reply, Server
from support.rubric_endpoint import MISBEHAVIOUR, honest, loopback_with_key, spec_of

pytest.importorskip("openai")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    loopback_with_key(monkeypatch)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(honest).running() as running:
        yield running


@pytest.fixture
def asked_when_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """How many calls there had been at each line on standard error, and the line."""
    lines: list[tuple[int, str]] = []
    tell = console.tell

    def noting(text: str) -> None:
        lines.append((len(server.calls), text))
        tell(text)

    monkeypatch.setattr(console, "tell", noting)
    return lines


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = judged_runs.write(
        tmp_path / "run", lambda p, n: COMPLIANCE if p.distance > 0.15 else REFUSAL
    )
    rejudge(folder, ["llm-landscape"])
    return folder


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Six labelled answers, one of them empty."""
    answers = [(REFUSAL, "refusal")] * 3 + [(COMPLIANCE, "compliance")] * 2 + [(" ", "compliance")]
    path = tmp_path / "labelled.jsonl"
    rows = [
        {"prompt": f"ask {n}", "response": text, "label": label}
        for n, (text, label) in enumerate(answers)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


class TestCalibrate:
    def test_the_budget_comes_first(
        self,
        command: Command,
        server: Server,
        labelled: Path,
        asked_when_told: list[tuple[int, str]],
    ) -> None:
        code, _, err = command("judges", "calibrate", labelled, "--judge", spec_of(server))
        assert code == 4, err
        asked, line = asked_when_told[0]
        assert asked == 0
        assert line.startswith("rubric:strongreject@tiny: 5 calls to ")
        assert "tokens in" in line
        assert len(server.calls) == 5

    def test_the_answers_of_a_run_are_counted(
        self, command: Command, server: Server, labelled: Path, run: Path
    ) -> None:
        _, _, err = command(
            "judges", "calibrate", labelled, "--judge", spec_of(server), "--run", run
        )
        assert "rubric:strongreject@tiny: 25 calls to " in err
        assert len(server.calls) == 25

    def test_what_could_not_be_judged_is_told_with_reasons(
        self, command: Command, server: Server, labelled: Path
    ) -> None:
        server.reply = MISBEHAVIOUR["prose"][0]
        code, _, err = command("judges", "calibrate", labelled, "--judge", spec_of(server))
        assert code == 4
        assert "rubric:strongreject@tiny could not judge 100.0 % of the answers: malformed" in err
        assert "(5); empty (1)" in err
        _, out, _ = command("judges", "calibrate", labelled, "--judge", spec_of(server), "--json")
        reasons = json.loads(out)["judges"][0]["unjudged_for"]
        assert reasons["empty"] == 1
        assert sum(reasons.values()) == 6

    def test_a_judge_that_cannot_be_calibrated_is_found_before_anything_is_asked(
        self, command: Command, server: Server, labelled: Path
    ) -> None:
        for other in ("coherence", "nobody"):
            names = f"{spec_of(server)},{other}"
            code, _, err = command("judges", "calibrate", labelled, "--judge", names)
            assert code == 2
            assert other in err
        assert server.calls == []


class TestAgree:
    def test_the_budget_comes_first(
        self,
        command: Command,
        server: Server,
        run: Path,
        asked_when_told: list[tuple[int, str]],
    ) -> None:
        code, _, err = command("judges", "agree", run, "--judge", spec_of(server))
        assert code == 0, err
        asked, line = asked_when_told[0]
        assert asked == 0
        assert line.startswith("rubric:strongreject@tiny: 100 calls to ")

    def test_a_rubric_that_the_run_holds_is_one_judge_not_two(
        self, command: Command, server: Server, run: Path
    ) -> None:
        server.reply = MISBEHAVIOUR["prose"][0]
        command("judges", "agree", run, "--judge", spec_of(server))
        server.reply = honest
        code, out, err = command("judges", "agree", run, "--judge", spec_of(server), "--json")
        assert code == 0, err
        assert "100 calls" in err
        (pair,) = json.loads(out)["agreement"]
        assert pair["judges"] == ["llm-landscape", "rubric:strongreject@tiny"]
        assert pair["judged_by_both"] == 100


class TestScan:
    @pytest.mark.parametrize("way", ["--sequential", "--adaptive"])
    def test_the_budget_comes_first(
        self, command: Command, server: Server, tmp_path: Path, way: str
    ) -> None:
        config = planted.config(tmp_path, steps=4, judges=(spec_of(server),))
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps(config.to_json()), encoding="utf-8")
        code, _, err = command("scan", "--config", settings, way)
        assert code == 0, err
        wanted = len(prepare(config).points) * len(prepare(config).prompts)
        assert f"budget   rubric:strongreject@tiny: {wanted} calls to " in err
        assert "; fewer where" in err

    def test_what_was_answered_and_not_judged_is_counted(
        self, command: Command, server: Server, tmp_path: Path
    ) -> None:
        config = planted.config(tmp_path, steps=4, judges=(spec_of(server),))
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps(config.to_json()), encoding="utf-8")
        server.reply = lambda call: honest(call) if call.number % 3 == 0 else Reply(body=b"?")
        code, _, err = command("scan", "--config", settings)
        assert code == 4, err
        left = look(tmp_path / "run").summary.unjudged
        assert left > 0
        server.reply = honest
        _, _, err = command("scan", "--config", settings)
        assert f"budget   rubric:strongreject@tiny: {left} calls to " in err
        _, _, err = command("scan", "--config", settings)
        assert "budget   rubric:strongreject@tiny: 0 calls to " in err
