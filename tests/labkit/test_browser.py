"""In JupyterLab, with real keys and a real mouse: a training, the widgets."""

from contextlib import contextmanager

import nbformat
import pytest
from lab import Lab
from page import wait_for

pytestmark = pytest.mark.slow

SETUP = """
import torch
from torch import nn
from labkit import widgets
from labutils import RNNModel, Vocab

torch.manual_seed(0)
text = "the time traveller smiled at us, and went on to his machine. " * 4
vocab = Vocab(text)
models = {
    "LSTM": RNNModel(nn.LSTM(len(vocab), 16), len(vocab)),
    "GRU": RNNModel(nn.GRU(len(vocab), 16, num_layers=2), len(vocab)),
}
"""
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
HANDLE = ".noUi-handle"
PLEASE = "Please set another value"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    with Lab(
        folder, LABUTILS_TEXT="practice", LABUTILS_EPOCHS=None
    ) as lab:
        yield lab


@contextmanager
def widget(lab, screenshots, call):
    """The page with a widget, which is kept in the file as it is left."""
    name = call.split("(")[0]
    file = lab.write(f"{name}.ipynb", [SETUP, f"widgets.{call}"])
    with lab.open(file.name) as page:
        page.run()
        page.window.wait_for_selector(HANDLE)
        yield page
        check_is_drawn(page)
        page.photograph(screenshots / f"{name}.png")
        page.save()
        stored = nbformat.read(file, as_version=4).cells[-1]
        assert found(stored, "text/html") == text(page)
        assert found(stored, "image/png").strip() == picture(page)


def found(cell, kind):
    """The one output of this kind."""
    [data] = [
        output.data[kind] for output in cell.outputs
        if kind in output.get("data", {})
    ]
    return data


def text(page):
    return found(page.cells()[-1], "text/html")


def picture(page):
    return found(page.cells()[-1], "image/png").strip()


def check_is_drawn(page):
    """What stands in the notebook's model is what one sees."""
    shown = f"data:image/png;base64,{''.join(picture(page).split())}"
    wait_for(lambda: page.images() == [shown], "picture on the page")
    wait_for(page.images_are_drawn, "drawn picture")


def check_moves(page, move, *words, picture_too=True):
    """The move brings another text, with these words, and another picture."""
    before = text(page), picture(page)
    assert not words or not all(word in before[0] for word in words)
    move()
    wait_for(
        lambda: text(page) != before[0]
        and all(word in text(page) for word in words),
        f"{words or 'other words'}",
    )
    assert (picture(page) != before[1]) == picture_too
    check_is_drawn(page)


def press(page, description, *keys):
    """The keys pressed on a slider."""
    page.press(page.control(description, HANDLE), *keys)


def drag(page, description):
    """The slider's handle drawn to its end with the mouse."""
    page.drag(page.control(description, HANDLE), 1000)


def choose(page, description, option):
    """One of several buttons, with the keyboard."""
    page.press(page.option(description, option), "Space")


def test_the_sampling_explorer(lab, screenshots):
    call = "sampling_explorer(torch.tensor(vocab[list(text)]), vocab)"
    with widget(lab, screenshots, call) as page:
        check_moves(page, lambda: press(page, "steps", "ArrowRight"), "(2, 6)")
        check_moves(page, lambda: drag(page, "batch size"), "(32, 6)")
        check_moves(
            page, lambda: choose(page, "order", "random"), "random, batch 0"
        )
        # Too long for the text: a sentence in place of a picture.
        check_moves(page, lambda: drag(page, "steps"), PLEASE)
        check_moves(
            page, lambda: press(page, "batch size", "Home"), "(1, 64)"
        )


def test_the_playground(lab, screenshots):
    with widget(lab, screenshots, "playground(models, vocab)") as page:
        five = ["ArrowRight"] * 5
        check_moves(
            page, lambda: press(page, "temperature", *five), "temperature 0.5"
        )
        check_moves(
            page, lambda: page.type_in("prefix", "Time?"), PLEASE,
            "Not in the vocabulary",
        )
        check_moves(
            page, lambda: page.type_in("prefix", "his mach"), "<u>his mach</u>"
        )
        drag(page, "length")
        wait_for(lambda: len(text(page)) > 300, "300 characters")
        check_moves(page, lambda: choose(page, "model", "GRU"))
        check_moves(page, page.option("model", "LSTM").click)


def test_the_microscope(lab, screenshots):
    call = "microscope(models, vocab, text[:18])"
    with widget(lab, screenshots, call) as page:
        for option, words in (
            ("hidden units", "above 0.9"), ("gates", "forget"),
            ("gradient norms", "last but one"),
        ):
            check_moves(page, lambda o=option: choose(page, "show", o), words)
        check_moves(page, page.option("model", "GRU").click)
        check_moves(page, lambda: drag(page, "layer"))
        check_moves(page, lambda: press(page, "layer", "ArrowLeft"))


def test_side_by_side(lab, screenshots):
    with widget(lab, screenshots, "side_by_side(models, vocab)") as page:
        # The picture is of the models' own probabilities.
        check_moves(
            page, lambda: press(page, "temperature", "End"),
            "temperature 2.0", picture_too=False,
        )
        check_moves(page, lambda: drag(page, "seed"), picture_too=False)
        check_moves(
            page, lambda: page.type_in("prefix", "we sm"), "<u>we sm</u>",
            "They part at character",
        )
        check_moves(
            page, lambda: choose(page, "first", "GRU"),
            "Both models are GRU",
        )
        check_moves(page, page.option("second", "LSTM").click)


def test_what_was_saved_is_read_in_another_session(lab, screenshots):
    with widget(lab, screenshots, "playground(models, vocab)") as page:
        check_moves(
            page, lambda: page.type_in("prefix", "we sm"), "<u>we sm</u>"
        )
        left = text(page), picture(page)
    with lab.open("playground.ipynb") as page:
        assert (text(page), picture(page)) == left
        check_is_drawn(page)
        # JupyterLab looks two seconds for the sliders of the kernel that was.
        [error] = wait_for(lambda: page.cells() and page.errors, "error")
        assert "widget model not found" in error
        page.errors.clear()


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
