"""Things to try out with sliders and fields: batches, texts, a look inside.

Somebody at a notebook moves the controls. Where nobody can (a notebook run by
a program) the picture and the text for the first values are all there is.
"""

from labutils.widgets.batches import sampling_explorer
from labutils.widgets.lens import microscope
from labutils.widgets.pair import side_by_side
from labutils.widgets.writing import playground

__all__ = ["microscope", "playground", "sampling_explorer", "side_by_side"]
