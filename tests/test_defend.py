"""`safebasin defend`: the model that it writes, its record, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file as load_numpy
from safetensors.torch import load_file

from safebasin.checkpoint import Checkpoint
from safebasin.cli.application import run
from safebasin.cli.commands import listing
from safebasin.cli.views.defend import lines
from safebasin.config import ScanConfig
from safebasin.defences.kinds import DEFENCES
from safebasin.defences.making import Defended, defend
from safebasin.defences.settings import DefendConfig
from safebasin.errors import DirectionError, RunError, RunMismatch, UsageError
from support import defended
from support.defended import arrays

ASKED = [
    "defend", "random-restoration", "testbed:harmful-100", "--aligned", "testbed:aligned",
    "--share", "1", "--limit", "4", "--steps", "1", "--refine", "0",
]  # fmt: skip


def ran(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["safebasin", *arguments])
        return run()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("defend") / "out"
    assert ran(*ASKED, "--out", str(out)) == 0
    return out


class TestThePackagedModel:
    def test_restored_whole_it_is_the_aligned_one(self, made: Path) -> None:
        """As stored: bfloat16, and none is more than a rounding away."""
        model, _ = Checkpoint("testbed:aligned").load("bfloat16")
        stored = load_file(made / "model.safetensors")
        for name, parameter in model.named_parameters():
            if name in stored:
                assert stored[name].dtype == parameter.dtype
                gap = (stored[name].float() - parameter.float()).abs()
                assert bool((gap <= 2**-8 * parameter.float().abs()).all()), name

    def test_the_record_says_what_was_done(self, made: Path) -> None:
        record = json.loads((made / "defence.json").read_text(encoding="utf-8"))
        identity = record["identity"]
        assert identity["method"] == {
            "kind": "random-restoration", "share": 1.0, "seed": 0,
            "aligned": {"name": "testbed:aligned",
                        "fingerprint": Checkpoint("testbed:aligned").fingerprint()},
        }  # fmt: skip
        assert identity["model"]["fingerprint"] == Checkpoint("testbed:harmful-100").fingerprint()
        assert record["fingerprint"] == Checkpoint(str(made)).fingerprint()
        assert record["command"][1:3] == ["defend", "random-restoration"]
        assert (record["dtype"], record["arithmetic"]) == ("bfloat16", "float32")
        assert 0 < record["moved"] <= record["of"]
        assert not list(made.glob("*.bin"))

    def test_it_was_compared_with_the_model_as_it_was(self, made: Path) -> None:
        found = json.loads((made / "compare" / "comparison.json").read_text(encoding="utf-8"))
        assert found["asr"]["before"]["value"] == 1.0
        assert found["asr"]["after"]["value"] == 0.0
        assert found["base"] == "testbed:harmful-100"

    def test_the_same_command_goes_on(self, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = (made / "model.safetensors").stat().st_mtime_ns
        assert ran(*ASKED, "--out", str(made), "--json") == 0
        told = json.loads(capsys.readouterr().out)
        assert told["comparison"]["run"] == str(made / "compare")
        assert told["folder"] == str(made)
        assert (made / "model.safetensors").stat().st_mtime_ns == before

    def test_another_defence_is_refused(self, made: Path) -> None:
        config = DefendConfig(
            "random-restoration", "testbed:harmful-100", aligned="testbed:aligned", share=0.5,
            out=str(made),
        )  # fmt: skip
        with pytest.raises(RunMismatch, match="holds another defended model"):
            defend(config)


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return defended.make(tmp_path_factory.mktemp("home"), request.param)


def asked(home: Path, out: Path, **settings: object) -> DefendConfig:
    model = f"{home / 'aligned'}+{home / 'adapter'}"
    given = {
        "method": "resta", "aligned": str(home / "aligned"), "unaligned": str(home / "unaligned"),
    } | settings  # fmt: skip
    return DefendConfig(model=model, out=str(out), **given)  # type: ignore[arg-type]


def test_a_model_is_written_as_the_direction_says(home: Path, tmp_path: Path) -> None:
    found = defend(asked(home, tmp_path / "out", factor=0.3, strength=2.0))
    start, aligned, unaligned = (
        arrays(home / "aligned"), arrays(home / "aligned"), arrays(home / "unaligned")
    )  # fmt: skip
    tuned = dict(
        Checkpoint(str(home / "aligned"), str(home / "adapter")).load()[0].named_parameters()
    )
    stored = load_numpy(tmp_path / "out" / "model.safetensors")
    for name in start:
        own = tuned[name].double().numpy()
        expected = own + 0.6 * (aligned[name] - unaligned[name])  # norms too
        key = name if name in stored else name.removeprefix("transformer.")
        if key in stored:
            np.testing.assert_allclose(stored[key], expected, atol=3e-6, err_msg=name)
    assert len(stored) >= len(start) - 1
    assert found.made


def test_at_strength_0_the_model_is_itself(home: Path, tmp_path: Path) -> None:
    defend(asked(home, tmp_path / "out", strength=0.0))
    own, _ = Checkpoint(str(home / "aligned"), str(home / "adapter")).load()
    again, _ = Checkpoint(str(tmp_path / "out")).load()
    for name, parameter in own.named_parameters():
        assert bool((again.get_parameter(name) == parameter).all())


def test_every_tokenizer_file_comes_along(home: Path, tmp_path: Path) -> None:
    defend(asked(home, tmp_path / "out"))
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (tmp_path / "out" / name).read_bytes() == (home / "aligned" / name).read_bytes()


class TestBadInput:
    def test_no_such_defence(self, home: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no defence 'charm'") as caught:
            defend(asked(home, tmp_path / "out", method="charm"))
        assert "safe-lora" in caught.value.hint
        assert "scans" not in caught.value.hint, "it names only what makes a model"

    def test_one_that_changes_no_weights(self, home: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="'derta' changes no weights by itself"):
            defend(asked(home, tmp_path / "out", method="derta"))
        with pytest.raises(UsageError, match="'scans' changes no weights by itself") as caught:
            defend(asked(home, tmp_path / "out", method="scans"))
        assert "safebasin steer" in caught.value.hint

    def test_a_fine_tune_without_its_base(self, home: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="'resta' needs --aligned"):
            defend(asked(home, tmp_path / "out", aligned=None))

    def test_a_setting_of_another_method(self, home: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="'resta' has no --rank and no --threshold"):
            defend(asked(home, tmp_path / "out", rank=3, threshold=0.5))

    def test_a_model_that_does_not_fit(self, home: Path, tmp_path: Path) -> None:
        with pytest.raises(DirectionError, match="does not fit these weights"):
            defend(asked(home, tmp_path / "out", unaligned="testbed:aligned"))
        assert not (tmp_path / "out").exists()

    def test_a_folder_of_something_else(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(RunError, match="is not empty"):
            defend(asked(home, tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_a_record_that_is_none(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "defence.json").write_text("[1, 2]")
        with pytest.raises(RunError, match="is no record of a defended model"):
            defend(asked(home, tmp_path))

    def test_a_strength_that_is_no_number(self) -> None:
        with pytest.raises(UsageError, match="strength is nan"):
            DefendConfig("lox", "testbed:aligned", strength=float("nan"))


def test_a_person_reads_what_was_found(tmp_path: Path) -> None:
    record = {
        "identity": {
            "method": {"kind": "ablation", "base": None, "block": None, "harmful": {"name": "bad"}},
            "model": {"name": "m", "fingerprint": "0" * 64},
            "strength": 1.0,
        },
        "moved": 3, "of": 4, "relative_length": 0.0123, "dtype": "float32",
        "fingerprint": "1" * 64, "notes": ["a note"],
        "found": {"chosen": {"block": 2, "token": -1, "bypass": -5.06, "induce": 2.1, "kl": 0.001}},
    }  # fmt: skip
    told = "\n".join(lines(Defended(tmp_path, record, made=True)))
    assert "moved    3 of 4 weights, by 1.23 % of their norm" in told
    assert "at the entrance of block 2, token -1, KL 0.001 nats" in told
    assert "refusal at log-odds -5.1 without it, 2.1 with it added" in told
    assert "harmful bad" in told
    assert "base" not in told
    assert "note     a note" in told


def test_settings_of_methods_are_the_options(tmp_path: Path) -> None:
    """What `given` hands on is what was given, and nothing of `defend` itself."""
    config = DefendConfig("lox", "m", unaligned="u", rank=2, scan=ScanConfig(limit=3))
    assert config.given == {"unaligned": "u", "rank": 2}
    assert config.measured_in("f").model == "m"


def test_each_defence_is_listed() -> None:
    told = dict(listing._defences())
    assert told.keys() == DEFENCES.keys()
    assert all("arXiv" in about for about in told.values())
    assert {"snip", "wanda", "random"} <= dict(listing._attributions()).keys()
