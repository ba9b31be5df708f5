"""No secret, host name or user name reaches a run folder."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from safebasin.errors import RunMismatch
from safebasin.exchange import Verdict
from safebasin.run import RunFolder
from safebasin.run.provenance import (
    git_state,
    redact,
    redact_command,
    redact_json,
    redact_values,
    session,
    versions,
)
from safebasin.run.verify import verify
from support.run_samples import FAR, contents, exchange, manifest

CANARIES = {
    "HF_TOKEN": "hf-canary-1-of-the-test",
    "OPENAI_API_KEY": "canary-2-openai-$&\\1",
    "AWS_SECRET_ACCESS_KEY": "canary-3+aws/secret",
    "MY_JUDGE_PASSWORD": "canary-4-password",
}


@pytest.fixture(autouse=True)
def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", "/home/canary-user")
    for name in ("USER", "LOGNAME"):
        monkeypatch.setenv(name, "canary-user")
    monkeypatch.setattr(platform, "node", lambda: "canary-host")


def test_no_file_of_a_run_holds_a_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = CANARIES["OPENAI_API_KEY"]
    command = ["/home/canary-user/bin/safebasin", "scan", "/home/canary-user/model"]
    command += [f"--judge=https://me:canary-9@example.org/v1?api_key={secret}"]
    command += ["--api-key", "canary-8", *CANARIES.values()]
    monkeypatch.setattr(sys, "argv", command)
    changed = manifest(
        endpoint=f"https://user:canary-7@example.org/{CANARIES['HF_TOKEN']}",
        path="/home/canary-user/models/pico",
    )
    spec = {"base_url": "https://user:canary-6@example.org", "header": f"Bearer {secret}"}
    body = f'401 {{"error": "bad key {secret} for https://a:canary-5@example.org"}}'
    for _ in range(2):
        with RunFolder.open(tmp_path / "run", changed) as run:
            run.adopt_judge("endpoint", spec)
            if run.read_point(FAR) is None:
                run.write_point(FAR, [exchange("jbb-0")])
            run.write_verdicts("endpoint", spec, FAR, ["jbb-0"], [Verdict(None, body)])
            assert "canary" not in run.read_verdicts("endpoint", spec, FAR)["jbb-0"].reason
    with pytest.raises(RunMismatch) as caught:
        RunFolder.open(tmp_path / "run", manifest(endpoint=secret))
    assert "canary" not in str(caught.value)
    files = contents(tmp_path, "**/*")
    assert len(files) == 6
    assert [name for name, data in files.items() if b"canary" in data] == []
    recorded = RunFolder.read(tmp_path / "run").manifest
    assert recorded.identity["path"] == "~/models/pico"
    assert recorded.sessions[0]["command"][:3] == ["safebasin", "scan", "~/model"]
    assert verify(tmp_path / "run").problems == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://u:p@host/x", "https://[redacted]@host/x"),
        ("git+ssh://tok@host", "git+ssh://[redacted]@host"),
        ("https://u:p@ss@host/x", "https://[redacted]@host/x"),
        ("https://host/u@v", "https://host/u@v"),
        ("?token=abc&n=1", "?token=[redacted]&n=1"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("x hf_AbCdEfGhIjKlMnOpQr y", "x [redacted] y"),
        ("sk-proj-abcdefghijklmnop", "[redacted]"),
        ("--max-new-tokens=128", "--max-new-tokens=128"),
        ("jbb:100", "jbb:100"),
        ("meta-llama/Llama-3.2-1B@9213176", "meta-llama/Llama-3.2-1B@9213176"),
    ],
)
def test_redaction_takes_the_secret_and_leaves_the_rest(text: str, expected: str) -> None:
    assert redact(text, {}) == expected


def test_a_flag_that_names_a_secret_hides_its_value() -> None:
    command = ["safebasin", "eval", "--api-key", "abc", "--token", "def", "--seeds", "3"]
    expected = [*command[:3], "[redacted]", "--token", "[redacted]", "--seeds", "3"]
    assert redact_command(command, {}) == expected


def test_settings_that_differ_stay_different() -> None:
    texts = ["password=a", "password=b", "Bearer a", "Bearer b", "/home/canary-user2/x"]
    assert [redact_values(text) for text in texts] == texts
    assert redact_values("/home/canary-user") == "~"
    assert redact_values("true none 1234567", {"HF_TOKEN": "true", "KEY": "1234567"}) == (
        "true none 1234567"
    )
    assert redact_values("ab-longer-secret", {"A_KEY": "longer-s", "B_KEY": "longer-secret"}) == (
        "ab-[redacted]"
    )
    assert redact_json({"a": (1, "https://u:p@h"), "b": None}, {}) == {
        "a": [1, "https://[redacted]@h"],
        "b": None,
    }


def test_a_session_names_versions_and_no_machine() -> None:
    facts = session(["safebasin", "scan"])
    assert set(facts) == {"started", "command", "versions", "platform", "git"}
    assert facts["versions"] == versions()
    assert facts["versions"]["python"] == platform.python_version()
    assert {"numpy", "torch", "transformers"} <= set(facts["versions"])
    assert set(facts["platform"]) == {"system", "machine"}
    assert "canary" not in str(facts)


def test_the_state_of_the_source_is_its_commit_and_whether_it_is_changed(
    tmp_path: Path,
) -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    assert git_state(tmp_path) is None
    assert git_state(tmp_path / "absent") is None

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    git("remote", "add", "origin", "https://me:canary-9@example.org/x.git")
    assert git_state(tmp_path) is None
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "one")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "untracked").write_text("1")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": True}


def test_the_program_of_a_command_is_named_as_it_is_called() -> None:
    for program in ("/usr/bin/safebasin", "/lib/python3/site-packages/safebasin/__main__.py"):
        assert redact_command([program, "scan"]) == ["safebasin", "scan"]
