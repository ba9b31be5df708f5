"""Published sets by name: local copies, the hub's cache, gates, and what a wrong file meets."""

from __future__ import annotations

import csv
import hashlib
import re
import socket
from pathlib import Path

import pytest

from safebasin.errors import GatedError, PromptError
from safebasin.prompts import PUBLISHED, Published, load
from safebasin.prompts.formats import KNOWN_FORMATS
from safebasin.prompts.published import BY_NAME, requested
from support.loopback import Call, Reply, Server, allow_loopback

REAL = Path(__file__).parents[2] / "shared" / "data" / "prompts"
CONNECT = socket.socket.connect


def real(name: str) -> Path:
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"the published file {name} is not on this machine")
    return path


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_loopback(monkeypatch, CONNECT)


class TestRealFiles:
    """The files as published, given as local copies."""

    def test_advbench(self) -> None:
        path = real("advbench.csv")
        found = load(f"advbench={path}")
        assert (found.name, len(found), found.licence) == ("advbench", 520, "MIT")
        assert {p.kind for p in found} == {"harmful"}
        assert [p.id.rsplit("-", 1)[0] for p in found] == [
            f"advbench-{n:04d}" for n in range(1, 521)
        ]
        with path.open(encoding="utf-8", newline="") as file:
            goals = [row["goal"].strip() for row in csv.DictReader(file)]
        assert [p.text for p in found] == goals
        assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()

    def test_xstest(self) -> None:
        found = load(f"xstest={real('xstest_v2_prompts.csv')}")
        assert found.ids == tuple(f"v2-{n}" for n in range(1, 451))
        categories = {p.category for p in found}
        assert len(categories) == 18
        for category in categories:
            size = sum(p.category == category for p in found)
            assert size == 25, category
        assert sum(p.kind == "harmful" for p in found) == 200
        assert all(p.category.startswith("contrast_") == (p.kind == "harmful") for p in found)

    def test_xstest_safe_is_its_benign_half(self) -> None:
        path = real("xstest_v2_prompts.csv")
        found = load(f"xstest-safe={path}")
        assert found.ids == tuple(p.id for p in load(f"xstest={path}") if p.kind == "benign")
        assert len(found) == 250

    def test_oktest(self) -> None:
        found = load(f"oktest={real('oktest.csv')}")
        assert [p.id.rsplit("-", 1)[0] for p in found] == [f"oktest-{n:04d}" for n in range(1, 301)]
        assert {p.kind for p in found} == {"benign"}
        assert all(p.text == p.text.strip() for p in found)

    def test_a_folder_of_copies(self) -> None:
        real("xstest_v2_prompts.csv")
        assert len(load(f"xstest={REAL}")) == 450

    def test_one_sets_file_is_not_anothers(self) -> None:
        with pytest.raises(PromptError, match="not a file of 'jbb'") as caught:
            load(f"jbb={real('advbench.csv')}")
        assert "goal, target, behavior, category" in caught.value.hint

    def test_a_part_does_not_pass_for_the_whole(self, tmp_path: Path) -> None:
        lines = real("advbench.csv").read_text(encoding="utf-8").splitlines()[:81]
        (tmp_path / "part.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with pytest.raises(PromptError, match="80 prompts of 'advbench'; as published there are"):
            load(f"advbench={tmp_path / 'part.csv'}")
        assert len(load(tmp_path / "part.csv")) == 80


class TestPinnedFiles:
    @pytest.mark.parametrize(
        ("name", "file"),
        [("advbench", "advbench.csv"), ("xstest", "xstest_v2_prompts.csv"),
         ("xstest-safe", "xstest_v2_prompts.csv"), ("oktest", "oktest.csv")],
    )  # fmt: skip
    def test_a_file_that_was_changed_does_not_pass_for_the_published_one(
        self, tmp_path: Path, name: str, file: str
    ) -> None:
        data = real(file).read_bytes()
        copy = tmp_path / file
        copy.write_bytes(data.replace(b"How ", b"Why ", 1).replace(b"a ", b"an ", 1))
        with pytest.raises(PromptError, match="as published: its SHA-256 is") as caught:
            load(f"{name}={copy}")
        assert BY_NAME[name].page in caught.value.hint
        assert len(load(copy)) in (300, 450, 520)

    def test_line_ends_do_not_count(self, tmp_path: Path) -> None:
        copy = tmp_path / "windows.csv"
        copy.write_bytes(real("advbench.csv").read_bytes().replace(b"\n", b"\r\n"))
        found = load(f"advbench={copy}")
        assert len(found) == 520
        assert found.sha256 == hashlib.sha256(copy.read_bytes()).hexdigest()


def table(path: Path, header: str, rows: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*([header] if header else []), *rows]) + "\n", encoding="utf-8")
    return path


