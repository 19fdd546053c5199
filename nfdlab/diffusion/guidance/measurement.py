"""Measurement of a vector or latent: y = A(x0) + s·eps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.checks import require, require_finite, require_number
from ...exact.normal import LEAST_NOISE


def require_numbers(y) -> Tensor:
    """`y` if it is a tensor of finite floats (m,), else refused."""
    require(isinstance(y, Tensor) and y.is_floating_point(), kind=TypeError, came=y,
            must="y: a tensor of floating point numbers (m,).", why="It is compared with A(x).",
            do="torch.as_tensor(y, dtype=torch.float32).")
    require(y.ndim == 1 and len(y) > 0, must="y: shape (m,), at least one number.", came=y,
            why="One measurement of one x0 guides all draws.", do="y.reshape(-1); without measurements draw the prior.")
    return require_finite(y, "y")


def _own(x: Tensor) -> Tensor:
    """A copy that gradients may pass through, though it was made under inference_mode."""
    with torch.inference_mode(False):
        return x.clone()


@dataclass(frozen=True, eq=False)
class Measurement:
    """y (m,) = A(x0) + noise of std `noise_std`, for one x0; A (n, …) -> (n, m) is differentiable, each row by itself.

    `points` and `linear` build the common ones; `matrix` (m, k), k the entries of one x0 flattened.
    """

    A: Callable[[Tensor], Tensor]
    y: Tensor
    noise_std: float
    matrix: Tensor | None = None
    index: Tensor | None = None

    def __post_init__(self):
        require(callable(self.A), kind=TypeError, must="A: a function of clean x (n, …), giving (n, m).",
                came=self.A, why="Guidance compares A(x) with y.", do="Measurement.linear(matrix, y, s) for a matrix.")
        require_numbers(self.y), require_number(self.noise_std, "noise_std", 0.0)

    @classmethod
    def linear(cls, matrix: Tensor, y: Tensor, noise_std: float) -> "Measurement":
        """y = matrix x0: a blur, an integral, block averages. matrix (m, k)."""
        require_numbers(y)
        require(isinstance(matrix, Tensor) and matrix.is_floating_point(), kind=TypeError,
                must="matrix: a tensor of floating point numbers (m, k).", came=matrix, why="It multiplies x0.",
                do="torch.as_tensor(matrix, dtype=torch.float32).")
        require(matrix.ndim == 2 and len(matrix) == len(y), must="matrix: shape (m, k), a row for each of y.",
                came=matrix, why=f"y has {len(y)} numbers.", do="matrix.T, if it is transposed.")
        matrix = _own(require_finite(matrix, "matrix"))

        def A(x: Tensor) -> Tensor:
            flat = x.flatten(1)
            require(flat.shape[1] == matrix.shape[1], must=f"x: {matrix.shape[1]} entries a draw, as the matrix has.",
                    came=x, why="Each column weighs one entry of x.", do="Build the matrix for this grid.")
            return flat @ matrix.to(flat).T

        return cls(A, y, noise_std, matrix)

    @classmethod
    def points(cls, index: Tensor, y: Tensor, noise_std: float) -> "Measurement":
        """y = x0[index]: entries of the flattened x0, index (m,) of integers."""
        require_numbers(y)
        whole = isinstance(index, Tensor) and not index.is_floating_point() and index.dtype != torch.bool
        require(whole, kind=TypeError, must="index: a tensor of integers (m,).", came=index,
                why="It says which entries of x0 were seen.", do="mask.nonzero()[:, 0] turns a mask into an index.")
        require(index.shape == (len(y),), must="index: one for each of y.", came=index,
                why=f"y has {len(y)} numbers.", do="Pass index and y of the same length.")
        require(int(index.min()) >= 0, must="index: from 0 up.", came=index, why="Entries are counted from the first.",
                do="index % k, if they were counted from the last.")
        index = _own(index)

        def A(x: Tensor) -> Tensor:
            flat = x.flatten(1)
            require(int(index.max()) < flat.shape[1], must=f"x: more than {int(index.max())} entries a draw.", came=x,
                    why="An entry was seen that x does not have.", do="Take the index on the grid that is sampled.")
            return flat[:, index.to(flat.device)]

        return cls(A, y, noise_std, index=index)

    @property
    def variance(self) -> float:
        """s², at least LEAST_NOISE²."""
        return max(float(self.noise_std), LEAST_NOISE) ** 2

    def miss(self, x: Tensor) -> Tensor:
        """y − A(x): (n, m)."""
        seen = self.A(x)
        require(seen.shape == (len(x), len(self.y)), must=f"A(x): shape ({len(x)}, {len(self.y)}).", came=seen,
                why="A keeps the rows of x apart and gives as many numbers as y has.", do="A(x).flatten(1), say.")
        return self.y.to(seen) - seen
