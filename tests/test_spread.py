"""Points spread over workers, shards and a Ray cluster: the same run, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.errors import EngineError, RunBusy, UsageError
from safebasin.exchange import Exchange
from safebasin.plane import Axis, Plane, Point, outward
from safebasin.prompts import Prompt
from safebasin.run import RunFolder
from safebasin.run.verify import verify
from safebasin.scanning.preparation import Prepared, prepare
from safebasin.scanning.scan import scan, scan_shard
from safebasin.spread.dealing import dealt
from safebasin.spread.executor import Recipe
from safebasin.spread.ray_actors import RayActors, gpu_groups
from safebasin.spread.shards import Shard
from safebasin.spread.workers import Workers
from support import pico

POINTS = outward([Plane((Axis.symmetric("a", 1, 8),))])
PROMPTS = [Prompt("p0", "one"), Prompt("p1", "two")]


def config_of(tmp_path: Path, out: str, **changes: Any) -> ScanConfig:
    folder = tmp_path / "model"
    if not folder.exists():
        pico.save(folder)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo two\nthree\n", encoding="utf-8")
    config = ScanConfig(
        model=str(folder), prompts=str(prompts), steps=6, seeds=(0, 1), limit=3, max_new_tokens=6,
        prompts_kind="harmful", device="cpu", out=str(tmp_path / out), workers=1,
    )  # fmt: skip
    return replace(config, **changes)


def landscape(folder: Path) -> Any:
    return json.loads((folder / "landscape.json").read_text())


class Scripted:
    """An engine without a model; what it does at each point is up to the test."""

    name = "scripted"

    def __init__(self, at: Any = lambda point: None) -> None:
        self.at = at

    def spec(self) -> dict[str, object]:
        return {}

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Any = None,
        wanted: Any = None,
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        for point in points:
            if wanted is not None and not wanted(point):
                continue
            self.at(point)
            found = [
                Exchange(p.id, p.text, f"{os.getpid()} {point.label}", "eos", 1, 1) for p in prompts
            ]
            if progress is not None:
                progress(point, found)
            yield point, found


def ask(engine: Scripted, count: int, wanted: Any = None) -> dict[Point, list[Exchange]]:
    return dict(Workers(engine, count).answers(POINTS, PROMPTS, Sampling(1), None, wanted))


def test_workers_answer_every_point_once_in_their_own_processes() -> None:
    heard: list[Point] = []
    engine = Scripted()
    answers = Workers(engine, 3).answers(
        POINTS, PROMPTS, Sampling(1), lambda point, exchanges: heard.append(point)
    )
    found = list(answers)
    assert sorted(p.label for p, _ in found) == sorted(p.label for p in POINTS)
    assert sorted(p.label for p in heard) == sorted(p.label for p in POINTS)
    by_process = {exchanges[0].response.split()[0] for _, exchanges in found}
    assert len(by_process) == 3
    assert str(os.getpid()) not in by_process


def test_a_worker_that_is_killed_loses_only_its_point_in_work(tmp_path: Path) -> None:
    mark = tmp_path / "killed"

    def at(point: Point) -> None:
        with (tmp_path / "log").open("a") as log:
            log.write(f"{point.label}\n")
        if point == POINTS[4] and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    found = ask(Scripted(at), 2)
    assert set(found) == set(POINTS)
    begun = (tmp_path / "log").read_text().split()
    assert len(begun) == len(POINTS) + 1
    assert begun.count(POINTS[4].label) == 2


def test_workers_that_keep_dying_are_one_sentence() -> None:
    def at(point: Point) -> None:
        if point == POINTS[2]:
            os._exit(7)

    with pytest.raises(EngineError, match=r"died 3 times.*exit code 7.*a=") as caught:
        ask(Scripted(at), 2)
    assert "--workers 1" in caught.value.hint


def test_an_error_of_a_worker_is_the_same_error_here() -> None:
    def at(point: Point) -> None:
        raise EngineError("Prompt 'p0' is too long.", "Leave it out.")

    with pytest.raises(EngineError, match="too long"):
        ask(Scripted(at), 2)


def test_a_worker_asked_to_stop_as_it_starts_never_runs_what_its_parent_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, parent = os.fork, os.getpid()

    def forked() -> int:
        pid = real()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.getsignal(signal.SIGTERM)  # a step at which Python calls a handler
        return pid

    monkeypatch.setattr(os, "fork", forked)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(EngineError, match=r"died 3 times.*by signal 15"):
            ask(Scripted(), 2)
    except BaseException:
        if os.getpid() != parent:
            os._exit(99)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def test_points_that_are_no_longer_wanted_are_left_out() -> None:
    found: list[Point] = []
    slow = Scripted(lambda point: time.sleep(0.02))
    workers = Workers(slow, 2)
    for point, _ in workers.answers(
        POINTS, PROMPTS, Sampling(1), None, lambda point: point in POINTS[:4] or not found
    ):
        found.append(point)
    assert set(POINTS[:4]) <= set(found)
    assert len(found) < len(POINTS)


def test_giving_up_ends_the_workers() -> None:
    answers = Workers(Scripted(lambda point: time.sleep(0.05)), 2).answers(
        POINTS, PROMPTS, Sampling(1)
    )
    _, exchanges = next(answers)
    answers.close()  # type: ignore[attr-defined]
    pid = int(exchanges[0].response.split()[0])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_scan_by_workers_is_the_scan(tmp_path: Path) -> None:
    alone = scan(prepare(config_of(tmp_path, "alone")))
    together = scan(prepare(config_of(tmp_path, "together", workers=3)))
    assert landscape(together.folder) == landscape(alone.folder)
    assert verify(together.folder).problems == ()


def test_workers_are_for_small_models_with_much_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("safebasin.study.spread.available_cores", lambda: 4)
    prepared = prepare(config_of(tmp_path, "run", workers=None))
    assert prepared.workers() == 1
    monkeypatch.setattr("safebasin.study.spread.WORTH_WORKERS", 10)
    assert prepared.workers() == 4
    assert prepared.plan().workers == 4
    monkeypatch.setattr("safebasin.study.spread.SMALL_MODEL", 10)
    assert prepared.workers() == 1


def test_a_plan_reads_the_records_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(config_of(tmp_path, "run", workers=None))
    scan(prepared)
    read = []
    missing = RunFolder.missing

    def counted(self: RunFolder, point: Point, prompt_ids: Sequence[str]) -> list[str]:
        read.append(point)
        return missing(self, point, prompt_ids)

    monkeypatch.setattr(RunFolder, "missing", counted)
    assert prepared.plan().answers_missing == 0
    assert read == list(prepared.points)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "-1/2", "1/0"])
def test_a_shard_that_cannot_be_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"[Ss]hard"):
        Shard.parse(text)


@pytest.mark.parametrize(("total", "hands"), [(0, 2), (1, 2), (21, 1), (21, 2), (61, 4), (3, 5)])
def test_points_are_dealt_there_and_back(total: int, hands: int) -> None:
    parts = dealt(total, hands)
    assert sorted(index for part in parts for index in part) == list(range(total))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_every_worker_gets_points_of_both_sides() -> None:
    line = outward([Plane((Axis.symmetric("a", 0.5, 20),))])
    for part in dealt(len(line), 2):
        values = [dict(line[index].terms).get("a", 0.0) for index in part]
        assert abs(sum(value > 0 for value in values) - sum(value < 0 for value in values)) <= 1


def test_shards_are_disjoint_and_whole() -> None:
    parts = [Shard(i, 3).points(POINTS) for i in (1, 2, 3)]
    assert sorted(p.label for part in parts for p in part) == sorted(p.label for p in POINTS)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def _shard(prepared_from: ScanConfig, text: str, results: Any) -> None:
    results.put((text, scan_shard(prepare(prepared_from), Shard.parse(text)) is not None))


def test_shards_at_the_same_time_make_one_run(tmp_path: Path) -> None:
    whole = scan(prepare(config_of(tmp_path, "whole")))
    config = config_of(tmp_path, "shards")
    context = get_context("fork")
    results = context.Queue()
    jobs = [context.Process(target=_shard, args=(config, f"{i}/3", results)) for i in (1, 2, 3)]
    for job in jobs:
        job.start()
    said = dict(results.get(timeout=120) for _ in jobs)
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    assert len(said) == 3
    if not any(said.values()):  # two that ended together left the summary to each other
        assert scan_shard(prepare(config), Shard(1, 3)) is not None
    assert landscape(Path(config.out or "")) == landscape(whole.folder)
    assert verify(Path(config.out or "")).problems == ()


def test_a_killed_shard_is_completed_by_the_same_command(tmp_path: Path) -> None:
    config = config_of(tmp_path, "run")
    finished: list[Point] = []

    class Stop(Exception):
        pass

    class Observer:
        def started(self, answers: int, finished: int) -> None: ...

        def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None: ...

        def finished(self, point: Point) -> None:
            finished.append(point)
            if len(finished) == 2:
                raise Stop

    with pytest.raises(Stop):
        scan_shard(prepare(config), Shard(1, 2), Observer())
    assert scan_shard(prepare(config), Shard(2, 2)) is None
    before = {p: RunFolder.read(Path(config.out or "")).read_point(p) for p in finished}
    result = scan_shard(prepare(config), Shard(1, 2))
    assert result is not None
    assert result.complete
    after = {p: RunFolder.read(result.folder).read_point(p) for p in finished}
    assert after == before


def test_a_shard_at_work_keeps_others_out(tmp_path: Path) -> None:
    prepared = prepare(config_of(tmp_path, "run"))
    with RunFolder.open(prepared.folder, prepared.manifest(), "1-of-2"):
        with pytest.raises(RunBusy, match="Shard 1-of-2 is working"):
            RunFolder.open(prepared.folder, prepared.manifest())
        with pytest.raises(RunBusy, match="Shard 1-of-2 is working"):
            RunFolder.open(prepared.folder, prepared.manifest(), "1-of-2")
        with RunFolder.open(prepared.folder, prepared.manifest(), "2-of-2"):
            pass
    RunFolder.open(prepared.folder, prepared.manifest()).close()


def test_what_does_not_go_together_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="shard does not see"):
        ScanConfig(shard="1/2", stop_at_plateau=True)
    with pytest.raises(UsageError, match="address"):
        ScanConfig(ray_address="auto")
    with pytest.raises(UsageError, match="workers"):
        ScanConfig(workers=0)


def test_without_ray_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageError, match="Ray is not installed"):
        scan(prepare(config_of(tmp_path, "run", executor="ray")))


def test_a_cluster_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = config_of(tmp_path, "run")
    command = ["safebasin", "scan", config.model, "--prompts", config.prompts, "--device", "cpu"]
    command += ["--prompts-kind", "harmful"]
    command += ["--steps", "2", "--seeds", "1", "--out", str(tmp_path / "run")]
    command += ["--max-new-tokens", "4", "--executor", "ray", "--ray-address", address]
    code = "import sys; from safebasin.cli import main; sys.argv = sys.argv[1:]; main()"
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert f"cannot be reached at '{address}'" in done.stderr
    assert "--ray-address" in done.stderr
    assert "Traceback" not in done.stderr


def test_actors_with_several_gpus_are_as_many_as_fit_on_the_machines() -> None:
    machines = [{"CPU": 8.0, "GPU": 8.0}, {"CPU": 8.0, "GPU": 6.0}, {"CPU": 64.0}]
    assert [gpu_groups(machines, each) for each in (1, 2, 4, 8)] == [14, 7, 3, 1]
    assert gpu_groups([{"CPU": 2.0}], 1) == 0
    with pytest.raises(UsageError, match=r"16 GPUs on one machine, and the largest .* has 8"):
        gpu_groups(machines, 16)
    with pytest.raises(UsageError, match="has 0"):
        gpu_groups([], 2)


class Done:
    """A task that has ended."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Cluster:
    """A stand-in for Ray with two machines of four GPUs; its actors answer here and at once."""

    exceptions = SimpleNamespace(RayActorError=ConnectionError, RayTaskError=ValueError)

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.started = 0

    def is_initialized(self) -> bool:
        return True

    def nodes(self) -> list[dict[str, Any]]:
        one = {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 4.0}}
        return [one, one, {**one, "Alive": False}]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 8.0, "GPU": 8.0}

    def remote(self, **options: Any) -> Any:
        self.options = options

        def made(actor: Any) -> Any:
            def start(recipe: Any) -> Any:
                self.started += 1
                own = actor(recipe)
                return SimpleNamespace(point=SimpleNamespace(remote=lambda *a: Done(own.point(*a))))

            return SimpleNamespace(remote=start)

        return made

    def wait(self, tasks: list[Any], num_returns: int) -> Any:
        return tasks[:num_returns], tasks[num_returns:]

    def get(self, task: Any) -> Any:
        return task.value

    def kill(self, actor: Any) -> None:
        self.started -= 1


