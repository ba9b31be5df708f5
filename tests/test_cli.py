"""The command line as a user meets it: exit codes, one sentence a mistake, nothing lost."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from safebasin.cli.application import application
from safebasin.cli.reference import leaves
from safebasin.cli.threads import SPINS
from support import pico, planted

SCAN = ["--steps", "4", "--seeds", "1", "--max-new-tokens", "4", "--device", "cpu"]


@pytest.fixture
def asked(tmp_path: Path) -> list[str]:
    (tmp_path / "prompts.txt").write_text("one\ntwo two\nthree\n", encoding="utf-8")
    prompts = ["--prompts", str(tmp_path / "prompts.txt"), "--prompts-kind", "harmful"]
    return [*prompts, "--out", str(tmp_path / "run"), *SCAN]


def test_help_is_fast_and_names_every_command() -> None:
    code = "from safebasin.cli import main; import sys; sys.argv = ['safebasin', '--help']; main()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for name in ("scan", "show", "rejudge", "verify", "list", "testbed"):
        assert name in done.stdout
    # Processor time, since a busy machine stretches the wall's.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize(
    ("given", "spins"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_waiting_threads_sleep_soon_unless_the_user_chose(
    given: dict[str, str], spins: str | None
) -> None:
    code = """
import os, sys
from safebasin.cli import main
sys.argv = ["safebasin", "--version"]
try:
    main()
except SystemExit:
    print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""
    others = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_WAIT"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**others, **given}, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == f"{spins} False"


HELP_OF_EACH = """
import contextlib, io, json, sys, time
from safebasin.cli.application import application

assert not {"numpy", "pydantic"} & set(sys.modules)
to_start, took = time.process_time(), {}
for path in json.loads(sys.argv[1]):
    began, text = time.process_time(), io.StringIO()
    with contextlib.redirect_stdout(text):
        application([*path.split()[1:], "--help"], standalone_mode=False)
    assert "Usage" in text.getvalue(), path
    took[path] = to_start + time.process_time() - began
assert not {"torch", "transformers"} & set(sys.modules)
print(json.dumps(took))
"""