class TestOtherLayouts:
    def test_harmbench_keeps_the_standard_behaviours(self, tmp_path: Path) -> None:
        header = "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID"
        rows = [f"Do {n},standard,chemical,,,b{n}" for n in range(200)]
        rows += [f"Do {n},contextual,chemical,,text,c{n}" for n in range(100)]
        rows += [f"Sing {n},copyright,copyright,,,s{n}" for n in range(100)]
        found = load(f"harmbench={table(tmp_path / 'h.csv', header, rows)}")
        assert found.ids == tuple(f"b{n}" for n in range(200))

    def test_sorry_bench_keeps_the_base_style(self, tmp_path: Path) -> None:
        header = "question_id,category,turns,prompt_style"
        rows = [f"{n},1,\"['no JSON']\",slang" for n in range(1, 441)]
        rows += [f'{n},{(n + 9) // 10},"[""Do {n}""]",base' for n in range(1, 441)]
        found = load(f"sorry-bench={table(tmp_path / 's.csv', header, rows)}")
        assert found.ids == tuple(map(str, range(1, 441)))
        assert found.prompts[439].category == "44"

    def test_hex_phi_is_ten_files_without_a_header(self, tmp_path: Path) -> None:
        for n in (1, *range(3, 12)):
            rows = [f'"Do {n}, then {k}"' for k in range(30)]
            table(tmp_path / f"category_{n}.csv", "", rows)
        found = load(f"hex-phi={tmp_path}")
        assert len(found) == 300
        assert {p.category for p in found} == {f"category_{n}" for n in (1, *range(3, 12))}
        (tmp_path / "category_1.csv").write_text("a,b\n", encoding="utf-8")
        with pytest.raises(PromptError, match=r"category_1.csv', record 1: 2 cells"):
            load(f"hex-phi={tmp_path}")

    def test_wildguardtest_goes_by_its_label_and_leaves_out_the_unlabelled(
        self, tmp_path: Path
    ) -> None:
        header = "prompt,response,adversarial,prompt_harm_label,response_refusal_label,subcategory"
        rows = [f"Do {n},x,False,harmful,refusal,a" for n in range(700)]
        rows += [f"Ask {n},x,False,unharmful,compliance,b" for n in range(999)]
        rows += [f"What {n},x,False,,,c" for n in range(26)]
        found = load(f"wildguardtest={table(tmp_path / 'w.csv', header, rows)}")
        assert (len(found), found.skipped) == (1699, 26)
        assert sum(p.kind == "harmful" for p in found) == 700


