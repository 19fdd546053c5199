"""Neural fields: networks from coordinates to values, told which function to be by a latent, features or tokens."""
