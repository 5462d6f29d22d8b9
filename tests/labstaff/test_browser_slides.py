"""The lecture's slides in a real browser, from the first to the last."""

from pathlib import Path

import nbformat
import pytest
from lab import open_window
from nbformat import v4

from labstaff.slides import decks
from labutils import settings

pytestmark = pytest.mark.slow

FOLDER = settings.home() / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("[0-9]*.ipynb"))
PAGE = {"width": 1280, "height": 720}
MOST_KEYS = 400  # of a deck; more would be one without an end

# What is wrong with the slide that is shown.
FAULTS = """() => {
    const slide = Reveal.getCurrentSlide();
    const page = document.querySelector('.slides').getBoundingClientRect();
    const all = [...slide.querySelectorAll('*')];
    const faults = [];
    for (const part of all) {
        const box = part.getBoundingClientRect();
        const name = `${part.tagName} ${part.textContent.trim().slice(0, 40)}`;
        if (box.width && box.height
            && (box.left < page.left - 1 || box.right > page.right + 1
                || box.top < page.top - 1 || box.bottom > page.bottom + 1)) {
            faults.push(`outside of the page: ${name}`);
        }
        if (part.tagName === 'math' && !(box.width > 5 && box.height > 5)) {
            faults.push(`formula not drawn: ${name}`);
        }
        if (part.tagName === 'IMG' && !(part.complete && part.naturalWidth > 0
            && box.width > 300 && box.height > 200)) {
            faults.push(`picture not drawn or small: ${part.alt}`);
        }
        if (part.tagName === 'PRE'
            && parseFloat(getComputedStyle(part).fontSize) < 18) {
            faults.push(`small letters: ${name}`);
        }
    }
    if (!all.some(part => part.textContent.trim() || part.tagName === 'IMG')) {
        faults.push('empty');
    }
    return faults.length ? faults : null;
}"""


class Deck:
    """Slides in a window without a network.

    Attributes:
        errors: what the page has put on its console.
        asked: the addresses that it has asked for.
    """

    def __init__(self, window) -> None:
        self.window = window
        self.errors: list[str] = []
        self.asked: list[str] = []
        window.context.set_offline(True)
        window.set_viewport_size(PAGE)
        window.on("pageerror", lambda error: self.errors.append(str(error)))
        window.on("console", self._read)
        window.on("request", lambda request: self.asked.append(request.url))

    def _read(self, message) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def open(self, path: Path) -> None:
        self.errors.clear()
        self.asked.clear()
        self.window.goto("about:blank")
        self.window.goto(path.as_uri())
        self.window.wait_for_function("() => window.Reveal?.isReady()")

    def walk(self) -> dict[int, list[str]]:
        """Press the right arrow until the end; the faults of each slide,
        once all of it is there."""
        faults, number = {}, 1
        for _ in range(MOST_KEYS):
            before = self.state()
            if not before["more"]:
                if found := self.window.evaluate(FAULTS):
                    faults[number] = found
                if before["last"]:
                    assert number == before["total"]
                    return faults
                number += 1
            self.window.keyboard.press("ArrowRight")
            assert self.state()["at"] != before["at"]
        raise AssertionError("these slides have no end")

    def state(self) -> dict:
        return self.window.evaluate(
            """() => ({
                at: JSON.stringify(Reveal.getIndices()),
                more: Reveal.availableFragments().next,
                last: Reveal.isLastSlide(),
                total: Reveal.getTotalSlides(),
            })"""
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    decks.write(out=folder)
    decks.write([NAMES[0]], folder / "stubs", solutions=False)
    decks.write(out=folder / "zh", language="zh")
    return folder


@pytest.fixture(scope="module")
def deck():
    with open_window() as window:
        yield Deck(window)


@pytest.mark.parametrize(
    "name", [*NAMES, f"stubs/{NAMES[0]}", *(f"zh/{name}" for name in NAMES)],
    ids=lambda name: name[:8]
)
def test_every_slide_fits_its_page(deck, folder, screenshots, name):
    path = folder / f"{name}.html"
    deck.open(path)
    deck.window.screenshot(path=screenshots / f"slides_{path.stem}.png")
    assert deck.walk() == {}
    assert deck.errors == []
    others = [url for url in deck.asked if not url.startswith("data:")]
    assert others == [path.as_uri()]


def test_chinese_slides_have_the_drawings_and_the_boxes(folder):
    for name in NAMES[2:]:
        ours, theirs = ((place / f"{name}.html").read_text(encoding="utf-8")
                        for place in (folder, folder / "zh"))
        assert '<html lang="zh-CN">' in theirs and '<html lang="en">' in ours
        for part in ("<img", "image/svg", 'blockquote class="predict"',
                     'blockquote class="write"'):
            assert ours.count(part) == theirs.count(part), part


def test_slides_fit_a_window_of_another_shape(deck, folder):
    deck.window.set_viewport_size({"width": 1024, "height": 768})
    deck.open(folder / f"{NAMES[1]}.html")
    assert deck.walk() == {}
    deck.window.set_viewport_size(PAGE)


def test_a_slide_that_cannot_fit_is_found(deck, tmp_path):
    where = {"slideshow": {"slide_type": "slide"}}
    lines = "\n".join(f"line_{n} = {n}" for n in range(60))
    notebook = v4.new_notebook(cells=[
        v4.new_markdown_cell("# A slide that fits", metadata=where),
        v4.new_code_cell(lines, metadata=where),
    ])
    nbformat.write(notebook, tmp_path / "long.ipynb")
    decks.write([str(tmp_path / "long.ipynb")], tmp_path)
    deck.open(tmp_path / "long.html")
    faults = deck.walk()
    assert list(faults) == [2]
    assert any("outside of the page" in fault for fault in faults[2])


def test_the_index_leads_to_the_slides(deck, folder):
    deck.window.goto((folder / "index.html").as_uri())
    links = deck.window.eval_on_selector_all(
        "a", "all => all.map(a => a.href)")
    assert links == [(folder / f"{name}.html").as_uri() for name in NAMES]
    deck.window.click("a >> nth=2")
    deck.window.wait_for_function("() => window.Reveal?.isReady()")
    assert deck.window.title().startswith("3. ")


def test_the_speaker_has_notes_and_a_clock(deck, folder):
    deck.open(folder / f"{NAMES[1]}.html")
    with deck.window.context.expect_page() as opened:
        deck.window.keyboard.press("s")
    speaker = opened.value
    speaker.wait_for_selector("#upcoming-slide iframe")
    assert "time" in speaker.inner_text("body").lower()
    speaker.close()
    assert deck.errors == []


def test_slides_can_be_printed(deck, folder):
    """A page for each, with its margins."""
    deck.open(folder / f"{NAMES[4]}.html")
    total = deck.state()["total"]
    path = folder / f"{NAMES[4]}.html"
    deck.window.goto("about:blank")
    deck.window.goto(f"{path.as_uri()}?print-pdf")
    deck.window.wait_for_selector(".pdf-page")
    pages = deck.window.eval_on_selector_all(
        ".pdf-page > section", """all => all.map(slide => [
            slide.scrollHeight <= slide.parentElement.clientHeight,
            getComputedStyle(slide).paddingLeft])"""
    )
    assert pages == [[True, "56px"]] * total
