"""A Gaussian of cosines measured on draws: its basis, its posterior, and its channels of films."""

import pytest
import torch

import nfdlab as nfd
from nfdlab.core.rng import normals
from nfdlab.core.types import ObservationBatch
from nfdlab.gaussian.channels import CosineChannels
from nfdlab.gaussian.cosines import CosineGaussian

GP1D = nfd.problems.get("gp1d")


def measured(rank: int = 40, side: int = 64, many: int = 8192) -> CosineGaussian:
    found = CosineGaussian(1, 1, (side,), rank)
    found.calibrate(GP1D.draw(many, seed=5)(found.places))
    return found


def test_cosines_are_orthonormal_on_the_grid_and_each_in_its_own_channel():
    found = CosineGaussian(2, 2, (6, 5), 30)
    found.calibrate(normals(0, 200, (30, 2), "values"))
    rows = found.cosines(found.places)                                         # (30 points x 2 channels, 30)
    torch.testing.assert_close(rows.T @ rows, torch.eye(30), atol=1e-5, rtol=0)
    assert ((rows.unflatten(0, (-1, 2)) != 0).any(0).sum(0) == 1).all()
    flat = normals(0, 200, (30, 2), "values") * torch.tensor([1.0, 0.0])
    found.calibrate(flat[:, :, [1, 0]])                                        # of which the first channel is nought
    rows = found.cosines(found.places).unflatten(0, (-1, 2))
    assert (rows[:, 0] == 0).all() and (rows[:, 1] != 0).any()


def test_it_holds_mean_and_covariance_of_the_draws_and_the_power_of_the_rest():
    """On the grid: those of the draws, seen through the cosines that are kept; what these miss is in the residual."""
    draws = (3 + torch.cumsum(normals(1, 500, (8, 1), "draws"), 1)).double()
    found = CosineGaussian(1, 1, (8,), 5).double()
    found.calibrate(draws)
    kept, rows, flat = found.cosines(found.places.double()), found.rows(found.places.double()), draws[..., 0]
    through = kept @ kept.T
    torch.testing.assert_close(rows @ rows.T, through @ torch.cov(flat.T) @ through, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rows @ found.centre, through @ flat.mean(0), atol=1e-4, rtol=1e-4)
    rest = (flat - flat @ through).square().mean()
    assert float(rest) > 0.01 and float(found.left) == pytest.approx(float(rest), rel=1e-4)


@pytest.mark.parametrize("m", [0, 3, 12])
def test_it_is_the_exact_posterior_where_functions_are_gaussian_and_stationary(m):
    """Means to 0.05 and standard deviations to 0.03 of the field's: a covariance of 8,192 draws, 40 cosines."""
    found, at = measured(), nfd.cell_centres((48,))
    seen = nfd.observe(GP1D.draw(1, seed=m), nfd.patterns.Random(count=m), noise_std=0.1, seed=m)
    mean, variance = found.predict(found.condition(ObservationBatch.of([seen])), at)
    exact_mean, exact_std = GP1D.oracle().moments(seen, at)
    assert (mean[0] - exact_mean).abs().max() < 0.05 and (variance[0].sqrt() - exact_std).abs().max() < 0.03


def test_on_a_grid_it_is_what_it_is_at_its_points():
    found = CosineGaussian(3, 1, (6, 5, 5), 40)
    found.calibrate(normals(2, 300, (150, 1), "films") + 1.0)
    weights, shape = normals(3, 2, (40,), "weights"), (4, 7, 3)
    at = (weights @ found.rows(nfd.cell_centres(shape)).T).reshape(2, 1, *shape)
    torch.testing.assert_close(found.on_grid(weights, shape), at, atol=1e-5, rtol=1e-5)


def test_channels_of_a_film_are_mean_and_deviation_and_the_mean_again_on_the_finer_grid():
    """Deviations are those of the middles of boxes of two points a side; a function's are the same in any batch."""
    found = CosineChannels(3, 1, 30, (4, 6, 6), (4, 12, 12))
    films = nfd.problems.get("moving_disc2dt").draw(256, seed=0)
    found.calibrate(films(found.places))
    seen = [nfd.observe(films[i], nfd.patterns.Random(count=m), seed=i) for i, m in enumerate((0, 9, 30))]
    channels, fine = found(ObservationBatch.of(seen))
    assert channels.shape == (3, 2, 4, 6, 6) and fine.shape == (3, 1, 4, 12, 12)
    posterior = found.condition(ObservationBatch.of(seen))
    mean, _ = found.predict(posterior, nfd.cell_centres((4, 6, 6)))
    torch.testing.assert_close(channels[:, 0].flatten(1), mean[..., 0], atol=1e-4, rtol=1e-4)
    _, variance = found.predict(posterior, nfd.cell_centres((4, 3, 3)))
    std = channels[:, 1].exp()
    torch.testing.assert_close(std[..., ::2, ::2].flatten(1), variance[..., 0].sqrt(), atol=1e-4, rtol=1e-4)
    assert torch.equal(std[..., 1::2, 1::2], std[..., ::2, ::2])
    torch.testing.assert_close(found(ObservationBatch.of(seen[:2]))[1], fine[:2], atol=1e-4, rtol=1e-4)


def test_more_cosines_than_values_and_fewer_draws_than_cosines_are_refused():
    with pytest.raises(ValueError, match="rank"):
        CosineGaussian(1, 1, (8,), 8)
    with pytest.raises(ValueError, match="draws"):
        CosineGaussian(1, 1, (8,), 5).calibrate(torch.zeros(5, 8, 1))
