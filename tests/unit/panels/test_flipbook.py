"""A flipbook shows the picture of the value that its slider stands at, with a kernel and without one."""

import base64

import pytest

from nfdlab.jupyter.page import SWEEP
from nfdlab.panels import style
from nfdlab.panels.flipbook import Flipbook


@pytest.fixture
def pictures():
    found = {}
    for value in (1, 2.5, 10):
        found[value], ((ax,),) = style.picture(size=(2, 1))
        style.dress(ax, title=f"value {value}")
    return found


def test_the_slider_turns_to_another_picture(pictures):
    book = Flipbook("size", pictures, start=2.5)
    assert book.slider.options == ("1", "2.5", "10") and book.image.value == pictures[2.5].png()
    book.slider.index = 2
    assert book.image.value == pictures[10].png() != pictures[1].png()
    assert Flipbook("size", pictures).image.value == pictures[1].png()


def test_a_report_has_all_pictures_behind_a_slider(pictures, monkeypatch):
    monkeypatch.setenv("NFDLAB_HEADLESS", "1")
    shown = Flipbook("size", pictures, start=10)._repr_mimebundle_()
    assert shown["text/plain"] == "nfdlab panel, size: 1, 2.5, 10" and shown["image/png"]
    assert shown[SWEEP]["values"] == ["1", "2.5", "10"] and shown[SWEEP]["start"] == 2 and shown[SWEEP]["fmt"] == "png"
    assert [base64.b64decode(f) for f in shown[SWEEP]["frames"]] == [p.png() for p in pictures.values()]
