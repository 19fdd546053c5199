"""Pictures of lessons: the colours of contestants, and what a picture's file says of itself."""

import io

from PIL import Image

from nfdlab.panels import style


def test_a_second_model_is_purple_and_nothing_but_the_exact_posterior_is_blue():
    found = style.colours_of(["truth", "exact", "encoder", "particles", "kriging", "grid"])
    assert found["encoder"] == style.MODEL and found["particles"] == style.SECOND
    assert [name for name, colour in found.items() if colour == style.EXACT] == ["exact"]
    assert found["kriging"] == style.BASELINE and found["grid"] not in (style.MODEL, style.SECOND)


def test_the_file_of_a_picture_holds_its_titles():
    figure, ((ax,),) = style.picture(size=(2, 1))
    style.dress(ax, title="CRPS 1.02")
    style.headline(figure, "Ten tasks")
    assert Image.open(io.BytesIO(figure.png(40))).info["Description"] == "Ten tasks\nCRPS 1.02"
