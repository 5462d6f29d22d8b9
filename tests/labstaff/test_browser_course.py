"""The course as a website, opened from the disk with the network off."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from lab import _browser

from labkit.__main__ import main
from labstaff.site import course
from labutils import settings

pytestmark = pytest.mark.slow

LESSONS = ("01_text_preprocessing", "05_lstm_from_scratch")
PHONE, DESK = (360, 740), (1280, 900)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A course of two lessons in both languages, and its site."""
    home = tmp_path_factory.mktemp("home")
    course_folder = settings.home() / "notebooks"
    shutil.copytree(course_folder / "images", home / "notebooks/images")
    (home / "notebooks/zh").mkdir()
    for name in LESSONS:
        path = course_folder / f"{name}.ipynb"
        shutil.copy(path, home / "notebooks")
        book = nbformat.read(path, as_version=4)
        for cell in book.cells:
            if cell.cell_type == "markdown":
                cell.source = re.sub("^(#+) ", r"\1 隐状态 ", cell.source)
        nbformat.write(book, home / "notebooks/zh" / path.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "home", lambda: home)
        out = home / "site"
        assert main(["site", "--practice", "--out", str(out)]) == 0
        # A site is replaced, and nothing else is.
        (home / "mine").mkdir()
        (home / "mine/thesis.txt").touch()
        assert main(["site", "--practice", "--out", str(home / "mine")]) == 1
        yield out


@pytest.fixture(scope="module")
def window(site):
    with _browser() as context:
        context.set_offline(True)
        window = context.new_page()
        window.asked, window.said = [], []
        window.on("request", lambda r: window.asked.append(r.url))
        # A page that is left lets go of what it has not loaded yet.
        window.on("requestfailed", lambda r: r.failure != "net::ERR_ABORTED"
                  and window.said.append(f"{r.url}: {r.failure}"))
        window.on("pageerror", lambda e: window.said.append(str(e)))
        window.on("console", lambda m: m.type == "error"
                  and window.said.append(m.text))
        yield window
        assert window.said == []
        assert all(url.startswith(("file:", "data:")) for url in window.asked)


def visit(window, site, page, size=DESK, theme="light"):
    window.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    window.emulate_media(color_scheme=theme)
    window.goto((site / page).as_uri())


