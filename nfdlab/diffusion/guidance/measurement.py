"""Measurements y = A(x0) + s·eps of a vector or latent, and the linear algebra that guidance does with them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.checks import require, require_finite, require_number
from ...exact.normal import LEAST_NOISE
from ..denoiser import DenoiseFn


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


@contextmanager
def traced(denoise: DenoiseFn, x: Tensor, sigma, through: bool = True) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """x, sigma and D(x, sigma) with gradients enabled in any mode of the sampler; `through`: gradients of D too."""
    with torch.inference_mode(False), torch.enable_grad():
        # copies: a tensor born under inference_mode can never be part of a graph
        x = x.clone().detach().requires_grad_(through)
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).clone()
        with torch.set_grad_enabled(through):
            clean = denoise(x, sigma)
        yield x, sigma, clean


def rows_through(out: Tensor, x: Tensor, rows: Tensor) -> Tensor:
    """(∂out/∂x)ᵀ row, draw by draw, for rows (m, n, …) shaped as out (n, …): (m, n, …) shaped as x."""
    return torch.stack([torch.autograd.grad(out, x, row.expand_as(out), retain_graph=True)[0] for row in rows])


def jacobian(measurement: Measurement, at: Tensor) -> tuple[Tensor, Tensor]:
    """y − A(at) (n, m), and the rows of ∂A/∂x0 there (m, n, …), or (m, 1, …) where they are known to be all alike."""
    if measurement.matrix is not None:
        with torch.no_grad():
            return measurement.miss(at), measurement.matrix.to(at).reshape(-1, 1, *at.shape[1:])
    at = at.detach().requires_grad_()
    miss = measurement.miss(at)
    m = len(measurement.y)
    unit = torch.eye(m, dtype=miss.dtype, device=miss.device)[:, None].expand(m, *miss.shape)
    return miss.detach(), rows_through(-miss, at, unit)


def update(rows: Tensor, spread: Tensor, miss: Tensor, variance: float, through: Tensor | None = None) -> Tensor:
    """C Jᵀ (J C Jᵀ + s²)⁻¹ miss: rows of J and of J C, both (m, n or 1, …), miss (n, m) -> (n, …); with `through` = J
    the first C is left out.

    Directions of y in which J C Jᵀ is not positive are left unchanged: the Jacobian of a trained network need not be a
    covariance, and a negative eigenvalue would push x away from y.
    """
    inner = torch.einsum("ink,jnk->nij", rows.flatten(2), spread.flatten(2))
    lam, Q = torch.linalg.eigh((inner + inner.mT) / 2)
    # below this an eigenvalue is rounding, as in a pseudo-inverse
    least = lam.amax(-1, keepdim=True) * lam.shape[-1] * torch.finfo(lam.dtype).eps
    weight = torch.where(lam > least.clamp_min(0), 1 / (lam.clamp_min(0) + variance), 0.0)
    pull = torch.einsum("nij,nj,nlj,nl->ni", Q, weight, Q, miss)
    out = spread if through is None else through
    return torch.einsum("ni,in...->n...", pull, out.expand(len(out), len(pull), *out.shape[2:]))


def isotropic(s: Tensor, sigma_data: float) -> Tensor:
    """r²: the variance of each entry of x0 given x where x0 is N(mean, sigma_data² I)."""
    return s**2 * sigma_data**2 / (s**2 + sigma_data**2)
