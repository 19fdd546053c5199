"""Pictures computed ahead behind a slider: live in a notebook, and in a report without a kernel."""

from collections.abc import Mapping
from typing import Any

from ipywidgets import Image, Layout, SelectionSlider, VBox

from .kernel import headless
from .matplotlib_figure import stack
from .style import Picture
from .sweeps import display_of


class Flipbook(VBox):
    """One picture for each value of a knob, chosen by a slider: {value: picture}, at first that of `start`."""

    def __init__(self, label: str, pictures: Mapping[Any, Picture], start: Any = None):
        names = [str(value) for value in pictures]
        self.label, self.first = label, names.index(str(start)) if start is not None else 0
        self.pictures = list(pictures.values())
        self.frames = [picture.png() for picture in self.pictures]
        self.slider = SelectionSlider(options=names, index=self.first, description=label,
                                      style={"description_width": "initial"}, layout=Layout(width="420px"))
        wide = self.pictures[0].get_size_inches()[0] * 100
        self.image = Image(value=self.frames[self.first], format="png", layout=Layout(width=f"{wide:.0f}px"))
        self.slider.observe(self._turn, "index")
        super().__init__([self.slider, self.image])

    def _turn(self, change) -> None:
        self.image.value = self.frames[change["new"]]

    def _repr_mimebundle_(self, **kwargs):
        if not headless():
            return super()._repr_mimebundle_(**kwargs)
        few, options = sorted({0, self.first, len(self.frames) - 1}), list(self.slider.options)
        return display_of(self.label, f": {', '.join(options)}", stack([self.pictures[i] for i in few]), options,
                          self.frames, "png", self.first)