@pytest.mark.parametrize(("each", "actors"), [(1, 8), (2, 4), (4, 2)])
def test_an_actor_of_a_divided_model_asks_for_all_its_gpus(
    each: int, actors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster()
    monkeypatch.setattr("safebasin.spread.ray_actors._ray", lambda: cluster)
    config = ScanConfig(executor="ray", engine="vllm", tensor_parallel=each)
    with RayActors[Exchange](Recipe(Scripted, ()), config) as own:
        found = dict(own.answers(POINTS, PROMPTS, Sampling(1)))
        assert cluster.started == actors
    assert cluster.started == 0
    assert cluster.options["num_gpus"] == each
    assert set(found) == set(POINTS)


def prepared_for_ray(tmp_path: Path, out: str, **changes: Any) -> Prepared:
    return prepare(config_of(tmp_path, out, executor="ray", workers=2, **changes))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_scan_by_ray_is_the_scan_though_an_actor_is_killed(tmp_path: Path, ray: Any) -> None:
    alone = scan(prepare(config_of(tmp_path, "alone")))
    prepared = prepared_for_ray(tmp_path, "ray")
    killed = []

    class Killer:
        def started(self, answers: int, finished: int) -> None: ...

        def answered(self, point: Point, exchanges: Sequence[Exchange]) -> None: ...

        def finished(self, point: Point) -> None:
            if not killed:
                below = psutil.Process().children(recursive=True)
                actor = next(p for p in below if "Answerer" in " ".join(p.cmdline()))
                killed.append(actor.pid)
                actor.kill()

    result = scan(prepared, Killer())
    assert killed
    assert landscape(result.folder) == landscape(alone.folder)
    assert verify(result.folder).problems == ()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_capabilities_by_ray_are_those_of_one_process(tmp_path: Path, ray: Any) -> None:
    questions = tmp_path / "own.jsonl"
    rows = [{"question": f"Which {n}?", "choices": ["red", "blue"], "answer": 0} for n in range(4)]
    questions.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    changes: dict[str, Any] = {"steps": 2, "seeds": (0,), "capability": (str(questions),)}
    alone = scan(prepare(config_of(tmp_path, "alone", **changes)))
    by_ray = scan(prepared_for_ray(tmp_path, "ray", **changes))

    def records(folder: Path) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (folder / "capability").glob("*/*.jsonl")}

    assert len(records(alone.folder)) == 3
    assert records(by_ray.folder) == records(alone.folder)
    assert verify(by_ray.folder).problems == ()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_an_error_on_an_actor_is_the_same_error_here(tmp_path: Path, ray: Any) -> None:
    prepared = prepared_for_ray(tmp_path, "ray")
    long = replace(prepared, sampling=Sampling(10_000))
    with pytest.raises(EngineError, match="--max-new-tokens"):
        scan(long)


def test_threads_do_not_hold_the_fork_up() -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert set(ask(Scripted(), 2)) == set(POINTS)
    finally:
        stop.set()
        thread.join()
