"""A training in JupyterLab, watched and stopped in a real browser."""

import nbformat
import pytest
from lab import Lab
from page import wait_for

pytestmark = pytest.mark.slow

TRAINING = """
import torch
from torch import nn
from labutils import RNNModel, load_data_time_machine, train

train_iter, vocab = load_data_time_machine(32, 35)
model = RNNModel(nn.GRU(len(vocab), 32), len(vocab))
history = train(model, train_iter, vocab, 1.0, 3000)
"""
CONSOLE = """
from IPython.display import Javascript, display

display(Javascript("console.error('said'); console.warn('no error');"))
display(Javascript("setTimeout(() => { throw Error('thrown'); })"))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with Lab(
        folder, LABUTILS_TEXT="practice", LABUTILS_EPOCHS=None
    ) as lab:
        yield lab


def test_a_training_is_watched_stopped_saved_and_read(lab, screenshots):
    file = lab.write("training.ipynb", [TRAINING])
    with lab.open(file.name) as page:
        page.begin()
        page.window.wait_for_selector(".jp-OutputArea-output img")
        seen = []

        def four_were_seen():
            [picture] = page.images()
            if picture not in seen:
                seen.append(picture)
            return len(seen) == 4

        wait_for(four_were_seen, "four different pictures")
        page.photograph(screenshots / "training.png")
        texts = page.window.locator(".jp-OutputArea-output")
        assert "PARTIAL RUN" not in " ".join(texts.all_inner_texts())

        page.interrupt()
        texts.filter(has_text="PARTIAL RUN, interrupted").wait_for()
        page.finish()
        [final] = page.images()
        assert final not in seen
        page.photograph(screenshots / "training_stopped.png")
        page.save()

        [cell] = nbformat.read(file, as_version=4).cells
        assert not [o for o in cell.outputs if o.output_type == "error"]
        [stored] = [
            output.data["image/png"] for output in cell.outputs
            if "image/png" in output.get("data", {})
        ]
        stored = f"data:image/png;base64,{''.join(stored.split())}"
        assert final == stored

        page.load()
        page.window.wait_for_selector(".jp-OutputArea-output img")
        assert page.images() == [stored]
        image = page.window.locator(".jp-OutputArea-output img")
        shown = image.evaluate("i => [i.naturalWidth, i.width, i.complete]")
        assert shown == [1000, 500, True]


def test_errors_of_the_page_are_seen(lab):
    file = lab.write("console.ipynb", [CONSOLE])
    with lab.open(file.name) as page:
        page.run()
        # playwright hands events over only while it is asked something.
        wait_for(lambda: page.cells() and page.errors[1:], "two errors")
        said, thrown = page.errors
        assert said.startswith("said (") and "thrown" in thrown
        page.errors.clear()  # they would fail this test