def cache(tmp_path: Path, published: Published, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A snapshot folder in a hub cache of our own, at the pinned commit."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    name = f"datasets--{published.repository.replace('/', '--')}"
    folder = tmp_path / name / "snapshots" / published.revision
    folder.mkdir(parents=True)
    return folder


class TestHub:
    def test_a_cached_set_needs_no_network_and_carries_its_commit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = cache(tmp_path, BY_NAME["jbb"], monkeypatch)
        header = "Index,Goal,Target,Behavior,Category,Source"
        rows = [f"{n},Do {n},Sure,A,Other,Original" for n in range(100)]
        table(folder / "data" / "harmful-behaviors.csv", header, rows)
        table(folder / "data" / "benign-behaviors.csv", header, rows)
        found = load("jbb")
        assert (len(found), found.revision) == (100, BY_NAME["jbb"].revision)
        assert found.source == "JailbreakBench/JBB-Behaviors"
        assert {p.kind for p in load("jbb-benign")} == {"benign"}

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        with Server(lambda call: Reply(404)).running() as server:
            monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
            yield server

    @pytest.mark.parametrize("name", ["harmbench", "hex-phi", "jbb"])
    def test_a_gate_is_checked_first_and_names_the_page(self, hub: Server, name: str) -> None:
        def gated(call: Call) -> Reply:
            return Reply(403, {"error": "restricted"}, {"X-Error-Code": "GatedRepo"})

        hub.reply = gated
        with pytest.raises(GatedError) as caught:
            load(name)
        repository = BY_NAME[name].repository
        assert f"https://huggingface.co/datasets/{repository}" in caught.value.hint
        assert "hf auth login" in caught.value.hint
        asked = [call.path for call in hub.calls if "/datasets/" in call.path]
        assert asked == [f"/api/datasets/{repository}/auth-check"]

    def test_a_set_that_is_gone_offers_the_local_copy(self, hub: Server) -> None:
        hub.reply = lambda call: Reply(404, {"error": "x"}, {"X-Error-Code": "RepoNotFound"})
        with pytest.raises(PromptError, match="no data set 'walledai/AdvBench'") as caught:
            load("advbench")
        assert "advbench=FILE" in caught.value.hint

    def test_a_silent_hub_is_one_sentence(
        self, hub: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
        with pytest.raises(PromptError, match="cannot be fetched") as caught:
            load("strongreject")
        assert "strongreject=FILE" in caught.value.hint

    def test_a_gate_stops_a_scan_before_the_model_is_looked_at(
        self, hub: Server, tmp_path: Path
    ) -> None:
        from safebasin import ScanConfig, prepare

        hub.reply = lambda call: Reply(403, {}, {"X-Error-Code": "GatedRepo"})
        with pytest.raises(GatedError):
            prepare(ScanConfig(model=str(tmp_path / "absent"), prompts="harmbench"))

    def test_a_set_that_is_not_on_the_hub_says_where_it_is(self) -> None:
        with pytest.raises(PromptError, match="not on the hub") as caught:
            load("oktest")
        assert "zouyingcao/SCANS" in caught.value.hint


class TestNames:
    def test_the_three_forms(self) -> None:
        by_name, by_revision, by_path = map(requested, ("jbb", "jbb@abc", "jbb=a=b.csv"))
        assert by_name is not None
        assert by_name.published is BY_NAME["jbb"]
        assert by_revision is not None
        assert (by_revision.revision, by_revision.path) == ("abc", "")
        assert by_path is not None
        assert (by_path.revision, by_path.path) == ("", "a=b.csv")
        assert requested("folder/jbb=x.csv") is None
        assert requested("some.csv") is None

    @pytest.mark.parametrize("spec", ["advbnch=x.csv", "advbnch", "xstets@main"])
    def test_a_near_miss_is_recognised(self, spec: str) -> None:
        with pytest.raises(PromptError, match=r"advbench|xstest"):
            load(spec)

    @pytest.mark.parametrize("spec", ["jbb=", "jbb@"])
    def test_an_empty_rest(self, spec: str) -> None:
        with pytest.raises(PromptError, match="names no"):
            load(spec)

    def test_a_column_of_a_known_set_is_refused(self) -> None:
        with pytest.raises(PromptError, match="column of 'jbb' is known"):
            load("jbb", column="goal")

    def test_a_missing_copy_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(PromptError, match=r"absent\.csv"):
            load(f"jbb={tmp_path / 'absent.csv'}")
        with pytest.raises(PromptError, match="has no file named"):
            load(f"jbb={tmp_path}")


def test_the_table_is_sound() -> None:
    known = {layout.name for layout in KNOWN_FORMATS}
    for one in PUBLISHED:
        assert one.twin == "" or BY_NAME[one.twin].layouts[0].kind in ("benign", "contrast")
        assert one.repository or one.page.startswith("https://github.com/"), one.name
        assert re.fullmatch("[0-9a-f]{40}" if one.repository else "", one.revision), one.name
        assert all(layout.name in known or layout.name.startswith(one.name[:6])
                   for layout in one.layouts)  # fmt: skip
        assert str(one.rows) in one.text()
