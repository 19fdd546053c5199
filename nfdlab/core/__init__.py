"""What everything else speaks: the types that travel, checks at the doors, seeds, grids. Knows nothing of the rest."""
