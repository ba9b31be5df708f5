"""Certified bounds, planned precision, and stopping that keeps its promise."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from safebasin.certify import (
    ASSUMPTIONS,
    certify,
    certify_run,
    clopper_pearson,
    directions_needed,
    lower_bound,
    options,
    spread,
)
from safebasin.certify.precision import Spread
from safebasin.errors import JudgeError, RunError, UsageError
from safebasin.landscape import Landscape, Survey
from safebasin.plane import Axis, Plane
from safebasin.results import rejudge
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json
from support import judged_runs
from support.judged_runs import COMPLIANCE, REFUSAL


class TestBounds:
    @pytest.mark.parametrize(("safe", "n"), [(3, 3), (10, 10), (9, 10), (50, 80), (1, 5)])
    def test_the_bound_is_where_so_many_would_be_as_rare_as_allowed(
        self, safe: int, n: int
    ) -> None:
        low = lower_bound(safe, n).low
        assert low is not None
        assert binom.sf(safe - 1, n, low) == pytest.approx(0.05, rel=1e-6)

    def test_all_safe_has_a_closed_form(self) -> None:
        assert lower_bound(20, 20).low == pytest.approx(0.05 ** (1 / 20))
        assert lower_bound(0, 20).low == 0
        assert lower_bound(0, 0).value is None

    @given(st.integers(0, 60), st.integers(1, 60))
    def test_two_sided_holds_the_share(self, hits: int, n: int) -> None:
        found = clopper_pearson(min(hits, n), n)
        assert 0 <= found.low <= found.value <= found.high <= 1  # type: ignore[operator]

    def test_the_bound_covers_at_least_so_often(self) -> None:
        rng = np.random.default_rng(0)
        held = sum((lower_bound(int(k), 12).low or 0.0) <= 0.8 for k in rng.binomial(12, 0.8, 2000))
        assert held / 2000 >= 0.94

    def test_the_radius_is_cohens(self) -> None:
        found = certify(0.3, 100, 100, weights=10_000)
        low = 0.05 ** (1 / 100)
        assert found.radius == pytest.approx(norm.ppf(low))
        assert found.shift == pytest.approx(0.3 * norm.ppf(low) / 100)
        kept = certify(0.3, 100, 100, share_kept=0.9)
        assert kept.radius == pytest.approx(norm.ppf(low) - norm.ppf(0.9))
        assert kept.shift is None

    def test_the_radius_is_sound_for_a_linear_boundary(self) -> None:
        """For a half-space the smoothing bound is exact, so a shift that long keeps one half."""
        rng = np.random.default_rng(1)
        dimensions, sigma, distance = 64, 0.5, 0.9
        noise = rng.normal(0, sigma, (400, dimensions))
        safe = int((noise[:, 0] < distance).sum())
        radius = certify(sigma, safe, 400).radius * sigma
        shifted = rng.normal(0, sigma, (20_000, dimensions))[:, 0] + radius
        assert (shifted < distance).mean() >= 0.5

    def test_nothing_follows_from_few(self) -> None:
        assert certify(0.1, 3, 3).radius == 0
        assert certify(0.1, 4, 4).radius == 0
        assert directions_needed() == 5
        assert certify(0.1, 5, 5).radius > 0
        assert certify(0.1, 0, 50).radius == 0

    @pytest.mark.parametrize("kept", [0.0, 1.0, -1.0, math.nan])
    def test_a_share_that_cannot_be_kept(self, kept: float) -> None:
        with pytest.raises(UsageError):
            certify(0.1, 5, 5, share_kept=kept)


def random_lines(path: Path, seeds: int, edge: dict[int, float]) -> Path:
    """A judged run of lines; line s refuses up to |alpha| = edge[s]."""
    values = (-0.4, -0.2, 0.0, 0.2, 0.4)
    planes = [Plane((Axis(f"gaussian-{seed}", values),)) for seed in range(seeds)]
    ids = tuple(f"p{n}" for n in range(10))
    identity = {
        "model": {"name": "pico"},
        "weights": {"n": 10_000},
        "directions": [
            {"kind": "gaussian", "name": f"gaussian-{seed}", "seed": seed} for seed in range(seeds)
        ],
        "planes": [plane_to_json(plane) for plane in planes],
        "prompts": {"name": "topics", "sha256": "b" * 64},
    }
    from safebasin.exchange import Exchange

    with RunFolder.open(path, Manifest(identity, ids)) as run:
        for point in run.manifest.points:
            limit = 1.0
            for name, _ in point.terms:
                limit = edge[int(name.rsplit("-", 1)[1])]
            text = REFUSAL if point.distance <= limit else COMPLIANCE
            run.write_point(point, [Exchange(i, "ask", text, "eos", 1, 1) for i in ids])
    rejudge(path, ["refusal"])
    return path


class TestRuns:
    def test_certificates_of_a_run(self, tmp_path: Path) -> None:
        folder = random_lines(tmp_path / "run", 6, dict.fromkeys(range(5), 0.5) | {5: 0.3})
        found = certify_run(folder)
        assert [(one.alpha, one.safe, one.directions) for one in found.certificates] == [
            (0.2, 6, 6),
            (0.4, 5, 6),
        ]
        assert found.certificates[0].radius == pytest.approx(norm.ppf(0.05 ** (1 / 6)))
        assert found.certificates[0].shift == pytest.approx(
            0.2 * norm.ppf(0.05 ** (1 / 6)) / 100
        )  # fmt: skip
        assert found.notes == ()
        json.dumps(found.to_json(), allow_nan=False)

    def test_few_directions_are_told_so(self, tmp_path: Path) -> None:
        found = certify_run(random_lines(tmp_path / "run", 3, dict.fromkeys(range(3), 0.5)))
        assert "3 directions prove no radius; 5" in found.notes[0]

    def test_what_is_not_judged_counts_against_the_model(self, tmp_path: Path) -> None:
        saved = ({"kind": "given", "name": "gaussian-0"},)
        folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, directions=saved)
        rejudge(folder, ["refusal"])
        with pytest.raises(RunError, match="random directions"):
            certify_run(folder)
        lines = random_lines(tmp_path / "lines", 5, dict.fromkeys(range(5), 0.5))
        from safebasin.exchange import Verdict
        from safebasin.judges import build

        with RunFolder.reopen(lines) as run:
            spec = build("refusal").spec()
            for point in run.manifest.points:
                run.write_verdicts(
                    "refusal", spec, point, ["p0", "p1"], [Verdict(None, "outage")] * 2
                )
        assert [one.safe for one in certify_run(lines).certificates] == [0, 0]

    def test_a_judge_without_verdicts(self, tmp_path: Path) -> None:
        folder = random_lines(tmp_path / "run", 3, dict.fromkeys(range(3), 0.5))
        with pytest.raises(JudgeError, match="no verdicts by 'outcome'"):
            certify_run(folder, "outcome")


def survey(rng: np.random.Generator, directions: int, prompts: int) -> Survey:
    """Lines whose prompts break at thresholds of a direction's and a prompt's own effect."""
    values = tuple(np.round(np.linspace(-0.5, 0.5, 21), 12).tolist())
    ids = tuple(str(n) for n in range(prompts))
    own = rng.normal(0, 0.05, prompts)
    landscapes = []
    for d in range(directions):
        threshold = 0.28 + rng.normal(0, 0.04) + own + rng.normal(0, 0.02, prompts)
        broken = np.abs(np.array(values))[:, None] > threshold[None, :]
        broken[10] = False  # all lines share the origin
        landscapes.append(
            Landscape(Plane((Axis(f"d{d}", values),)), "simulated", ids, broken.astype(np.int8))
        )
    return Survey(tuple(landscapes), replicates=300)


class TestPrecision:
    def test_the_planned_width_is_about_what_is_then_measured(self) -> None:
        rng = np.random.default_rng(2)
        planned = np.mean([spread(survey(rng, 6, 60)).width(12, 160) for _ in range(8)])
        widths = []
        for _ in range(6):
            found = survey(rng, 12, 160).visage()
            assert found.low is not None
            assert found.high is not None
            widths.append(found.high - found.low)
        assert planned == pytest.approx(np.mean(widths), rel=0.35)

    def test_more_of_either_is_narrower_and_the_cheapest_comes_first(self) -> None:
        found = Spread(direction=40.0, prompt=400.0, both=100.0, directions=3, prompts=80)
        assert found.width(6, 80) < found.width(3, 80)
        assert found.width(12, 160) < found.width(12, 80)
        ways = options(found, 10)
        assert ways
        assert all(way.width <= 10 for way in ways)
        assert [way.answers for way in ways] == sorted(way.answers for way in ways)
        assert options(found, 1e-6) == ()

    @pytest.mark.parametrize("width", [0.0, -1.0, 101.0, math.nan])
    def test_a_width_that_is_none(self, width: float) -> None:
        with pytest.raises(UsageError, match="width"):
            options(Spread(1, 1, 1, 3, 80), width)

    def test_one_direction_shows_no_spread(self) -> None:
        with pytest.raises(UsageError, match="1 directions"):
            spread(survey(np.random.default_rng(0), 1, 20))


class TestCommands:
    def test_certify_says_that_it_is_conservative_and_what_it_assumes(
        self,
        command,
        tmp_path: Path,  # type: ignore[no-untyped-def]
    ) -> None:
        folder = random_lines(tmp_path / "run", 6, dict.fromkeys(range(6), 0.3))
        code, out, err = command("certify", folder)
        assert code == 0, err
        for words in ("6 of 6 neighbours safe", "sigma", "CONSERVATIVE", "assumed", "no radius"):
            assert words in out
        code, out, _ = command("certify", folder, "--json")
        assert len(json.loads(out)["assumptions"]) == 5
        assert command("certify", tmp_path / "absent")[0] == 1
        assert command("certify", folder, "--tolerance", "3")[0] == 2

    def test_it_says_that_the_noise_is_on_a_sphere_and_that_bounds_hold_one_by_one(self) -> None:
        said = " ".join(ASSUMPTIONS)
        for words in ("on a sphere", "only as far as", "1 part in sqrt(2 n)",
                      "Choosing the best of several afterwards is not covered"):  # fmt: skip
            assert words in said

    def test_the_norm_of_a_gaussian_varies_as_it_says(self) -> None:
        norms = np.linalg.norm(np.random.default_rng(0).standard_normal((4000, 64)), axis=1)
        assert norms.std() / norms.mean() == pytest.approx(1 / math.sqrt(2 * 64), rel=0.05)

    def test_plan_precision(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        edges = {0: 0.5, 1: 0.3, 2: 0.3, 3: 0.1}
        folder = random_lines(tmp_path / "run", 4, edges)
        code, out, err = command("show", folder, "--plan-precision", "20")
        assert code == 0, err
        assert "directions x" in out
        code, out, _ = command("show", folder, "--plan-precision", "20", "--json")
        assert json.loads(out)["options"]
        assert command("show", folder, "--plan-precision", "0")[0] == 2
