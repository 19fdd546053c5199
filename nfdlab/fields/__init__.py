"""Neural fields: networks from coordinates to values, conditioned on a latent, grid features or tokens."""
