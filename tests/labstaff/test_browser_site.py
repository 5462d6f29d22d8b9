"""The explorer in a real browser, opened as a file, with the network off."""

import base64
import json
import math
import random
import time

import numpy
import pytest
import torch
from lab import _browser
from torch.nn import functional as F

from labstaff.site import explorer
from labutils.generation import probabilities

pytestmark = pytest.mark.slow

KINDS = tuple(explorer.LAYERS)
PHONE, DESK, HALL = (360, 740), (1280, 900), (1920, 1080)
# Rows of the gates among torch's weights.
ROWS = {"input": 0, "forget": 1, "output": 3, "reset": 0, "update": 1}
SEED = 7


@pytest.fixture(scope="module")
def kept():
    return explorer.networks(practice=True)


@pytest.fixture(scope="module")
def window(tmp_path_factory, kept):
    """The page, what it asks for and what it complains of."""
    path = explorer.write(tmp_path_factory.mktemp("explorer"), kept)
    assert path.stat().st_size < 3e6
    with _browser() as context:
        context.set_offline(True)
        window = context.new_page()
        window.address = path.as_uri()
        window.asked, window.said = [], []
        window.on("request", lambda r: window.asked.append(r.url))
        window.on("pageerror", lambda e: window.said.append(str(e)))
        window.on("console", lambda m: m.type == "error"
                  and window.said.append(m.text))
        window.goto(window.address)
        yield window
        assert not window.said
        assert {url.partition("#")[0] for url in window.asked} <= {
            window.address, "about:blank"}


def set_page(window, size=DESK, **settings):
    """The page as a link with these settings shows it."""
    window.set_viewport_size(dict(zip(("width", "height"), size, strict=True)))
    window.goto("about:blank")
    window.goto(f"{window.address}#" + "&".join(
        f"{name.replace('_', '.')}={value}"
        for name, value in settings.items()))


def text(window, side):
    """What stands in a pane: prefix and what was written."""
    return window.locator("article .text").nth("ab".index(side)).text_content()


def evaluate(window, function, value=None):
    """A function's answer; as JSON many numbers pass in far less time."""
    return json.loads(window.evaluate(
        f"(v) => JSON.stringify(({function})(JSON.parse(v)))",
        json.dumps(value)))


# ---- the equations


def read(window, net, texts, change=None):
    """Last logits and states of the page's network, for each text."""
    return evaluate(
        window, f"""([texts, change]) => texts.map((text) => {{
            const reading = new Reading({net}, change);
            text.forEach((x) => reading.push(x));
            const {{ h, c }} = reading.states.at(-1);
            return [reading.logits.at(-1), h, c ?? []].map((a) => [...a]);
        }})""", [texts, change or {}])


def read_with_torch(model, texts):
    """The same from PyTorch, texts of the same length together."""
    found = {}
    for length in {len(one) for one in texts}:
        places = [k for k, one in enumerate(texts) if len(one) == length]
        X = torch.tensor([texts[k] for k in places])
        with torch.no_grad():
            logits, state = model(X, model.begin_state(len(places)))
        h, *c = state if isinstance(state, tuple) else (state,)
        last = logits.unflatten(0, (length, -1))[-1]
        for row, k in enumerate(places):
            found[k] = [last[row], h[0, row],
                        c[0][0, row] if c else torch.zeros(0)]
    return [found[k] for k in range(len(texts))]


def check_equal(page, own):
    assert len(page) == len(own)
    for one, other in zip(page, own, strict=True):
        for a, b in zip(one, other, strict=True):
            torch.testing.assert_close(
                torch.tensor(a, dtype=b.dtype), b, atol=1e-3, rtol=0)


