"""The kernel around a panel: whether it makes a report, and which thread handles a click while a cell runs."""

import os

import ipywidgets as W


def headless() -> bool:
    """True while a report is made (NFDLAB_HEADLESS=1): nobody moves sliders, so panels compute in place."""
    return os.environ.get("NFDLAB_HEADLESS", "") not in ("", "0")


def answer_while_busy(widget: W.Widget) -> None:
    """Let a widget's events be handled while a cell runs.

    The browser sends them to a thread beside the cell's. But ipykernel (7.4) handles events of a widget in the thread
    that last changed it, which was the cell's, so a click would wait for the cell to end. Without the record of that
    thread the browser's choice holds. Kernels without this record, or without such threads, are not touched.
    """
    if widget.comm is not None:
        vars(widget.comm).pop("_reply_subshell_id", None)
