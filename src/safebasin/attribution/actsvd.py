"""ActSVD: the directions in which a matrix gives most of what it gives on some rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from safebasin.attribution.base import NO_ROWS, Gives, made_of, require_rows
from safebasin.attribution.ranks import removed
from safebasin.directions import Direction
from safebasin.errors import DirectionError, UsageError
from safebasin.subject.gathering import gather
from safebasin.subject.linear import Linear
from safebasin.subject.rows import Rows
from safebasin.subject.statistics import InputGram
from safebasin.subject.subject import Subject
from safebasin.weights.parameters import Parameter
from safebasin.weights.subspaces import HeldSubspace

Order = Literal["intact", "sequential"]


@dataclass(frozen=True)
class Decomposed:
    """The left singular vectors and the singular values of W·X, without X itself.

    vectors   float64 [out, n], n = min(out, in), orthonormal columns, the largest first
    values    float64 [n], descending
    """

    vectors: Tensor
    values: Tensor

    @classmethod
    def of(cls, weight: Tensor, gram: Tensor) -> Decomposed:
        """Of W [out, in] and G = X·Xᵀ [in, in].

        W·X·(W·X)ᵀ = W·G·Wᵀ = U·S²·Uᵀ. Where W is taller than wide U·S·Vᵀ = W·G^½ is less work and
        has the same U and S. Both in float64: a square root halves the digits, and what is left
        are those of float32 activations.
        """
        weight, gram = weight.double(), gram.to(weight.device, torch.float64)
        if weight.shape[0] <= weight.shape[1]:
            squares, vectors = torch.linalg.eigh(weight @ gram @ weight.T)
            return cls(vectors.flip(1), squares.flip(0).clamp(min=0).sqrt())
        squares, inputs = torch.linalg.eigh(gram)
        vectors, values, _ = torch.linalg.svd(
            weight @ (inputs * squares.clamp(min=0).sqrt()), full_matrices=False
        )
        return cls(vectors, values)

    @property
    def rank(self) -> int:
        """How many singular values are more than the rounding of float32: σ_i > out·ε·σ_1.

        As numpy.linalg.matrix_rank has it of a matrix of that many rows.
        """
        least = len(self.vectors) * torch.finfo(torch.float32).eps * self.values[0]
        return int((self.values > least).sum())


class RankSubspace(HeldSubspace):
    """What ActSVD found: the basis U_r of each parameter, and the share of ‖W·X‖² within it.

    parameters   the parameters that have a basis, in the model's order
    shares       in [0, 1] by parameter name, of all matrices that it stacks together
    """

    def __init__(
        self,
        name: str,
        bases: Mapping[Parameter, Tensor],
        shares: Mapping[str, float],
        found_by: Mapping[str, Any],
    ) -> None:
        tensors = {one.name: basis for one, basis in bases.items()}
        super().__init__(name, "output", tensors, found_by=found_by)
        self.parameters, self.shares = tuple(bases), dict(shares)

    def joined(self, other: RankSubspace) -> RankSubspace:
        """Both together, of different parameters, as found by this one."""
        both = [*self.parameters, *other.parameters]
        bases = {one: {**self.bases, **other.bases}[one.name] for one in both}
        return RankSubspace(self.name, bases, {**self.shares, **other.shares}, self.found_by)


class ActSvd:
    """W·X = U·S·Vᵀ and the subspace U_r of the first r columns of U (Wei et al., Sec. 2.1).

    X [in, tokens] is what enters at the tokens of answers. U·Sᵣ·Vᵀ = Π·W·X with Π = U_r·U_rᵀ is
    the best approximation of that rank (Eckart and Young), ‖W·X - Π·W·X‖² = Σ_{i > r} σ_i². The
    decomposition is exact: the code's randomised one is far off in some configurations.

    rank     r from 0 on; a negative one is R + rank, all but so many of R = min(out, in), which is
           how the paper counts the ranks that it keeps of Π_u and Π_s

    `removed`, `kept` and `isolated` (safebasin.attribution.ranks) make directions of it. Raises
    DirectionError where a matrix gives fewer than r directions on these rows: below its numerical
    rank the columns of U are arbitrary. So the first block's q, k and v see no more than one
    direction for each distinct token.
    """

    kind: ClassVar[str] = "actsvd"
    reference: ClassVar[str] = "Wei et al., ICML 2024, arXiv 2402.05162, Sec. 2.1"
    gives: ClassVar[Gives] = "subspace"

    def __init__(self, rank: int = 1, order: Order = "intact") -> None:
        if order not in ("intact", "sequential"):
            raise UsageError(
                f"ActSVD has no order '{order}' of blocks.", "Give intact or sequential."
            )
        self.rank = int(rank)
        self.order: Order = order

    def spec(self) -> dict[str, Any]:
        order = {} if self.order == "intact" else {"order": self.order}
        return {"kind": self.kind, "rank": self.rank, **order}

    def locate(self, subject: Subject, safety: Rows, utility: Rows = NO_ROWS) -> RankSubspace:
        require_rows(safety, utility)
        if self.order == "intact":
            return self.within(subject, safety, subject.linear)

        def change(found: RankSubspace) -> Direction:
            return removed(found, subject.weights)

        [made] = sequential(subject, [self], [safety], change)
        return made

    def within(self, subject: Subject, rows: Rows, layers: Sequence[Linear]) -> RankSubspace:
        """The subspace of these linear layers alone, of the model as its weights are just now."""
        found: dict[Parameter, list[tuple[Decomposed, int]]] = {}
        for layer, one in self.decompositions(subject, rows, layers):
            rank = self._rank(layer, one)
            # Of U no more than is needed: all of them would take as much as the model.
            own = Decomposed(one.vectors[:, :rank].float(), one.values)
            found.setdefault(layer.parameter, []).append((own, rank))
        bases, shares = {}, {}
        for parameter, matrices in found.items():
            stack = torch.stack([one.vectors for one, _ in matrices])
            bases[parameter] = stack if parameter.stacked is not None else stack[0]
            whole = sum(float(one.values.square().sum()) for one, _ in matrices)
            inside = sum(float(one.values[:rank].square().sum()) for one, rank in matrices)
            shares[parameter.name] = inside / whole if whole else 1.0
        name = f"{self.kind}-{self.rank}-{rows.name}"
        return RankSubspace(name, bases, shares, made_of(self, subject, rows))

    def decompositions(
        self, subject: Subject, rows: Rows, layers: Sequence[Linear] | None = None
    ) -> Iterator[tuple[Linear, Decomposed]]:
        """Each linear layer, all by default, with U and S of its W·X on the rows."""
        for layer, gram in gather(subject, rows.rows, InputGram, where="answer", layers=layers):
            own = layer.of(subject.weights.pristine(layer.parameter.name))
            product = Decomposed.of(own, gram.result())
            if not bool(product.values.isfinite().all()):
                raise DirectionError(
                    f"What '{layer.name}' gives is not finite.", "Load the model in float32."
                )
            yield layer, product

    def _rank(self, layer: Linear, found: Decomposed) -> int:
        most = min(layer.outputs, layer.inputs)
        rank = self.rank if self.rank >= 0 else most + self.rank
        if rank < 0:
            raise UsageError(
                f"All but {-self.rank} of the {most} ranks of '{layer.name}' are none.",
                f"Give {-most} or more.",
            )
        if rank > found.rank:
            raise DirectionError(
                f"'{layer.name}' gives {found.rank} independent directions on these rows, and "
                f"{rank} are asked for.",
                f"Give a rank of {found.rank} or less, or more rows."
                if found.rank
                else "Give more rows, or others.",
            )
        return rank


def sequential(
    subject: Subject,
    methods: Sequence[ActSvd],
    rows: Sequence[Rows],
    change: Callable[..., Direction],
) -> tuple[RankSubspace, ...]:
    """The subspaces of several methods, each of its rows, found one block after another.

    What enters a block is taken of the model whose earlier blocks are changed already, by
    `change`, which makes one direction of the subspaces found so far, one a method: `isolated`
    with its weights, or `removed`. So the authors' code goes through the blocks; all matrices of
    one block see the same model. Every block takes a pass over all rows. The model is left as it
    was. Raises what `ActSvd.locate` does: a change may lower the numerical rank of what follows.
    """
    blocks: dict[int, list[Linear]] = {}
    for layer in subject.linear:
        blocks.setdefault(layer.parameter.layer or 0, []).append(layer)
    found: list[RankSubspace] = []
    for block in sorted(blocks):
        moves = [(1.0, change(*found))] if found else []
        with subject.weights.displaced(moves):
            parts = [
                method.within(subject, own, blocks[block])
                for method, own in zip(methods, rows, strict=True)
            ]
        found = [a.joined(b) for a, b in zip(found, parts, strict=True)] if found else parts
    return tuple(found)
