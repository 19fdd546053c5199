"""The rulers: scores, calibration, and the table that sets every contestant beside the exact posterior."""
