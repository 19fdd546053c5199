"""DeepSDF: place and latent enter the first layer alike."""

import torch

from nfdlab.core.rng import normals, seeded
from nfdlab.fields.deepsdf import DeepSDF


def test_the_field_moves_with_its_latent():
    """Where the latent's weights mirror the place's, adding to both changes nothing: a shape that is only moved."""
    with seeded(0):
        field = DeepSDF(2, 2, 1, 16, 2)
    with torch.no_grad():
        field.condition.weight.copy_(-field.place.weight)
    x, z, shift = normals(0, 5, (2,)), normals(1, 3, (2,)), torch.tensor([0.3, -0.2])
    torch.testing.assert_close(field(x + shift, z + shift), field(x, z), rtol=0, atol=1e-5)
    assert field(x.expand(3, -1, -1), z).shape == (3, 5, 1)