class Links(HTMLParser):
    """What a page links to, loads, and can be linked to in."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.ids = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if "id" in named:
            self.ids.add(named["id"])
        if tag == "a" and named.get("href"):
            self.links.append(named["href"])
        elif tag == "link" and named.get("href"):
            self.loaded.append(named["href"])
        if named.get("src"):
            self.loaded.append(named["src"])


def test_no_link_is_broken_and_nothing_is_loaded_from_elsewhere(site):
    pages = {path: Links(path) for path in site.rglob("*.html")
             if "_static" not in path.parts}
    assert len(pages) > 12
    checked = 0
    for path, page in pages.items():
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                # To follow, one day, with a network; never to load.
                assert parts.scheme == "data" or link in page.links
                continue
            target = path.parent / unquote(parts.path) if parts.path else path
            assert target.is_file(), f"{path}: {link}"
            own = pages.get(Path(target).resolve()) or pages.get(
                site / target.resolve().relative_to(site.resolve()))
            is_state = "explorer" in target.parts or "slides" in target.parts
            if parts.fragment and own and not is_state:
                assert unquote(parts.fragment) in own.ids, f"{path}: {link}"
            checked += 1
    assert checked > 200


def test_the_first_page_leads_everywhere(window, site):
    visit(window, site, "index.html")
    doors = window.locator(".doors a")
    for number, words in enumerate(
            ("Three networks that write", "From a text to", "Slides")):
        visit(window, site, "index.html")
        doors.nth(number).click()
        assert words in window.inner_text("body")


def test_previous_and_next_go_through_the_lessons(window, site):
    visit(window, site, "index.html")
    for title in ("1. From a text", "5. The LSTM", "Drawings"):
        window.click(".next-page")
        assert window.inner_text("h1").startswith(title)
    window.click(".prev-page")
    assert window.inner_text("h1").startswith("5. The LSTM")


def test_a_page_stands_beside_the_same_one_in_the_other_language(
    window, site
):
    for name in ("index", *LESSONS, "drawings"):
        visit(window, site, f"{name}.html")
        assert window.get_attribute("html", "lang") == "en"
        window.click(".language a")
        assert window.url == (site / "zh" / f"{name}.html").as_uri()
        assert window.get_attribute("html", "lang") == "zh-CN"
        window.click(".language a")
        assert window.url == (site / f"{name}.html").as_uri()
    visit(window, site, "zh/index.html")
    window.locator(".doors a").first.click()
    assert window.inner_text("h1") == "三个会写作的网络"


@pytest.mark.parametrize(("page", "words", "found"), [
    ("search.html", "candidate", "5. The LSTM"),
    ("zh/search.html", "隐状态", "隐状态 5. The LSTM"),
    ("zh/search.html", "状态", "隐状态 5. The LSTM"),
    ("zh/search.html", "矢量图", "插图"),
])
def test_a_search_works_from_the_disk(window, site, page, words, found):
    visit(window, site, page.replace("search", "index"))
    window.fill(".sidebar-search", words)
    window.press(".sidebar-search", "Enter")
    window.locator("ul.search li a", has_text=found).first.wait_for()


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_is_whole(window, site, name):
    visit(window, site, f"{name}.html")
    faults = window.evaluate("""() => [
        ...[...document.images].filter((i) => !i.naturalWidth)
            .map((i) => i.src),
        ...[...document.querySelectorAll("math")].filter(
            (m) => !m.getBoundingClientRect().width).map((m) => m.outerHTML),
        ...document.body.innerText.match(/\\\\(mathbf|begin|tanh)|\\$\\$/g)
            ?? [],
    ]""")
    assert not faults
    text = window.inner_text("body")
    assert "BEGIN SOLUTION" not in text and "def " in text
    if "lstm" in name:
        assert window.locator("math").count() > 8
        font = window.evaluate("""() => document.fonts.ready.then(() =>
            [...document.fonts].filter((f) => f.status === "loaded")
                .map((f) => f.family))""")
        assert any("STIX" in family for family in font)


@pytest.mark.parametrize(("page", "size", "theme"), [
    ("index.html", DESK, "light"), ("zh/index.html", PHONE, "dark"),
    ("05_lstm_from_scratch.html", PHONE, "light"),
    ("drawings.html", DESK, "dark"),
])
def test_axe_finds_nothing_serious(
    window, site, screenshots, page, size, theme
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    visit(window, site, page, size, theme)
    faults = [
        (v["id"], [node["html"] for node in v["nodes"]][:3])
        for v in axe.Axe().run(
            window, options={"preload": False}).response["violations"]
        if v["impact"] in ("serious", "critical")]
    assert not faults
    assert window.evaluate(
        "() => document.documentElement.scrollWidth") <= size[0]
    name = page.replace("/", "-").removesuffix(".html")
    window.screenshot(path=screenshots / f"site-{name}-{theme}.png")


def test_every_drawing_is_shown(site):
    for place in (site, site / "zh"):
        page = (place / "drawings.html").read_text(encoding="utf-8")
        for path in (settings.home() / "notebooks/images").glob("*.svg"):
            assert f"_images/{path.name}" in page


def test_a_fault_in_a_page_is_an_error(site, tmp_path, monkeypatch, capsys):
    home = settings.home()
    path = home / f"notebooks/{LESSONS[0]}.ipynb"
    before = path.read_bytes()
    book = nbformat.read(path, as_version=4)
    book.cells[0].source += "\n\n![nothing](images/nowhere.svg)"
    try:
        nbformat.write(book, path)
        assert main(["site", "--out", str(tmp_path / "new")]) == 1
    finally:
        path.write_bytes(before)
    assert "nowhere.svg" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_pages_without_solutions(site, tmp_path):
    place = tmp_path / "pages"
    course._build("en", place, solutions=False, both=False)
    page = (place / f"{LESSONS[1]}.html").read_text(encoding="utf-8")
    assert "NotImplementedError" in page
    assert "NotImplementedError" not in (
        site / f"{LESSONS[1]}.html").read_text(encoding="utf-8")
    assert 'class="language"' not in page
