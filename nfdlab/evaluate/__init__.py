"""The rulers: scores and calibration, continuity, cost, regret, and tables that set all beside the exact posterior."""
