from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safebasin.errors import RunError, RunMismatch
from safebasin.exchange import Verdict
from safebasin.plane import Axis, Plane, Point, outward
from safebasin.run import RunFolder, default_folder
from safebasin.run.manifest import Manifest, plane_from_json, plane_to_json
from safebasin.run.verify import verify
from support.run_samples import (
    FAR,
    IDS,
    JUDGE,
    LINE,
    RECORDS,
    SPEC,
    contents,
    exchange,
    manifest,
    measured,
)

FIXTURE = Path(__file__).parent / "fixtures" / "run-v1"


def test_a_new_run_has_nothing_measured_and_knows_its_points(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "a" / "run", manifest()) as run:
        assert run.manifest.points == outward([LINE])
        assert run.read_point(FAR) is None
        assert run.missing(FAR, IDS) == list(IDS)
        assert run.prompt_ids == IDS


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    measured(tmp_path / "run")
    run = RunFolder.read(tmp_path / "run")
    for point in LINE.points:
        assert run.read_point(point) == [exchange(i, point) for i in IDS]
        assert run.missing(point, IDS) == []
        verdicts = run.read_verdicts(JUDGE, SPEC, point)
        assert list(verdicts) == list(IDS)
        assert verdicts["jbb-0"] == Verdict("refused", "phrase")
        assert verdicts["jbb-1"] == Verdict(None, "no answer")
    assert run.judges() == {JUDGE: SPEC}
    assert run.read_text("lexicon.txt") == "word\n"
    assert run.read_json("landscape.json") == {"n": 3}
    assert run.read_json("figures.json") is None
    assert run.read_text("other.txt") is None


def test_opening_again_keeps_all_records_and_adds_a_sitting_where_it_measures(
    tmp_path: Path,
) -> None:
    path = measured(tmp_path / "run")
    before = contents(path, *RECORDS)
    with RunFolder.open(path, manifest()) as run:
        assert len(run.manifest.sessions) == 2
    assert contents(path, *RECORDS) == before
    with RunFolder.reopen(path) as run:
        assert len(run.manifest.sessions) == 2, "nothing is measured"
    assert len(RunFolder.read(path).manifest.sessions) == 2
    assert len(before) == 3 + 4 + 2


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"model": {"id": "pico", "fingerprint": "c" * 64}}, ["model.fingerprint"]),
        ({"prompts": {"name": "jbb", "sha256": "f" * 64, "seed": 0}}, ["prompts.sha256"]),
        (
            {"sampling": {"method": "greedy", "max_new_tokens": 9}, "dtype": "bfloat16"},
            ["dtype", "sampling.max_new_tokens"],
        ),
        (
            {"directions": [{"name": "gaussian-0", "seed": True, "digest": "d1"}]},
            ["directions[0].digest", "directions[0].seed"],
        ),
        ({"directions": []}, ["directions"]),
        ({"template": {"system": "be kind"}}, ["template"]),
        (
            {"planes": [plane_to_json(Plane((Axis("gaussian-0", (-0.1, 0.0, 0.2)),)))]},
            ["planes[0].axes[0].values[2]"],
        ),
    ],
)
def test_another_configuration_is_refused_by_its_differing_keys(
    tmp_path: Path, changes: dict[str, object], keys: list[str]
) -> None:
    path = measured(tmp_path / "run")
    before = contents(path, "**/*")
    with pytest.raises(RunMismatch) as caught:
        RunFolder.open(path, manifest(**changes))
    assert list(caught.value.keys) == keys
    assert all(key in caught.value.message for key in keys)
    assert "--out" in caught.value.hint
    assert contents(path, "**/*") == before
    RunFolder.open(path, manifest()).close()


