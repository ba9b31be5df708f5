"""With `--json`, what goes wrong is one JSON object on standard output, too."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import safebasin.errors
from safebasin.cli import main
from safebasin.errors import SafebasinError

Command = Callable[..., tuple[int, str, str]]

COMMANDS = [
    "card", "certify", "compare", "conditions", "evaluate", "export", "figure", "finetune",
    "judges agree", "judges calibrate", "list", "rejudge", "report", "scan", "show",
    "testbed train", "trajectory", "verify", "watch", "worst-case",
]  # fmt: skip


def error_in(out: str) -> dict[str, Any]:
    value = json.loads(out)
    assert set(value) == {"error"}
    assert set(value["error"]) == {"kind", "message", "remedy", "exit_code"}
    found: dict[str, Any] = value["error"]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_of_any_command_is_an_error_object(name: str, command: Command) -> None:
    code, out, err = command(*name.split(), "--nonesuch", "--json")
    found = error_in(out)
    assert found["exit_code"] == code == 2
    assert found["kind"] == "usage"
    assert "--nonesuch" in found["message"] or "--json" in found["message"]
    assert found["remedy"].endswith(f" {name} --help`.")
    assert found["message"] in err


@pytest.mark.parametrize(
    ("arguments", "kind", "complaint", "remedy"),
    [
        (["compare", "testbed:aligned"], "usage", "tuned", "compare --help"),
        (["nonesuch"], "usage", "nonesuch", "--help"),
        (["scan", "--steps", "many"], "usage", "--steps", "scan --help"),
        (["scan", "--steps"], "usage", "--steps", "scan --help"),
        (["scan", "--steps", "3"], "usage", "steps is 3", "--steps 20"),
        (["scan", "--prompts", "absent.csv"], "prompts", "absent.csv", "testbed:harmful"),
        (["scan", "--template", "absent.jinja"], "template", "absent.jinja", "raw"),
        (["compare", "testbed:aligned", "absent"], "model", "absent", ""),
        (["show", "absent"], "run", "absent", "safebasin scan"),
        (["verify", "absent"], "run", "absent", "safebasin scan"),
        (["rejudge", "absent", "--judge", "refusal"], "run", "absent", "safebasin scan"),
    ],
)
def test_a_mistake_is_an_object_and_the_sentence_stays_on_standard_error(
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    kind: str,
    complaint: str,
    remedy: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, plain, sentence = command(*arguments)
    assert plain == ""
    again, out, err = command(*arguments, "--json")
    found = error_in(out)
    assert (again, found["exit_code"]) == (code, code)
    assert found["kind"] == kind
    assert complaint in found["message"]
    assert remedy in found["remedy"]
    if "'--steps'" not in sentence:  # without a value, --json is taken for it
        assert err == sentence
    assert "Traceback" not in err


def test_the_value_of_no_option_asks_for_json(command: Command) -> None:
    code, out, err = command("show", "--", "--json")
    assert (code, out) == (1, "")
    assert "--json" in err


def test_an_error_of_many_lines_is_one_message(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise safebasin.errors.RunMismatch("It differs:\n  a: 1, now \x1b[2J2", "Go on.", ["a"])

    monkeypatch.setattr("safebasin.evidence.verification.verify", fails)
    code, out, err = command("verify", "somewhere", "--json")
    found = error_in(out)
    assert "\x1b" not in out + err
    assert found == {
        "kind": "run-mismatch",
        "message": "It differs:\n  a: 1, now \x1b[2J2",
        "remedy": "Go on.",
        "exit_code": code,
    }


def test_a_fault_of_the_program_is_an_object_before_its_traceback(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("safebasin.evidence.verification.verify", fails)
    monkeypatch.setattr(sys, "argv", ["safebasin", "verify", "somewhere", "--json"])
    with pytest.raises(ZeroDivisionError):
        main()
    found = error_in(capsys.readouterr().out)
    assert found["kind"] == "internal"
    assert found["message"] == "ZeroDivisionError: by nothing"
    assert found["exit_code"] == 1


@pytest.mark.parametrize("asked", [True, False])
def test_an_interruption_is_an_object_that_says_how_to_go_on(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: bool
) -> None:
    def stopped(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("safebasin.cli.views.scan.scan_or_shard", stopped)
    options = ["--seeds", "1", "--steps", "2", "--limit", "2", "--device", "cpu"]
    code, out, err = command(
        "scan", *options, "--out", tmp_path / "run", *(["--json"] if asked else [])
    )
    assert code == 130
    assert f"interrupted: every finished point is safe in {tmp_path / 'run'}" in err
    assert "  resume: safebasin scan --seeds 1" in err
    if not asked:
        assert out == ""
        return
    found = error_in(out)
    assert found["kind"] == "interrupted"
    assert found["exit_code"] == 130
    assert found["remedy"].startswith("safebasin scan --seeds 1")


def test_ctrl_c_before_anything_is_measured_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("safebasin.evidence.verification.verify", stopped)
    code, out, err = command("verify", "somewhere", "--json")
    assert (code, err) == (130, "interrupted\n")
    assert error_in(out)["kind"] == "interrupted"


def test_every_kind_of_error_has_a_name_of_its_own() -> None:
    kinds = {
        one: one.kind
        for one in vars(safebasin.errors).values()
        if isinstance(one, type) and issubclass(one, SafebasinError)
    }
    assert len(set(kinds.values())) == len(kinds)
