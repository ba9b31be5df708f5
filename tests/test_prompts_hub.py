"""Prompt sets from a hub: the real client against a small hub on loopback that misbehaves."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from safebasin import hub as our_hub
from safebasin.errors import GatedError, PromptError
from safebasin.prompts import load
from safebasin.prompts.published import BY_NAME
from support.fake_hub import COMMIT, TOKEN, Hub, Repository, rows
from support.loopback import Reply, allow_loopback

CONNECT = socket.socket.connect
JBB = BY_NAME["jbb"]
HARMBENCH = replace(BY_NAME["harmbench"], revision="")  # as a set whose commit nobody has pinned
HARMFUL = rows(
    "Index,Goal,Target,Behavior,Category,Source",
    [f"{n},Do {n},Sure,A,Other,Original" for n in range(100)],
)
STANDARD = rows("prompt,category", [f"Do {n},chemical" for n in range(200)])
OLDER = rows("prompt,category", [f"Make {n},chemical" for n in range(200)])
NEXT = "b" * 40


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    allow_loopback(monkeypatch, CONNECT)
    monkeypatch.setitem(BY_NAME, "harmbench", HARMBENCH)
    hub = Hub(
        datasets={
            JBB.repository: Repository(
                {JBB.revision: {"data/harmful-behaviors.csv": HARMFUL, "README.md": b"about"}}
            ),
            HARMBENCH.repository: Repository(
                {COMMIT: {"harmbench.csv": OLDER},
                 NEXT: {"harmbench.csv": STANDARD}},
                gated=True, readers=("hf_reader",),
            ),
        }
    )  # fmt: skip
    with hub.running(monkeypatch, tmp_path / "cache"):
        yield hub


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")


class TestDownloads:
    def test_a_pinned_set_is_fetched_at_its_commit_once(self, hub: Hub) -> None:
        found = load("jbb")
        assert (len(found), found.revision) == (100, JBB.revision)
        assert found.sha256 == hashlib.sha256(HARMFUL).hexdigest()
        assert hub.asked("datasets")[0] == f"/api/datasets/{JBB.repository}/auth-check"
        resolved = hub.asked("/resolve/")
        assert resolved
        assert all(f"/resolve/{JBB.revision}/data/harmful" in path for path in resolved)
        hub.calls.clear()
        assert load("jbb").sha256 == found.sha256
        assert hub.asked("datasets") == []

    @pytest.mark.usefixtures("reader")
    def test_an_unpinned_set_is_resolved_to_a_commit_when_it_is_loaded(self, hub: Hub) -> None:
        found = load("harmbench")
        assert found.revision == NEXT
        assert found.prompts[0].text == "Do 0"
        assert {path.split("/resolve/")[1].split("/")[0] for path in hub.asked("/resolve/")} == {
            NEXT
        }

    @pytest.mark.usefixtures("reader")
    def test_a_branch_is_recorded_as_its_commit_and_asked_for_anew(self, hub: Hub) -> None:
        hub.datasets[HARMBENCH.repository].branches["v1"] = COMMIT
        assert load("harmbench@v1").revision == COMMIT
        hub.datasets[HARMBENCH.repository].branches["v1"] = NEXT
        assert load("harmbench@v1").revision == NEXT

    @pytest.mark.usefixtures("reader")
    def test_a_commit_that_is_kept_needs_no_hub(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = load("harmbench")
        hub.broken[""] = Reply(500, {})
        with pytest.raises(PromptError, match="cannot be reached") as caught:
            load("harmbench")
        assert f"harmbench@{NEXT}" in caught.value.hint
        assert load(f"harmbench@{NEXT}") == first

    def test_a_file_that_is_not_there_is_named(self, hub: Hub) -> None:
        hub.datasets[JBB.repository].commits[JBB.revision] = {"README.md": b"about"}
        with pytest.raises(PromptError, match="has no file named data/harmful-behaviors"):
            load("jbb")

    def test_a_revision_that_is_not_there_is_named(self, hub: Hub) -> None:
        with pytest.raises(PromptError, match="has no revision 'v9'"):
            load("jbb@v9")


class TestAccess:
    @pytest.mark.parametrize("token", [None, TOKEN])
    def test_a_gate_names_its_page_before_anything_is_fetched(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None
    ) -> None:
        if token is not None:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(GatedError) as caught:
            load("harmbench")
        assert "https://huggingface.co/datasets/walledai/HarmBench" in caught.value.hint
        assert hub.asked("datasets") == ["/api/datasets/walledai/HarmBench/auth-check"]

    def test_a_token_that_is_refused_is_not_shown(
        self, hub: Hub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_TOKEN", "hf_expired_canary")
        with pytest.raises(PromptError, match="refuses the token that is set here") as caught:
            load("jbb")
        assert "unset HF_TOKEN" in caught.value.hint
        assert "canary" not in str(caught.value) + caught.value.hint

    def test_a_set_that_is_not_there(self, hub: Hub) -> None:
        with pytest.raises(PromptError, match="has no data set 'walledai/StrongREJECT'") as caught:
            load("strongreject")
        assert "hf auth login" in caught.value.hint
        assert "strongreject=FILE" in caught.value.hint

    def test_rights_that_are_missing_are_one_sentence(self, hub: Hub) -> None:
        hub.broken["/auth-check"] = Reply(403, {}, {"X-Error-Message": "no such right"})
        one_sentence("no such right")


class TestBadDays:
    @pytest.mark.parametrize("status", [500, 503, 504])
    def test_a_hub_that_is_down(self, hub: Hub, status: int) -> None:
        hub.broken["/auth-check"] = Reply(status, {"error": "down"})
        one_sentence("cannot be reached")

    def test_a_hub_that_goes_down_later(self, hub: Hub) -> None:
        hub.broken["/resolve/"] = Reply(500, {"error": "down"})
        one_sentence("cannot be fetched")

    def test_a_silent_hub_does_not_hang(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(our_hub, "PATIENCE", 0.2)
        hub.broken[""] = Reply(200, {}, delay=1.0)
        one_sentence("cannot be reached")

    @pytest.mark.parametrize("piece", ["/auth-check", "/revision/"])
    def test_no_hub_at_all(self, hub: Hub, monkeypatch: pytest.MonkeyPatch, piece: str) -> None:
        hub.broken[piece] = Reply(200, b"<html>log in to the wifi</html>", cut=0)
        one_sentence("cannot be reached")

    def test_something_that_is_no_hub(self, hub: Hub) -> None:
        hub.broken["/revision/"] = Reply(200, b"<html>log in to the wifi</html>")
        one_sentence("cannot be reached")

    def test_nobody_listens(self, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
        one_sentence("cannot be reached")

    def test_a_download_that_breaks_off_is_not_taken_for_the_file(self, hub: Hub) -> None:
        hub.cut = "/resolve/"
        one_sentence("cannot be fetched")
        hub.cut = None
        assert len(load("jbb")) == 100


def one_sentence(text: str) -> None:
    with pytest.raises(PromptError, match=text) as caught:
        load("jbb")
    assert "\n" not in str(caught.value)
    assert "jbb=FILE" in caught.value.hint


class TestCommands:
    def test_a_run_keeps_its_commit(
        self,
        hub: Hub,
        reader: None,
        command,
        tmp_path: Path,  # type: ignore[no-untyped-def]
    ) -> None:
        arguments = ("scan", "--prompts", "harmbench", "--limit", 2, "--seeds", 1, "--steps", 2,
                     "--max-new-tokens", 4, "--out", tmp_path / "run")  # fmt: skip
        code, _, error = command(*arguments)
        assert code == 0, error
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
        recorded = manifest["identity"]["prompts"]
        assert recorded["revision"] == NEXT
        assert recorded["sha256"] == hashlib.sha256(STANDARD).hexdigest()
        hub.datasets[HARMBENCH.repository].commits["c" * 40] = {"harmbench.csv": OLDER}
        code, _, error = command(*arguments)
        assert code != 0
        assert "\n  prompts.revision: recorded" in error
        assert NEXT[:12] in error
        code, _, error = command(*[f"harmbench@{NEXT}" if a == "harmbench" else a
                                   for a in arguments])  # fmt: skip
        assert code == 0, error

    @pytest.mark.usefixtures("hub", "reader")
    def test_an_evaluation_records_the_commit(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        code, _, error = command(
            "evaluate", "--prompts", "harmbench", "--limit", 2, "--benign", "none", "--capability",
            "none", "--max-new-tokens", 2, "--out", tmp_path / "run",
        )  # fmt: skip
        assert code == 0, error
        manifest = json.loads((tmp_path / "run" / "harmful" / "manifest.json").read_text())
        assert manifest["identity"]["prompts"]["revision"] == NEXT

    def test_a_gate_costs_no_time(self, hub: Hub, command) -> None:  # type: ignore[no-untyped-def]
        code, out, error = command("scan", "org/absent", "--prompts", "harmbench")
        assert code != 0
        assert out == ""
        assert "https://huggingface.co/datasets/walledai/HarmBench" in error
        assert hub.asked("models") == []
