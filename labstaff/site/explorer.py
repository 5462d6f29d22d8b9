"""The explorer: one file with style, code, words and weights inside."""

import json
import re
from html import escape
from pathlib import Path
from typing import Any

from labkit.pages import formula_to_mathml
from labstaff.slides.exporter import formula_font
from labutils.files import write_atomically

HERE = Path(__file__).parent / "explorer"
SCRIPTS = ("strings.js", "network.js", "draw.js", "page.js")
# With torch.nn's conventions, which the notebooks name; the page shows under
# each the function that computes it.
FORMULAS = {
    "RNN": (
        r"\mathbf{h}_t = \tanh(\mathbf{W}_{ih} \mathbf{x}_t + \mathbf{b}_{ih}"
        r" + \mathbf{W}_{hh} \mathbf{h}_{t-1} + \mathbf{b}_{hh})",
    ),
    "LSTM": (
        r"\mathbf{i}_t, \mathbf{f}_t, \mathbf{o}_t = \sigma(\mathbf{W}_{i*}"
        r" \mathbf{x}_t + \mathbf{b}_{i*} + \mathbf{W}_{h*} \mathbf{h}_{t-1}"
        r" + \mathbf{b}_{h*})",
        r"\mathbf{g}_t = \tanh(\mathbf{W}_{ig} \mathbf{x}_t + \mathbf{b}_{ig}"
        r" + \mathbf{W}_{hg} \mathbf{h}_{t-1} + \mathbf{b}_{hg})",
        r"\mathbf{c}_t = \mathbf{f}_t \odot \mathbf{c}_{t-1}"
        r" + \mathbf{i}_t \odot \mathbf{g}_t",
        r"\mathbf{h}_t = \mathbf{o}_t \odot \tanh(\mathbf{c}_t)",
    ),
    "GRU": (
        r"\mathbf{r}_t, \mathbf{z}_t = \sigma(\mathbf{W}_{i*} \mathbf{x}_t"
        r" + \mathbf{b}_{i*} + \mathbf{W}_{h*} \mathbf{h}_{t-1}"
        r" + \mathbf{b}_{h*})",
        r"\mathbf{n}_t = \tanh(\mathbf{W}_{in} \mathbf{x}_t + \mathbf{b}_{in}"
        r" + \mathbf{r}_t \odot (\mathbf{W}_{hn} \mathbf{h}_{t-1}"
        r" + \mathbf{b}_{hn}))",
        r"\mathbf{h}_t = (1 - \mathbf{z}_t) \odot \mathbf{n}_t"
        r" + \mathbf{z}_t \odot \mathbf{h}_{t-1}",
    ),
}


def page(kept: dict[str, Any]) -> str:
    """The whole page, around what `networks.networks` returns."""
    formulas = "".join(map(_section, FORMULAS))
    parts = {
        "style": (HERE / "style.css").read_text("utf-8")
        + "math { font-family: 'STIX Two Math', math }\n"
        + formula_font(formulas),
        "script": "\n".join((HERE / s).read_text("utf-8") for s in SCRIPTS),
        # "</" would end the script in the middle of a string.
        "data": json.dumps(kept).replace("</", r"<\/"),
        "formulas": formulas,
    }
    html = (HERE / "index.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], html)


def _section(name: str) -> str:
    formulas = "".join(
        formula_to_mathml(latex, display=True) for latex in FORMULAS[name]
    )
    return (
        f'<h3>{escape(name)}</h3><div class="formulas" tabindex="0">'
        f'{formulas}</div><pre tabindex="0"><code data-code="{name}" '
        'lang="en"></code></pre>'
    )


def write(out: Path, kept: dict[str, Any]) -> Path:
    """Write the page as `index.html` into a folder, and return its path."""
    path = out / "index.html"
    write_atomically(path, page(kept).encode("utf-8"))
    return path
