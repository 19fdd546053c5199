"""What we get to see: patterns of places, noise, and the batches of views that amortised training practises on."""
