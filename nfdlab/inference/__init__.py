"""Posteriors over latents: conditioning, guidance through a decoder, sequential Monte Carlo."""
