"""Linear probes of heads and neurons, held against plain transformers and scipy's minimiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from safebasin.attribution.found import UnitSet
from safebasin.attribution.probe import Probe, accuracies, last_inputs, logistic_regression
from safebasin.attribution.settings import AttributeConfig
from safebasin.attribution.study import attribute
from safebasin.attribution.units import Places
from safebasin.errors import DataError, EngineError
from safebasin.subject.rows import Rows, load_rows
from safebasin.subject.subject import Subject
from support import pico
from test_subject import ROWS, answered_otherwise, subject_of

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def aligned() -> Subject:
    return Subject.load("testbed:aligned")


@pytest.fixture(scope="module")
def sets() -> tuple[Rows, Rows]:
    return load_rows("testbed:refusing").first(12), load_rows("testbed:benign").first(10)


def fitted(x: Array, y: Array) -> Array:
    """The same logistic regression by a general minimiser: (width + 1,)."""

    def objective(w: Array) -> float:
        told = (2 * y - 1) * (x @ w[:-1] + w[-1])
        return float(np.logaddexp(0, -told).sum() + w[:-1] @ w[:-1] / 2)

    found: Array = minimize(objective, np.zeros(x.shape[1] + 1), tol=1e-12).x
    return found


@pytest.mark.parametrize("apart", [0.3, 30.0])
def test_the_regression_is_the_minimum(apart: float) -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((3, 20, 4))
    y = (np.arange(20) < 10).astype(float)
    x[:, y > 0] += apart
    made = logistic_regression(torch.tensor(x), torch.tensor(y)).numpy()
    for unit in range(3):
        np.testing.assert_allclose(made[unit], fitted(x[unit], y), atol=2e-5)


def test_the_accuracy_is_that_on_the_last_third() -> None:
    generator = np.random.default_rng(1)
    x = generator.standard_normal((2, 2, 9, 3))
    x[0, 0] += 9.0  # the first unit tells the sides apart
    found = accuracies(torch.tensor(x)).numpy()
    assert found[0] == 1.0
    known = x[1, :, :6].reshape(12, 3)
    mean, spread = known.mean(0), known.std(0)
    w = fitted((known - mean) / spread, np.repeat([1.0, 0.0], 6))
    told = ((x[1, :, 6:].reshape(6, 3) - mean) / spread) @ w[:-1] + w[-1] > 0
    assert found[1] == (told == np.repeat([True, False], 3)).mean()


@pytest.mark.parametrize("of", ["heads", "neurons"])
def test_what_a_unit_gives_is_what_enters_its_output_matrix(of: str) -> None:
    subject = subject_of(pico.model("llama"))
    places = Places.among(subject, of)  # type: ignore[arg-type]
    found = last_inputs(subject, places, ROWS[:2])
    name = "self_attn.o_proj" if of == "heads" else "mlp.down_proj"
    [encoded] = subject.encode(ROWS[1:2])
    prompt = encoded.ids[: next(i for i, one in enumerate(encoded.labels) if one >= 0)]
    seen: list[torch.Tensor] = []
    module = subject.model.get_submodule(f"model.layers.1.{name}")
    handle = module.register_forward_pre_hook(lambda _, given: seen.append(given[0][0, -1]))
    subject.model(torch.tensor([prompt]))
    handle.remove()
    torch.testing.assert_close(found[1][1], seen[0].double(), rtol=1e-6, atol=1e-7)


def test_harmful_prompts_are_told_apart_in_the_aligned_model(
    aligned: Subject, sets: tuple[Rows, Rows]
) -> None:
    found = Probe().locate(aligned, *sets)
    values = torch.cat(list(found.scores.values()))
    # Thirds of as many of each: 10, of which 4 are asked.
    assert set((8 * values).tolist()) <= set(map(float, range(9)))
    assert float(values.max()) == 1.0
    again = Probe("heads", 1).locate(aligned, *sets)
    assert found.spec()["seed"] == 0
    assert again.spec()["others"]["n"] == 10


def test_on_files(tmp_path: Path) -> None:
    asked = AttributeConfig(
        "probe:heads", "testbed:aligned", "testbed:refusing", "testbed:benign", rows=6, share=0.25,
        out=str(tmp_path / "out"),
    )  # fmt: skip
    located = attribute(asked)
    assert isinstance(located.found, UnitSet)
    assert (located.found.taken, located.found.of, located.found.shared) == (4, 16, None)
    assert [path.name for path in located.files[:2]] == ["safety.safetensors", "mask.safetensors"]
    assert attribute(asked).again


def test_bad_input(aligned: Subject, sets: tuple[Rows, Rows]) -> None:
    with pytest.raises(DataError, match="12 prompts of safety from 0 of utility"):
        Probe().locate(aligned, sets[0])
    with pytest.raises(DataError, match="share prompts"):
        Probe().locate(aligned, sets[0], answered_otherwise(sets[0]))
    broken = subject_of(pico.model("llama"))
    with torch.no_grad():
        broken.model.get_parameter("model.layers.0.self_attn.v_proj.weight").fill_(float("inf"))
    with pytest.raises(EngineError, match="what the heads give is not finite"):
        last_inputs(broken, Places.among(broken, "heads"), ROWS[:1])