def test_a_mismatch_shows_both_values_shortened(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    changed = manifest(
        sampling={"method": "greedy", "max_new_tokens": 9}, note="\x1b[2J" + "x" * 500
    )
    with pytest.raises(RunMismatch) as caught:
        RunFolder.open(path, changed)
    assert "sampling.max_new_tokens: recorded 8, now 9" in caught.value.message
    assert "note: recorded nothing, now" in caught.value.message
    assert "\x1b" not in caught.value.message
    assert all(len(line) < 200 for line in caught.value.message.splitlines()[1:])


def test_numbers_that_are_equal_match_however_they_are_spelled(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "run", manifest(radius=1)).close()
    RunFolder.open(tmp_path / "run", manifest(radius=1.0)).close()
    with pytest.raises(RunMismatch):
        RunFolder.open(tmp_path / "run", manifest(radius=True))


def test_tuples_and_lists_are_the_same_identity(tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "run", manifest(include=("a", "b"))).close()
    RunFolder.open(tmp_path / "run", manifest(include=["a", "b"])).close()


def test_more_prompts_add_only_what_is_missing(tmp_path: Path) -> None:
    path = measured(tmp_path / "run", IDS[:2])
    more = ("new", *IDS)
    with RunFolder.open(path, manifest(more)) as run:
        assert run.missing(FAR, run.prompt_ids) == ["new", "jbb-2"]
        run.write_point(FAR, [exchange("jbb-2"), exchange("new")])
        assert run.read_point(FAR) == [exchange(i) for i in more]
        assert list(run.read_verdicts(JUDGE, SPEC, FAR)) == ["jbb-0", "jbb-1"]
        run.write_verdicts(JUDGE, SPEC, FAR, ["new"], [Verdict("complied", "")])
        assert list(run.read_verdicts(JUDGE, SPEC, FAR)) == ["new", "jbb-0", "jbb-1"]
    assert verify(path).problems == ()
    assert RunFolder.read(path).manifest.prompt_ids == more


def test_the_first_prompts_may_be_asked_alone_without_losing_the_rest(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    with RunFolder.open(path, manifest(IDS[:1])) as run:
        assert run.prompt_ids == IDS[:1]
        assert run.manifest.prompt_ids == IDS
        assert run.read_point(FAR) == [exchange(i) for i in IDS]


@pytest.mark.parametrize(
    "ids", [IDS[1:], ("jbb-1", "jbb-0", "jbb-2"), ("jbb-1", "jbb-0", "jbb-2", "new"), ("other",)]
)
def test_other_prompts_are_refused(tmp_path: Path, ids: tuple[str, ...]) -> None:
    path = measured(tmp_path / "run")
    with pytest.raises(RunMismatch) as caught:
        RunFolder.open(path, manifest(ids))
    assert caught.value.keys[0].startswith("prompts.ids[")


def test_an_answer_is_never_replaced(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", manifest()) as run:
        run.write_point(FAR, [exchange("jbb-0")])
        with pytest.raises(ValueError, match="jbb-0"):
            run.write_point(FAR, [exchange("jbb-1"), exchange("jbb-0", response="other")])
        with pytest.raises(ValueError, match="jbb-9"):
            run.write_point(FAR, [exchange("jbb-9")])
        assert run.read_point(FAR) == [exchange("jbb-0")]


def test_a_judge_of_another_specification_is_refused_until_it_replaces(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    other = SPEC | {"version": 2}
    origin = Point()
    with RunFolder.open(path, manifest()) as run:
        with pytest.raises(RunMismatch) as caught:
            run.adopt_judge(JUDGE, other)
        assert caught.value.keys == (f"judges.{JUDGE}.version",)
        assert "rejudge" in caught.value.hint
        with pytest.raises(RunMismatch):
            run.read_verdicts(JUDGE, other, FAR)
        with pytest.raises(RunMismatch):
            run.write_verdicts(JUDGE, other, FAR, ["jbb-0"], [Verdict("complied", "")])
        assert len(run.read_verdicts(JUDGE, SPEC, FAR)) == 3

        run.adopt_judge(JUDGE, other, replace=True)
        assert run.read_verdicts(JUDGE, other, FAR) == {}
        run.write_verdicts(JUDGE, other, FAR, ["jbb-0"], [Verdict("complied", "")])
        assert run.read_verdicts(JUDGE, other, FAR) == {"jbb-0": Verdict("complied", "")}
        # As after a kill in the middle: the rest is as good as not judged, and no damage.
        assert run.read_verdicts(JUDGE, other, origin) == {}
        with pytest.raises(RunMismatch):
            run.read_verdicts(JUDGE, SPEC, FAR)
    report = verify(path)
    assert report.problems == ()
    assert report.verdicts == {JUDGE: 1}


def test_a_later_verdict_replaces_an_unjudged_one_only_where_given(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    with RunFolder.reopen(path) as run:
        run.write_verdicts(JUDGE, SPEC, FAR, ["jbb-1"], [Verdict("complied", "asked again", 0.5)])
        assert run.read_verdicts(JUDGE, SPEC, FAR) == {
            "jbb-0": Verdict("refused", "phrase"),
            "jbb-1": Verdict("complied", "asked again", 0.5),
            "jbb-2": Verdict(None, "no answer"),
        }
        with pytest.raises(ValueError, match="two verdicts"):
            run.write_verdicts(JUDGE, SPEC, FAR, ["jbb-1"] * 2, [Verdict(None, "")] * 2)
        with pytest.raises(ValueError, match="shorter"):
            run.write_verdicts(JUDGE, SPEC, FAR, ["jbb-1", "jbb-2"], [Verdict(None, "")])


def test_two_judges_of_similar_names_do_not_meet(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", manifest()) as run:
        run.write_point(FAR, [exchange("jbb-0")])
        run.write_verdicts("a/b", {}, FAR, ["jbb-0"], [Verdict("refused", "")])
        run.write_verdicts("a-b", {}, FAR, ["jbb-0"], [Verdict("complied", "")])
        assert run.read_verdicts("a/b", {}, FAR)["jbb-0"].outcome == "refused"
        assert run.read_verdicts("a-b", {}, FAR)["jbb-0"].outcome == "complied"
        assert run.judges() == {"a/b": {}, "a-b": {}}
        assert run.read_verdicts("c", {}, FAR) == {}


def test_reading_needs_no_lock_and_writes_nothing(tmp_path: Path) -> None:
    path = measured(tmp_path / "run")
    with RunFolder.open(path, manifest()) as writer:
        before = contents(path, "**/*")
        run = RunFolder.read(path)
        assert run.read_point(FAR) == writer.read_point(FAR)
        with pytest.raises(RunError, match="for reading only"):
            run.write_point(FAR, [])
        with pytest.raises(RunError, match="for reading only"):
            run.write_verdicts(JUDGE, SPEC, FAR, [], [])
        with pytest.raises(RunError, match="for reading only"):
            run.adopt_judge("new", {})
        with pytest.raises(RunError, match="for reading only"):
            run.write_json("landscape.json", {})
        with pytest.raises(RunError, match="for reading only"):
            run.write_text("figures/a.svg", "")
        assert contents(path, "**/*") == before
    with pytest.raises(RunError, match="for reading only"):
        writer.write_json("landscape.json", {})


def test_what_is_no_run_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tmp").write_text("mine")
    for opened in (RunFolder.read, RunFolder.reopen, verify):
        for name in ("mine", "absent", "mine/thesis.tmp"):
            with pytest.raises(RunError, match="not a run folder"):
                opened(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(RunError, match="not empty"):
        RunFolder.open(tmp_path / "mine", manifest())
    with pytest.raises(RunError):
        RunFolder.open(tmp_path / "mine" / "thesis.tmp", manifest())
    assert contents(tmp_path, "**/*") == {"mine/thesis.tmp": b"mine"}
    assert not (tmp_path / "absent").exists()


def test_the_same_identity_finds_the_same_folder() -> None:
    base = manifest().identity
    name = default_folder("meta-llama/Llama-3.2-1B", base)
    assert name.parent == Path("runs")
    assert name.name.startswith("llama-3.2-1b-1d-")
    assert default_folder("meta-llama/Llama-3.2-1B", dict(reversed(base.items()))) == name
    assert default_folder("meta-llama/Llama-3.2-1B", manifest(dtype="float16").identity) != name
    for label in ("../../etc/passwd", "/", "..", "a\0b", "Ünï", ""):
        folder = default_folder(label, base)
        assert folder.parent == Path("runs")
        assert set(folder.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


coordinates = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)


@given(values=st.lists(coordinates, min_size=1, unique=True), name=st.text())
def test_planes_round_trip_exactly(values: list[float], name: str) -> None:
    plane = Plane((Axis(name, tuple(sorted(values))), Axis(name + "'", (0.0,))))
    assert plane_from_json(json.loads(json.dumps(plane_to_json(plane)))) == plane


def test_runs_of_the_first_schema_still_open() -> None:
    run = RunFolder.read(FIXTURE)
    assert run.manifest.identity["model"] == {"id": "pico", "fingerprint": "a" * 64}
    assert run.prompt_ids == IDS
    assert json.loads((FIXTURE / "manifest.json").read_bytes())["schema_version"] == 1
    for point in LINE.points:
        assert run.read_point(point) == [exchange(i, point) for i in IDS]
        assert run.read_verdicts(JUDGE, SPEC, point)["jbb-0"] == Verdict("refused", "phrase")
    report = verify(FIXTURE)
    assert report.problems == ()
    assert (report.points, report.complete, report.answers) == (3, 3, 9)
    assert report.verdicts == {JUDGE: 9}


def test_a_manifest_without_planes_or_with_a_prompt_twice(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", Manifest({}, ("a",))) as run:
        assert run.manifest.points == ()
    with pytest.raises(ValueError, match="twice"):
        RunFolder.open(tmp_path / "other", Manifest({}, ("a", "a")))
    with pytest.raises(ValueError, match="JSON"):
        RunFolder.open(tmp_path / "other", Manifest({"radius": float("nan")}, ("a",)))
    assert not (tmp_path / "other").exists()
