"""A key that was typed into an address or a name reaches no terminal and no file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import safebasin.cli.entry
from safebasin.compare.junit import legal
from safebasin.run import RunFolder, sealed
from safebasin.run.provenance import hide, hide_json, redact_values
from safebasin.run.verify import verify
from support.run_samples import manifest

Command = Callable[..., tuple[int, str, str]]

KEY = "s3cret-Canary"
SHAPED = ("hf_CanaryCanaryCanary12", "sk-CanaryCanaryCanary12")
ADDRESSES = [
    f"https://user:{KEY}@host/v1",
    f"https://{KEY}@host/v1",
    f"https://user:{KEY}",
    f"https://host/v1?api_key={KEY}",
    f"https://host/v1?n=1&access_token={KEY}&m=2",
    f"https://host:8000/v1;X-Amz-Signature={KEY}#end",
    f"rubric:strongreject@model?api_key={KEY}&timeout=3",
    f"wss://u:{KEY}@host",
    *SHAPED,
]


@pytest.mark.parametrize("text", ADDRESSES)
def test_it_is_hidden_in_every_text(text: str) -> None:
    for shown in (hide(text, {}), hide(f"There is no '{text}', or so.", {}), redact_values(text)):
        assert "anary" not in shown
        assert "[redacted]" in shown
    assert hide("x secret-value y", {"MY_TOKEN": "secret-value"}) == "x [redacted] y"
    assert "anary" not in json.dumps(hide_json({"a": [text], text: 1}, {}))


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8000/v1", "http://127.0.0.1:80", "http://localhost:8000/v1?n=1&max_tokens=5",
        "rubric:strongreject@gpt-4o?key_env=OPENAI_API_KEY&timeout=3", "PASS: 3 of 4, token: 5",
        "https://huggingface.co/org/model", "meta-llama/Llama-3.2-1B@9213176", "a: b://c", "",
        "/home/me/models/one", "--max-new-tokens=128",
    ],
)  # fmt: skip
def test_everything_else_is_left_alone(text: str) -> None:
    assert hide(text, {"HOME": "/home/me"}) == text


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "{}"],
        ["scan", "testbed:aligned", "--prompts", "{}"],
        ["scan", "testbed:aligned", "--template", "{}"],
        ["scan", "testbed:aligned", "--judge", "{}"],
        ["scan", "testbed:aligned", "--judge", "rubric:strongreject@model?base_url={}"],
        ["scan", "testbed:aligned", "--capability", "{}"],
        ["scan", "testbed:aligned", "--steps", "{}"],
        ["scan", "testbed:aligned", "--{}"],
        ["compare", "testbed:aligned", "{}"],
        ["show", "{}"],
        ["{}"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("typed", [ADDRESSES[0], ADDRESSES[4], SHAPED[0], SHAPED[1]])
def test_no_error_tells_it(command: Command, arguments: list[str], typed: str) -> None:
    for more in ([], ["--json"]):
        code, out, err = command(*[part.format(typed) for part in arguments], *more)
        assert code != 0
        assert "anary" not in out + err


def test_no_file_of_a_run_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["safebasin", "scan", *ADDRESSES])
    given = manifest(**{f"at {i}": address for i, address in enumerate(ADDRESSES)})
    with RunFolder.open(tmp_path / "run", given) as run:
        run.write_json("numbers.json", {"from": list(ADDRESSES)})
    sealed.write(tmp_path / "study.json", {"from": list(ADDRESSES), "n": 1})
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"anary" not in path.read_bytes(), path
    assert sealed.read(tmp_path / "study.json")["n"] == 1
    with RunFolder.open(tmp_path / "run", given) as run:  # it is the same run
        assert run.read_json("numbers.json")["from"][0] == "https://[redacted]@host/v1"
    assert verify(tmp_path / "run").problems == ()
    assert "anary" not in legal(" ".join(ADDRESSES))


def test_no_traceback_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(f"no answer from {ADDRESSES[0]} with {SHAPED[1]}")
    except ValueError as error:
        safebasin.cli.entry._without_secrets(type(error), error, error.__traceback__)
    err = capsys.readouterr().err
    assert "anary" not in err
    assert "ValueError: no answer from https://[redacted]@host/v1" in err