def test_the_help_of_each_command_is_fast_and_loads_nothing_large() -> None:
    paths = [name for name, _ in leaves(typer.main.get_command(application), "safebasin")]
    assert len(paths) > 18
    done = subprocess.run(
        [sys.executable, "-c", HELP_OF_EACH, json.dumps(paths)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    took = json.loads(done.stdout)
    assert list(took) == paths
    assert max(took.values()) < 0.5, took


def test_scan_prints_the_numbers_and_where_they_are(command, tmp_path, asked) -> None:  # type: ignore[no-untyped-def]
    model = pico.save(tmp_path / "model")
    code, out, err = command("scan", model, *asked)
    assert code == 0, err
    for name in ("origin", "basin", "VISAGE", "area", "shares", "picture"):
        assert name in out
    assert str(tmp_path / "run") in out
    assert "points" in err
    code, out, err = command("verify", tmp_path / "run")
    assert code == 0, out
    code, out, _ = command("show", tmp_path / "run", "--json")
    assert json.loads(out)["headline"] == "llm-landscape"
    code, out, _ = command("rejudge", tmp_path / "run", "--judge", "refusal")
    assert code == 0
    assert "refusal" in out


def test_json_is_the_only_thing_on_standard_output(command, tmp_path, asked) -> None:  # type: ignore[no-untyped-def]
    model = pico.save(tmp_path / "model")
    code, out, _ = command("scan", model, *asked, "--json")
    value = json.loads(out)
    assert code == 0
    assert value["run"] == str(tmp_path / "run")
    assert value["judges"]["outcome"]["prompts"] == 3


def test_a_dry_run_writes_nothing(command, tmp_path, asked) -> None:  # type: ignore[no-untyped-def]
    model = pico.save(tmp_path / "model")
    code, out, _ = command("scan", model, *asked, "--dry-run")
    assert code == 0
    assert "5 distinct points x 3 prompts = 15 answers" in out
    assert not (tmp_path / "run").exists()
    code, out, _ = command("scan", model, *asked, "--dry-run", "--json")
    assert json.loads(out)["plan"]["answers"] == 15


def test_settings_from_a_manifest_repeat_the_run(command, tmp_path, asked) -> None:  # type: ignore[no-untyped-def]
    model = pico.save(tmp_path / "model")
    command("scan", model, *asked)
    manifest = tmp_path / "run" / "manifest.json"
    code, _, err = command("scan", "--config", manifest)
    assert code == 0, err
    assert "15 of 15 answers are there already" in err


@pytest.mark.parametrize(
    ("arguments", "code", "complaint", "remedy"),
    [
        (["--radius", "0"], 2, "radius is 0.0", "--radius 0.5"),
        (["--radius", "nan"], 2, "radius is nan", "--radius 0.5"),
        (["--steps", "3"], 2, "steps is 3", "--steps 20"),
        (["--judge", "llm-landscpae"], 2, "no judge 'llm-landscpae'", "llm-landscape"),
        (["--seeds", "x"], 2, "'x'", "--seeds 3"),
        (["--axes", "2", "--seeds", "3"], 2, "two directions", "--seeds 2"),
        (["--axes", "3"], 2, "3 axes", "--axes 1"),
        (["--dtype", "int8"], 2, "'int8'", "float32"),
        (["--normalise", "layer"], 2, "--normalise was given 'layer'", "tensor, row"),
        (["--prompts", "absent.csv"], 1, "absent.csv", "testbed:harmful"),
        (["--template", "absent.jinja"], 1, "absent.jinja", "raw"),
        (["--layers", "90-99"], 2, "90", ""),
        (["--include", "nothing.*"], 2, "nothing.*", ""),
    ],
)
def test_a_users_mistake_is_one_sentence_and_a_remedy(  # type: ignore[no-untyped-def]
    command, tmp_path, asked, arguments, code, complaint, remedy
) -> None:
    model = pico.save(tmp_path / "model")
    found, out, err = command("scan", model, *asked, *arguments)
    assert found == code, err
    assert "Traceback" not in err
    assert out == ""
    told = err.splitlines()
    [place] = [i for i, line in enumerate(told) if line.startswith("error: ")]
    lines = told[place:]  # after the steps that went well
    assert len(lines) == 2
    assert complaint in lines[0]
    assert lines[0].startswith("error: ")
    assert lines[1].startswith("  fix: ")
    assert remedy in lines[1]
    assert not (tmp_path / "run").exists()


def damage(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "corrupt":
        weights.write_bytes(b"\xff" * 8 + weights.read_bytes()[8:])
    elif how == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif how == "code":
        config = json.loads((folder / "config.json").read_text())
        config["auto_map"] = {"AutoModelForCausalLM": "modeling.Model"}
        (folder / "config.json").write_text(json.dumps(config))
    elif how == "template":
        (folder / "chat_template.jinja").unlink()


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("truncated", "model.safetensors"),
        ("corrupt", "model.safetensors"),
        ("pickle", "safetensors"),
        ("code", "code"),
        ("template", "no chat template"),
    ],
)
def test_a_bad_checkpoint_is_one_sentence(command, tmp_path, asked, how, complaint) -> None:  # type: ignore[no-untyped-def]
    model = pico.save(tmp_path / "model")
    damage(model, how)
    code, _, err = command("scan", model, *asked)
    assert code == 1
    assert "Traceback" not in err
    assert complaint in err
    assert "  fix: " in err


def test_a_bad_checkpoint_is_told_before_anything_slow_begins(tmp_path: Path) -> None:
    model = pico.save(tmp_path / "model")
    damage(model, "truncated")
    for name in ("scan", "evaluate"):
        asked = [sys.executable, "-X", "importtime", "-m", "safebasin", name, str(model)]
        done = subprocess.run(asked, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 1
        assert "model.safetensors" in done.stderr
        assert "starting" not in done.stderr
        assert "torch" not in done.stderr


def test_a_missing_model(command, tmp_path, asked) -> None:  # type: ignore[no-untyped-def]
    code, _, err = command("scan", tmp_path / "absent", *asked)
    assert code in (1, 2)
    assert "absent" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("empty.csv", "", "empty.csv"),
        ("columns.csv", "colour,size\nred,1\n", "colour"),
        ("broken.jsonl", '{"prompt": "a"}\n{"prompt": \n', "line 2"),
    ],
)
def test_a_bad_prompt_file(command, tmp_path, asked, name, text, complaint) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    code, _, err = command("scan", tmp_path / "absent", *asked, "--prompts", file)
    assert code == 1
    assert complaint in err
    assert "Traceback" not in err


