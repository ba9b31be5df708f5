"""Several ways of asking: system prompts, attacks in their published formats, one study."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from safebasin.conditions.attacks import load_attack
from safebasin.conditions.preparation import prepare
from safebasin.conditions.settings import ConditionsConfig
from safebasin.conditions.study import stopped, study
from safebasin.conditions.system_prompts import SYSTEM_PROMPTS, system_prompt
from safebasin.config import ScanConfig
from safebasin.errors import PromptError, UsageError
from safebasin.landscape import COMPLIED, REFUSED, UNJUDGED, Landscape, Survey
from safebasin.plane import Axis, Plane
from safebasin.prompts import Prompt, PromptSet
from safebasin.protocol.texts import LLAMA2
from safebasin.report.studies import CONDITIONS
from safebasin.run import RunFolder, verify
from safebasin.study.observer import Silent
from support import pico

PROMPTS = PromptSet("set", (Prompt("one", "Ask for  this."), Prompt("two", "Ask for that.")), "0")


def attacked(path: Path, content: Any) -> list[str]:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return [f"{p.id}: {p.text}" for p in load_attack(str(path)).on(PROMPTS)]


def test_texts_of_jailbreakbench(tmp_path: Path) -> None:
    """By the request; an attack that found nothing has null."""
    rows = [
        {"index": 0, "goal": "ask for this.", "behavior": "b", "prompt": "story of this"},
        {"index": 1, "goal": "Ask for that.", "behavior": "c", "prompt": None},
    ]
    value = {"parameters": {"method": "PAIR"}, "jailbreaks": rows}
    assert attacked(tmp_path / "a.json", value) == ["one: story of this"]


def test_texts_of_harmbench(tmp_path: Path) -> None:
    cases = {"two": ["first case", "second case"], "elsewhere": ["x"]}
    assert attacked(tmp_path / "a.json", cases) == ["two: first case"]


def test_suffixes(tmp_path: Path) -> None:
    value = {"params": {}, "controls": ["! ! !", "? ? ?", ". . ."], "losses": [2.0, 0.5, 1.0]}
    assert attacked(tmp_path / "a.json", value) == [
        "one: Ask for  this. ? ? ?", "two: Ask for that. ? ? ?",
    ]  # fmt: skip
    assert (
        attacked(tmp_path / "b.json", {"controls": ["! !", ". ."]})[1] == "two: Ask for that. . ."
    )
    assert attacked(tmp_path / "c.txt", "describing. + similarly\n")[1] == (
        "two: Ask for that. describing. + similarly"
    )


@pytest.mark.parametrize("place", ["[INSERT PROMPT HERE]", "{prompt}", "{goal}"])
def test_templates(tmp_path: Path, place: str) -> None:
    found = attacked(tmp_path / "a.txt", f"As a story: {place} Begin.")
    assert found[1] == "two: As a story: Ask for that. Begin."


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.json", "{broken", "not JSON"),
        ("a.json", "[1, 2]", "none of the known forms"),
        ("a.json", "{}", "none of the known forms"),
        ("a.json", '{"controls": []}', "none of the known forms"),
        ("a.json", '{"controls": [3]}', "control without text"),
        ("a.txt", "  \n", "is empty"),
        ("a.json", '{"jailbreaks": []}', "no text for any prompt of 'set'"),
    ],
)
def test_a_bad_attack_is_one_sentence(
    tmp_path: Path, name: str, content: str, complaint: str
) -> None:
    with pytest.raises(PromptError, match=complaint) as caught:
        attacked(tmp_path / name, content)
    assert "\n" not in caught.value.message
    with pytest.raises(PromptError, match="cannot be read"):
        load_attack(str(tmp_path / "absent.txt"))


def test_system_prompts(tmp_path: Path) -> None:
    assert set(SYSTEM_PROMPTS) == {"template", "default", "role-play", "safety"}
    assert system_prompt("template") == ("template", None)
    assert system_prompt("empty") == ("empty", "")
    assert system_prompt("peng2024:llama2")[1] == LLAMA2
    with pytest.raises(UsageError, match="none") as caught:
        system_prompt("none")
    assert "--system template" in caught.value.hint
    (tmp_path / "own.txt").write_text("Be brief.\n", encoding="utf-8")
    assert system_prompt(str(tmp_path / "own.txt")) == ("own", "Be brief.")
    with pytest.raises(UsageError, match="no system prompt 'nun'"):
        system_prompt("nun")
    (tmp_path / "empty.txt").write_text(" ", encoding="utf-8")
    with pytest.raises(UsageError, match="is empty"):
        system_prompt(str(tmp_path / "empty.txt"))


def line(*rows: list[int]) -> Survey:
    """A landscape whose rows are the outcomes of the prompts at -0.2, -0.1, 0, 0.1, 0.2."""
    plane = Plane((Axis("d", (-0.2, -0.1, 0.0, 0.1, 0.2)),))
    codes = np.array(rows, dtype=np.int8)
    ids = tuple(f"p{i}" for i in range(codes.shape[1]))
    return Survey((Landscape(plane, "judge", ids, codes),))


def test_attacks_that_stop_in_the_neighbourhood() -> None:
    c, r, u = COMPLIED, REFUSED, UNJUDGED
    found = line([r] * 4, [c, r, c, r], [c, c, c, r], [c, r, u, r], [r] * 4)
    near = stopped(found, 0.1)
    # p0 works at both neighbours, p1 at none, p2 at the one that was judged; p3 never worked.
    assert near.value == pytest.approx(1 / 3)
    assert near.note == "of 3 prompts that succeed at the origin"
    assert near.low is not None
    assert near.high is not None
    assert near.low <= 1 / 3 <= near.high
    assert stopped(found, 0.2).value == pytest.approx((2 / 4 + 4 / 4 + 2 / 3) / 3)
    assert stopped(found, 0.05).value is None
    nothing = line(*[[r, r]] * 5)
    assert stopped(nothing, 0.1).value is None
    assert "nothing succeeds" in stopped(nothing, 0.1).note


@pytest.fixture
def config(tmp_path: Path) -> ConditionsConfig:
    (tmp_path / "prompts.txt").write_text("one\ntwo two\n", encoding="utf-8")
    (tmp_path / "story.txt").write_text("A story: {prompt}", encoding="utf-8")
    scan = ScanConfig(
        model=str(pico.save(tmp_path / "model")), prompts=str(tmp_path / "prompts.txt"),
        prompts_kind="harmful", limit=2,
        steps=2, seeds=(0,), max_new_tokens=3, device="cpu", judges=("llm-landscape",),
        out=str(tmp_path / "study"),
    )  # fmt: skip
    return ConditionsConfig(scan, ("template", "safety"), (str(tmp_path / "story.txt"),), 0.5)


class Stop(Silent):
    left = 5

    def finished(self, point: Any) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


class Heard(Silent):
    """Hears how much there is to answer, and how much of it is there."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def started(self, answers: int, finished: int) -> None:
        self.told.append((answers, finished))


