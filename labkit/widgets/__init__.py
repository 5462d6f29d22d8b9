"""Things to try out with sliders and fields: batches, texts, a look inside.

Somebody at a notebook moves the controls. Where nobody can (a notebook run by
a program) the picture and the text for the first values are all there is.
"""

from labkit.widgets.microscope import microscope
from labkit.widgets.playground import playground, side_by_side
from labkit.widgets.sampling_explorer import sampling_explorer

__all__ = ["microscope", "playground", "sampling_explorer", "side_by_side"]