def test_a_folder_of_another_model_is_refused_and_kept(command, tmp_path, asked) -> None:  # type: ignore[no-untyped-def]
    command("scan", pico.save(tmp_path / "model"), *asked)
    before = (tmp_path / "run" / "landscape.json").read_bytes()
    code, _, err = command("scan", pico.save(tmp_path / "other", seed=3), *asked)
    assert code == 1
    assert "model.fingerprint" in err
    assert (tmp_path / "run" / "landscape.json").read_bytes() == before


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_resume(  # type: ignore[no-untyped-def]
    command, tmp_path, asked, monkeypatch
) -> None:
    from safebasin.run import RunFolder

    model = pico.save(tmp_path / "model")
    write = RunFolder.write_point

    def stop_at_the_third(self: RunFolder, point: object, exchanges: object) -> None:
        if len(list((tmp_path / "run" / "points").glob("*.jsonl"))) == 2:
            raise KeyboardInterrupt
        write(self, point, exchanges)  # type: ignore[arg-type]

    monkeypatch.setattr(RunFolder, "write_point", stop_at_the_third)
    code, _, err = command("scan", model, *asked)
    assert code == 130
    assert "resume: safebasin scan" in err
    monkeypatch.setattr(RunFolder, "write_point", write)
    code, _, err = command("scan", model, *asked)
    assert code == 0
    assert "resuming: 6 of 15 answers" in err


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(  # type: ignore[no-untyped-def]
    command, tmp_path, asked, monkeypatch
) -> None:
    model = pico.save(tmp_path / "model")
    replace = os.replace

    def full(source: object, target: object) -> None:
        if str(target).endswith(".jsonl") and "points" in str(target):
            done = list((tmp_path / "run" / "points").glob("*.jsonl"))
            if len(done) == 2:
                raise OSError(28, "No space left on device")
        replace(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", full)
    code, _, err = command("scan", model, *asked)
    assert code == 1
    assert "Traceback" not in err
    assert "space" in err
    assert len(list((tmp_path / "run" / "points").glob("*.jsonl"))) == 2
    monkeypatch.setattr(os, "replace", replace)
    assert command("scan", model, *asked)[0] == 0


def test_no_permission_to_write(command, tmp_path, asked, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    model = pico.save(tmp_path / "model")
    code, _, err = command("scan", model, *asked, "--out", tmp_path / "file" / "run")
    assert code == 1
    assert "Traceback" not in err
    assert "file" in err


def test_secrets_stay_out_of_every_file(command, tmp_path, asked, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HF_TOKEN", "hf_canary_0123456789")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    model = pico.save(tmp_path / "model")
    code, out, err = command("scan", model, *asked, "--system", "token hf_canary_0123456789")
    assert code == 0, err
    assert "canary" not in out
    for file in (tmp_path / "run").rglob("*"):
        if file.is_file():
            assert b"canary" not in file.read_bytes(), file


def test_hostile_model_output_stays_text(command, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    model = planted.save(tmp_path / "model\x1b[31mred")
    prompts = planted.prompts(tmp_path / "planted.txt")
    asked = ("--prompts", prompts, "--prompts-kind", "harmful")
    code, out, err = command("scan", model, *asked, "--out", tmp_path / "run", *SCAN)
    assert code == 0, err
    assert "\x1b" not in out
    assert "\x1b" not in err


@pytest.mark.parametrize("kind", ["prompts", "judges", "models", "labelled"])
def test_list(command, kind: str) -> None:  # type: ignore[no-untyped-def]
    code, out, err = command("list", kind)
    assert code == 0, err
    assert len(out.splitlines()) >= 3
    assert len(json.loads(command("list", kind, "--json")[1])[kind]) >= 3


def test_list_names_every_set_that_can_be_asked(command) -> None:  # type: ignore[no-untyped-def]
    listed = {
        one["name"]: one["about"]
        for one in json.loads(command("list", "prompts", "--json")[1])["prompts"]
    }
    assert {"testbed:capability", "testbed:choice", "testbed:choice-dev"} <= set(listed)
    assert "--capability" in listed["testbed:choice"]
    code, _, err = command("scan", "--prompts", "testbed:choice", *SCAN)
    assert code == 1
    assert "--capability testbed:choice" in err


def test_list_of_something_unknown(command) -> None:  # type: ignore[no-untyped-def]
    assert command("list", "colours")[0] == 2


def test_version(command) -> None:  # type: ignore[no-untyped-def]
    assert command("--version")[1].startswith("safebasin 0.")


def test_the_package_can_be_run_as_a_module(command) -> None:  # type: ignore[no-untyped-def]
    done = subprocess.run(
        [sys.executable, "-m", "safebasin", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, command("--version")[1])
