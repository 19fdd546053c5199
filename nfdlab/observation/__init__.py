"""What we get to see: patterns, noise, and the batches of views that amortised training practises on."""
