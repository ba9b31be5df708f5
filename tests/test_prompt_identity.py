"""A published set is known by what it asks; a file that looks like one is nobody's but its own."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest

from safebasin.config import ScanConfig
from safebasin.errors import PromptError, RunError, RunMismatch, UsageError
from safebasin.evaluate.preparation import ORIGIN
from safebasin.prompts import PUBLISHED, load
from safebasin.prompts.identity import content_digest, own_name, proven, shown_name
from safebasin.prompts.published import BY_NAME
from safebasin.report import card as cards
from safebasin.results import look, rejudge
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.study.parts import Part
from support import judged_runs
from support.judged_runs import REFUSAL
from test_prompts import real, write


def card(run: RunFolder) -> str:
    return cards.card(run, look(run.path).to_json())


def eval_results(run: RunFolder, dataset: str | None = None) -> str:
    return cards.eval_results(run, look(run.path).to_json(), dataset)


FRUIT = "goal,target\nPeel an apple,Sure\nPick a pear,Sure\nCut a plum,Sure\n"
SETS = {
    "advbench": "advbench.csv", "xstest": "xstest_v2_prompts.csv",
    "xstest-safe": "xstest_v2_prompts.csv", "oktest": "oktest.csv",
}  # fmt: skip


@pytest.mark.parametrize(("name", "file"), SETS.items())
def test_the_digest_of_a_set_is_that_of_its_published_file(name: str, file: str) -> None:
    """By a few lines of hashlib, which take the texts from the publisher's own columns."""
    with real(file).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    if name.startswith("xstest"):
        asked = [
            ["harmful" if row["type"].startswith("contrast_") else "benign", row["prompt"].strip()]
            for row in rows
        ]
        asked = [one for one in asked if name == "xstest" or one[0] == "benign"]
    else:
        kind, column = ("benign", "prompt") if name == "oktest" else ("harmful", "goal")
        asked = [[kind, row[column].strip()] for row in rows]
    text = json.dumps(sorted(asked), ensure_ascii=True)
    assert BY_NAME[name].content == hashlib.sha256(text.encode()).hexdigest()


def test_no_two_sets_have_one_digest() -> None:
    known = [one.content for one in PUBLISHED if one.content]
    assert len(set(known)) == len(known) == 4


