"""Evaluation: scores, calibration, continuity, cost, regret, and tables of ratios to the exact posterior."""