def some_texts(kept, count, seed=SEED):
    draw = random.Random(seed)
    V = len(kept["vocab"])
    return [[draw.randrange(V) for _ in range(draw.randint(1, 40))]
            for _ in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_texts_are_read_as_by_pytorch(window, kept, kind):
    texts = some_texts(kept, 1000)
    check_equal(read(window, f"trained.{kind}", texts),
                read_with_torch(explorer.model_of(kind, kept), texts))


@pytest.mark.parametrize("kind", KINDS)
def test_an_untrained_network_is_one_as_torch_makes_it(window, kept, kind):
    net = f"untrained('{kind}', 28, 64)"
    model = explorer.new_model(kind, 28, 64)
    named = {"W_ih": "rnn.weight_ih_l0", "W_hh": "rnn.weight_hh_l0",
             "b_ih": "rnn.bias_ih_l0", "b_hh": "rnn.bias_hh_l0",
             "W_hq": "linear.weight", "b_q": "linear.bias"}
    found = {}
    for name, own in named.items():
        values = torch.tensor(
            window.evaluate(f"[...{net}.{name}]"))
        before = model.state_dict()[own]
        # As widely spread as torch's own, and within the same bound.
        assert values.abs().max() <= 1 / 8
        if values.numel() > 1000:
            assert float(values.std()) == pytest.approx(
                float(before.std()), rel=0.05)
            assert abs(float(values.mean())) < 0.01
        found[own] = values.view_as(before)
    model.load_state_dict(found)
    texts = some_texts(kept, 50)
    check_equal(read(window, net, texts), read_with_torch(model, texts))


# ---- experiments: each against PyTorch doing the same


def hold(name, value):
    """Hold a gate by weights of nothing and a bias that settles it."""
    def change(model):
        H = model.rnn.hidden_size
        rows = slice(ROWS[name] * H, (ROWS[name] + 1) * H)
        for parameter, own in model.rnn.named_parameters():
            own[rows] = 0
            if parameter == "bias_ih_l0":
                own[rows] = {0: -1e4, 0.5: 0, 1: 1e4}[value]
    return change


def scale(value):
    def change(model):
        # Of b_hh nothing is scaled, and so of the weights alone.
        model.rnn.weight_hh_l0 *= value
    return change


CHANGES = [
    *((kind, {name: value}, hold(name, value))
      for kind, names in (("LSTM", ("input", "forget", "output")),
                          ("GRU", ("reset", "update")))
      for name in names for value in (0, 0.5, 1)),
    *((kind, {"scale": value}, scale(value))
      for kind in KINDS for value in (0, 0.5, 2)),
]


@pytest.mark.parametrize(("kind", "change", "same"), CHANGES, ids=[
    f"{kind}-{change}" for kind, change, _ in CHANGES])
def test_a_change_does_what_it_says(window, kept, kind, change, same):
    texts = some_texts(kept, 100)
    model = explorer.model_of(kind, kept)
    before = read_with_torch(model, texts)
    with torch.no_grad():
        same(model)
    # A plain RNN with twice its recurrent weights is chaotic, and soon tells
    # 32 bits from the page's 64.
    model.double()
    own = read_with_torch(model, texts)
    page = read(window, f"trained.{kind}", texts, change)
    check_equal(page, own)
    with pytest.raises(AssertionError):  # and it changes something
        check_equal(page, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_forgets_all_that_was_before(window, kept, kind):
    texts = [one for one in some_texts(kept, 200) if len(one) > 5]
    model = explorer.model_of(kind, kept)
    check_equal(read(window, f"trained.{kind}", texts, {"at": 4}),
                read_with_torch(model, [one[4:] for one in texts]))


# ---- probabilities, surprise, writing


@pytest.mark.parametrize(("temperature", "top_k"), [
    (1, 28), (0.5, 28), (2, 5), (1, 1), (0, 28), (0, 3), (0.1, 27)])
def test_probabilities_are_those_of_labutils(window, temperature, top_k):
    logits = torch.randn(20, 28, generator=torch.Generator().manual_seed(1))
    page = window.evaluate(
        "([logits, t, k]) => logits.map((l) => probabilities(l, t, k))",
        [(5 * logits).tolist(), temperature, top_k])
    for found, own in zip(page, 5 * logits, strict=True):
        torch.testing.assert_close(
            torch.tensor(found, dtype=torch.float32),
            probabilities(own, temperature, top_k), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_surprise_is_the_cross_entropy_in_bits(window, kept, kind):
    [one] = some_texts(kept, 1, seed=3)
    page = window.evaluate(
        f"""(text) => {{
            const reading = new Reading(trained.{kind});
            text.forEach((x) => reading.push(x));
            return reading.bits;
        }}""", one)
    model = explorer.model_of(kind, kept)
    X = torch.tensor([one])
    with torch.no_grad():
        logits, _ = model(X, model.begin_state(1))
    nats = F.cross_entropy(logits[:-1], X[0, 1:], reduction="none")
    assert page[0] == 0
    assert page[1:] == pytest.approx((nats / math.log(2)).tolist(), abs=1e-3)


def write_with_torch(model, text, numbers, temperature, top_k, at=None):
    """Go on from a text, with these random numbers."""
    def step(x, state):
        return model(torch.tensor([[x]]), state)

    written, state = list(text), model.begin_state(1)
    with torch.no_grad():
        for place, x in enumerate(text):
            if place == at:
                state = model.begin_state(1)
            logits, state = step(x, state)
        for number in numbers:
            chances = probabilities(logits[-1], temperature, top_k).double()
            sums = numpy.cumsum((chances / chances.sum()).numpy())
            written.append(int((sums <= number).sum()))
            logits, state = step(written[-1], state)
    return written


@pytest.mark.parametrize(("settings", "kind", "change"), [
    ({}, "LSTM", None),
    ({"b_network": "GRU", "temperature": 1.2, "topk": 5, "seed": 9}, "GRU",
     None),
    ({"b_network": "RNN", "temperature": 0}, "RNN", None),
    ({"b_forget": 0, "temperature": 1}, "LSTM", hold("forget", 0)),
    ({"b_network": "GRU", "b_update": 1}, "GRU", hold("update", 1)),
    ({"b_network": "RNN", "b_scale": 2}, "RNN", scale(2)),
    ({"b_at": 9}, "LSTM", None),
], ids=lambda value: str(value) if isinstance(value, str | dict) else "")
def test_what_is_written_pytorch_writes_too(
    window, kept, settings, kind, change
):
    prefix = "time traveller"
    set_page(window, prefix=prefix.replace(" ", "+"), **settings)
    seed = settings.get("seed", 1)
    numbers = window.evaluate(
        f"""() => {{ const random = randomNumbers({seed});
            return Array.from({{length: 120}}, random); }}""")
    assert 0.3 < sum(numbers) / 120 < 0.7 and len(set(numbers)) == 120
    model = explorer.model_of(kind, kept).double()
    if change:
        with torch.no_grad():
            change(model)
    vocab = kept["vocab"]
    own = write_with_torch(
        model, [vocab.index(c) for c in prefix], numbers,
        settings.get("temperature", 0.7), settings.get("topk", 28),
        settings["b_at"] - 1 if "b_at" in settings else None)
    assert text(window, "b") == "".join(
        vocab[k] if k else "\N{REPLACEMENT CHARACTER}" for k in own)


def test_half_numbers_are_read_as_numpy_reads_them(window):
    # Every finite one, subnormal ones and both zeros among them.
    halves = numpy.arange(2**16, dtype="<u2").view("<f2")
    halves = halves[numpy.isfinite(halves)]
    page = evaluate(
        window, "(text) => [...numbers(text)]",
        base64.b64encode(halves.tobytes()).decode())
    assert page == halves.astype(float).tolist()


# ---- the page


def test_the_first_character_comes_within_a_second(window):
    milliseconds = []
    for _ in range(3):  # the machine may be busy
        set_page(window)
        milliseconds.append(window.evaluate(
            "() => performance.getEntriesByName('shown')[0].startTime"))
    assert min(milliseconds) < 1000


def test_it_writes_sixty_characters_a_second(window):
    set_page(window, speed=120, count=300)
    window.click("#play")
    start = time.perf_counter()
    window.wait_for_function(
        "() => !playing && cursor() === readings.a.read.length")
    assert 300 / (time.perf_counter() - start) > 60


def test_writing_can_be_paused_and_goes_on(window):
    set_page(window, speed=60, count=200)
    whole = text(window, "a")
    window.click("#play")
    window.wait_for_function("() => cursor() > 30 && cursor() < 150")
    window.click("#play")
    paused = text(window, "a")
    assert whole.startswith(paused) and 30 < len(paused) < len(whole)
    window.click("#play")
    window.wait_for_function("() => !playing")
    assert text(window, "a") == whole


def test_the_place_where_they_part_is_marked(window):
    set_page(window)
    a, b = text(window, "a"), text(window, "b")
    parts = next(k for k in range(len(a)) if a[k] != b[k])
    for side, own in (("a", a), ("b", b)):
        mark = window.locator("article").nth("ab".index(side)).locator("mark")
        assert mark.text_content() == own[parts]
        before = mark.evaluate(
            """mark => [...mark.parentElement.children].indexOf(mark)""")
        assert before == parts
    assert f"character {parts + 1}" in window.text_content("#part")
    set_page(window, a_network="LSTM")
    assert text(window, "a") == text(window, "b")
    assert window.locator("mark").count() == 0


def test_a_bar_is_taken_into_the_prefix(window):
    set_page(window, count=0, prefix="the+tim")
    bar = window.locator("article").nth(1).locator(".bars button").first
    taken = bar.locator("code").text_content().replace("␣", " ")
    bar.click()
    assert window.input_value("[name=prefix]") == "the tim" + taken


def test_a_link_keeps_everything(window):
    set_page(window)
    window.fill("[name=prefix]", "machine & co")
    window.select_option("[name='b.network']", "GRU")
    window.locator("article").nth(1).locator("summary").click()
    window.select_option("[name='b.update']", "0.5")
    window.check("[name='a.untrained']")
    window.check("[name=look][value=b]")
    window.select_option("[name=part]", "update")
    window.fill("[name=unit]", "5")
    window.select_option("[name=lang]", "zh")
    link, before = window.url, [text(window, "a"), text(window, "b")]
    chosen = window.evaluate("() => settings()")
    window.goto("about:blank")
    window.goto(link)
    assert window.evaluate("() => settings()") == chosen
    assert [text(window, "a"), text(window, "b")] == before
    assert before[0].startswith("machine   co"[:9])


@pytest.mark.parametrize("link", [
    "temperature=hot&topk=-3&seed=x&count=1e9&length=3&item=4",
    "a.network=CNN&part=z&look=c", "unit=999&b.at=0&b.scale=1e400",
    "prefix=", "prefix=%00%F0%9F%98%80",
    "nothing=1&=&&&", "%E0%A4%A", "lang=fr&theme=pink&speed=0&b.forget=7",
])
def test_a_bad_link_is_a_page_all_the_same(window, link):
    window.goto("about:blank")
    window.goto(f"{window.address}#{link}")
    for side in "ab":
        assert len(text(window, side)) > 10
    assert "NaN" not in window.inner_text("body")
    assert not window.said


@pytest.mark.parametrize("name", [
    "kinds", "untrained", "forget", "keep", "update", "reset", "scale"])
def test_an_idea_sets_what_it_says(window, name):
    set_page(window, prefix="the+machine", b_input=0)
    window.click(f"#ideas button[value={name}]")
    button = window.locator(f"#ideas button[value={name}]")
    assert button.get_attribute("aria-pressed") == "true"
    assert window.locator("#ideas [aria-pressed=true]").count() == 1
    assert len(window.text_content("#idea")) > 40
    assert text(window, "a") != text(window, "b")


def test_units_that_change_at_a_space(window, kept):
    set_page(window, a_network="LSTM", look="a", part="h", count=200)
    states = torch.tensor(window.evaluate(
        "() => readings.a.states.map((s) => [...s.h])"))
    spaces = torch.tensor([kept["vocab"][k] == " " for k in window.evaluate(
        "() => readings.a.read")])[1:]
    change = states.diff(dim=0).abs()
    own = change[spaces].mean(0) - change[~spaces].mean(0)
    best = own.topk(6).indices.tolist()
    buttons = window.locator("#spaces button")
    assert [int(b.get_attribute("value")) for b in buttons.all()] == best
    buttons.nth(2).click()
    assert window.input_value("[name=unit]") == str(best[2])


def pixel(window, column, row):
    """The heat map's colour of a unit at a character."""
    return window.evaluate(
        """([t, j]) => {
            const map = find("map"), ratio = map.width / parseFloat(
                map.style.width), tall = rowHeight(readings.a.net.H);
            return [...map.getContext("2d").getImageData(
                (t + 0.5) * COLUMN * ratio,
                (SURPRISE + LETTER + (j + 0.5) * tall) * ratio, 1, 1).data];
        }""", [column, row])


def test_the_heat_map_shows_the_states(window):
    set_page(window, theme="light", a_network="LSTM", unit=63)
    states = window.evaluate(
        "() => readings.a.states.map((s) => [...s.h])")
    low, high = (0, 0x72, 0xB2), (0xD5, 0x5E, 0)
    for t, j in ((3, 10), (20, 40), (50, 7), (100, 33)):
        value = states[t][j]
        end = low if value < 0 else high
        own = [255 + abs(value) * (e - 255) for e in end]
        assert pixel(window, t, j)[:3] == pytest.approx(own, abs=2)


def test_the_map_is_moved_by_keys_and_by_a_finger(window):
    set_page(window, count=40)
    window.focus("#cursor")
    for _ in range(2):
        window.keyboard.press("ArrowLeft")
    assert window.input_value("#cursor") == "52"
    window.focus("[name=unit]")
    window.keyboard.press("ArrowUp")
    assert window.input_value("#cursor") == "52"
    assert "unit 1 of hidden state" in window.text_content("#readout")
    window.locator("#map").click(position={"x": 14 * 5 + 3, "y": 68 + 4 * 9})
    assert window.input_value("#cursor") == "6"
    assert window.input_value("[name=unit]") == "9"


# ---- both languages, all eyes, all hands


def test_everything_is_said_in_both_languages(window):
    strings = window.evaluate("() => STRINGS")
    source = json.dumps((explorer.HERE / "page.js").read_text("utf-8")) + (
        explorer.HERE / "index.html").read_text("utf-8")
    for key, (english, chinese) in strings.items():
        assert english and chinese
        for number in range(5):
            place = f"{{{number}}}"
            assert (place in english) == (place in chinese), key
        if key not in ("topk", "where"):
            assert any("\u4e00" <= c <= "\u9fff" for c in chinese), key
        stem = key.split("_")[0]
        assert key in source or f"{stem}_$" in source, f"{key} is not used"


def test_a_page_in_chinese_has_no_english_sentence(window):
    set_page(window, lang="zh")
    assert window.get_attribute("html", "lang") == "zh-CN"
    for element in window.locator("[data-say]").all_text_contents():
        assert element
    words = window.evaluate(
        """() => {
            const copy = document.body.cloneNode(true);
            copy.querySelectorAll("[lang=en], script, template, style, math")
                .forEach((e) => e.remove());
            return copy.textContent.match(/[A-Za-z]{4,}( [A-Za-z]+)+/g) ?? [];
        }""")
    assert not words


@pytest.mark.parametrize(("size", "language", "theme"), [
    (PHONE, "zh", "dark"), (DESK, "en", "light"), (HALL, "zh", "dark")])
def test_axe_finds_nothing(window, screenshots, size, language, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    set_page(window, size, theme=theme, lang=language)
    window.evaluate("""() => document.querySelectorAll("details")
        .forEach((details) => { details.open = true; })""")
    found = axe.Axe().run(window, options={
        "resultTypes": ["violations", "incomplete"]})
    faults = [
        (v["id"], [node["html"] for node in v["nodes"]][:3])
        for v in found.response["violations"]]
    assert not faults
    assert window.evaluate(
        "() => document.documentElement.scrollWidth") == size[0]
    window.screenshot(
        path=screenshots / f"explorer-{size[0]}-{theme}.png", full_page=True)


def test_tab_goes_through_the_page_from_top_to_bottom(window):
    set_page(window)
    places, names = [], []
    while True:
        window.keyboard.press("Tab")
        place, name, seen = window.evaluate(
            """() => {
                const e = document.activeElement;
                return [[...document.querySelectorAll("*")].indexOf(e),
                    e.name || e.id || e.textContent,
                    getComputedStyle(e).outlineStyle !== "none"];
            }""")
        if places and place <= places[0]:
            break
        assert seen, f"{name} has the focus, and nobody sees it"
        places.append(place)
        names.append(name)
    assert places == sorted(places)
    for name in ("lang", "prefix", "play", "cursor", "a.network", "look",
                 "part", "unit", "scroll"):
        assert name in names