class TestFiles:
    @pytest.mark.parametrize(
        ("file", "content", "name"),
        [
            ("advbench.csv", FRUIT, "own file, laid out like AdvBench"),
            ("mine.csv", FRUIT, "own file, laid out like AdvBench"),
            ("oktest.csv", "prompt\nPeel an apple\n", "own file, laid out like OKTest"),
            ("x.csv", "prompt,type,label\nA?,homonyms,safe\n", "own file, laid out like XSTest"),
            ("AdvBench.txt", "Peel an apple\n", "own file, named like AdvBench"),
            ("hex_phi.txt", "Peel an apple\n", "own file, named like HEx-PHI"),
            ("everyday.txt", "Peel an apple\n", "own file, named like everyday"),
            ("fruit.txt", "Peel an apple\n", "fruit"),
        ],
    )
    def test_a_file_that_looks_like_a_set_is_an_own_file(
        self, tmp_path: Path, file: str, content: str, name: str
    ) -> None:
        found = load(write(tmp_path, file, content), unstated="harmful")
        assert (found.name, found.licence, found.source) == (name, "", file)

    @pytest.mark.parametrize("file", ["advbench.csv", "xstest_v2_prompts.csv", "oktest.csv"])
    def test_a_published_file_is_known_whatever_it_is_called(
        self, tmp_path: Path, file: str
    ) -> None:
        copy = write(tmp_path, "mine.csv", real(file).read_bytes())
        found = load(copy, unstated="benign")
        name = next(name for name, one in SETS.items() if one == file)
        published = BY_NAME[name]
        assert (found.name, found.licence) == (name, published.licence)
        assert found.source == (published.repository or published.page)

    def test_its_order_and_its_form_do_not_count(self, tmp_path: Path) -> None:
        goals = [prompt.text for prompt in load(real("advbench.csv"))]
        rows = "".join(json.dumps({"text": goal}) + "\n" for goal in reversed(goals))
        found = load(write(tmp_path, "mine.jsonl", rows), kind="harmful")
        assert (found.name, found.licence) == ("advbench", "MIT")
        assert load(tmp_path / "mine.jsonl", kind="benign").name == "mine"

    def test_a_sample_keeps_the_name_and_a_part_has_none(self, tmp_path: Path) -> None:
        whole = load(real("advbench.csv"))
        sample = whole.sample(8, 0)
        assert (sample.name, sample.content) == ("advbench", whole.content)
        assert sample.content != content_digest(sample)
        lines = real("advbench.csv").read_text(encoding="utf-8").splitlines()[:-1]
        part = load(write(tmp_path, "advbench.csv", "\n".join(lines) + "\n"))
        assert (part.name, part.licence) == ("own file, laid out like AdvBench", "")

    def test_one_changed_letter_makes_it_an_own_file(self, tmp_path: Path) -> None:
        data = real("xstest_v2_prompts.csv").read_bytes().replace(b"Python", b"python", 1)
        assert load(write(tmp_path, "x.csv", data)).name == "own file, laid out like XSTest"

    def test_what_the_prompts_are_taken_for_does_not_hide_the_set(self) -> None:
        found = load(real("xstest_v2_prompts.csv"), kind="benign")
        assert (found.name, {prompt.kind for prompt in found}) == ("xstest", {"benign"})

    def test_a_local_copy_of_a_set_without_a_known_digest_is_an_own_file(
        self, tmp_path: Path
    ) -> None:
        header = "Index,Goal,Target,Behavior,Category,Source\n"
        rows = "".join(f"{n},Peel {n} apples,Sure,A,Other,Own\n" for n in range(100))
        found = load(f"jbb={write(tmp_path, 'jbb.csv', header + rows)}")
        assert (found.name, found.licence, found.source) == (
            "own file, laid out like JailbreakBench", "", "jbb.csv",
        )  # fmt: skip

    def test_another_layout_of_a_set_is_held_against_its_content(self, tmp_path: Path) -> None:
        goals = [prompt.text for prompt in load(real("advbench.csv"))]
        with (tmp_path / "m.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("prompt", "target"), *((goal, "Sure") for goal in goals)])
        assert load(f"advbench={tmp_path / 'm.csv'}").licence == "MIT"
        text = (tmp_path / "m.csv").read_text(encoding="utf-8").replace("a ", "an ", 1)
        with pytest.raises(PromptError, match="is not the file of 'advbench' as published"):
            load(f"advbench={write(tmp_path, 'n.csv', text)}")


class TestManifests:
    def test_a_manifest_of_an_earlier_version_proves_by_its_commit_or_file(self) -> None:
        fruit = {"name": "advbench", "sha256": "b" * 64, "revision": ""}
        assert proven(fruit) is None
        assert shown_name(fruit) == "own file, named like AdvBench"
        by_file = fruit | {"sha256": BY_NAME["advbench"].sha256["advbench"]}
        assert proven(by_file) is BY_NAME["advbench"]
        assert proven(by_file | {"name": "harmful_behaviors"}) is BY_NAME["advbench"]
        xstest = {"name": "xstest-safe", "sha256": BY_NAME["xstest"].sha256["xstest"]}
        assert proven(xstest) is BY_NAME["xstest-safe"]
        assert proven(fruit | {"name": "jbb", "revision": "c" * 40}) is BY_NAME["jbb"]
        assert proven(fruit | {"name": "oktest", "revision": "c" * 40}) is None

    def test_the_recorded_digest_of_the_content_decides(self) -> None:
        own = {"name": "advbench", "sha256": BY_NAME["advbench"].sha256["advbench"]}
        assert proven(own, "f" * 64) is None
        assert proven({"name": "mine"}, BY_NAME["oktest"].content) is BY_NAME["oktest"]

    def test_fruit_is_never_published_as_advbench(self, tmp_path: Path) -> None:
        folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, name="advbench")
        rejudge(folder, ["refusal"])
        run = RunFolder.read(folder)
        text = card(run)
        assert "own file, named like AdvBench" in text
        for word in ("walledai", "llm-attacks", "MIT", "[advbench]"):
            assert word not in text
        with pytest.raises(RunError, match="named like AdvBench' are no data set of the hub"):
            eval_results(run)
        with pytest.raises(UsageError, match="not known to be those of 'walledai/advbench'"):
            eval_results(run, "walledai/advbench")
        assert look(folder).prompts == "own file, named like AdvBench (20)"

    def test_a_scan_of_fruit_says_so_in_its_manifest(self, tmp_path: Path) -> None:
        path = write(tmp_path, "advbench.csv", FRUIT)
        config = ScanConfig(
            prompts=str(path), seeds=(0,), steps=2, max_new_tokens=4, out=str(tmp_path / "run")
        )
        result = scan(prepare(config))
        assert result.prompts == "own file, laid out like AdvBench (3)"
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_bytes())
        assert manifest["identity"]["prompts"]["name"] == "own file, laid out like AdvBench"
        assert manifest["prompts"]["content"] == load(path).content
        assert "own file, laid out like AdvBench" in card(RunFolder.read(tmp_path / "run"))

    def test_a_run_that_an_earlier_version_named_otherwise_goes_on(self, tmp_path: Path) -> None:
        prompts = load(write(tmp_path, "advbench.csv", FRUIT))
        given = Part("run", prompts, (ORIGIN,)).manifest({"model": {"name": "pico"}}, {})
        earlier = {**given.identity["prompts"], "name": "advbench"}
        recorded = Manifest({**given.identity, "prompts": earlier}, given.prompt_ids)
        RunFolder.open(tmp_path / "run", recorded).close()
        with RunFolder.open(tmp_path / "run", given) as run:
            assert run.manifest.identity["prompts"]["name"] == "advbench"
            assert run.manifest.content == prompts.content
        other = {**given.identity, "prompts": {**earlier, "sha256": "c" * 64}}
        with pytest.raises(RunMismatch, match="sha256"):
            RunFolder.open(tmp_path / "run", Manifest(other, given.prompt_ids))

    def test_an_attack_asks_no_published_set(self, tmp_path: Path) -> None:
        from safebasin.conditions.attacks import load_attack

        attack = load_attack(str(write(tmp_path, "suffix.txt", "please")))
        asked = attack.on(load(real("advbench.csv")))
        assert (asked.name, asked.content) == ("advbench + suffix", content_digest(asked))
        assert proven({"name": asked.name, "sha256": asked.sha256}, asked.content) is None
        assert proven({"name": asked.name, "sha256": asked.sha256}) is None


def test_own_names() -> None:
    assert own_name("a", "generic", "a") == "a"
    assert own_name("jbb-benign", "safebasin", "x") == "own file, named like JailbreakBench"