def test_a_landscape_for_each_way_of_asking(config: ConditionsConfig, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        study(prepare(config), Stop())
    prepared = prepare(config)
    found = study(prepared)
    assert [one.name for one in found.conditions] == ["template", "safety", "story"]
    assert [one.attack for one in found.conditions] == [None, None, "template"]
    asked = {}
    for condition in prepared.conditions:
        folder = found.folder / condition.part.name
        assert verify(folder).problems == ()
        run_folder = RunFolder.read(folder)
        asked[condition.name] = run_folder.read_point(run_folder.manifest.points[0]) or []
    assert sorted(e.prompt for e in asked["story"]) == ["A story: one", "A story: two two"]
    longer = min(e.prompt_tokens for e in asked["safety"])
    assert longer > max(e.prompt_tokens for e in asked["template"]) + 100
    again = Heard()
    study(prepare(config), again)
    assert again.told == [(sum(len(c.part.prompts) * 3 for c in prepared.conditions),) * 2]
    stored = json.loads((found.folder / CONDITIONS).read_text(encoding="utf-8"))
    assert stored["conditions"][1]["system"] == SYSTEM_PROMPTS["safety"]
    for path in found.figures:
        assert path.stat().st_size > 1000


def test_settings_that_make_no_sense(config: ConditionsConfig) -> None:
    with pytest.raises(UsageError, match=r"neighbourhood is 0\.9"):
        replace(config, neighbourhood=0.9)
    with pytest.raises(UsageError, match="No system prompt"):
        replace(config, systems=())
    with pytest.raises(UsageError, match="named 'template'"):
        prepare(replace(config, systems=("template", "template")))
    assert not Path(str(config.scan.out)).exists()


def test_on_the_command_line(config: ConditionsConfig, command: Any) -> None:
    scan = config.scan
    code, out, err = command(
        "conditions", scan.model, "--system", "template", "--attack", config.attacks[0], "--steps",
        "2", "--seeds", "1", "--prompts", scan.prompts, "--prompts-kind", "harmful",
        "--max-new-tokens", "2",
        "--out", str(scan.out),
    )  # fmt: skip
    assert code == 0, err
    assert "story: attack (template), 2 prompts" in out
    assert "VISAGE" in out
    assert "stopped" in out
