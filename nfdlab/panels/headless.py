"""Whether anybody is looking."""

import os


def headless() -> bool:
    """True while a report is made (NFDLAB_HEADLESS=1): nobody moves sliders, so panels compute in place."""
    return os.environ.get("NFDLAB_HEADLESS", "") not in ("", "0")
