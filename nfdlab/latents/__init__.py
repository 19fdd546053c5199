"""Fields <-> latents: autoencoders, standardising, importance sampling of queries."""
