// The page: settings in, two readings computed, everything shown.

const find = (id) => document.getElementById(id);
const make = (kind, properties = {}) => Object.assign(document.createElement(kind), properties);
const makeButton = (properties) => make("button", { type: "button", ...properties });
const form = find("settings"), SIDES = ["a", "b"];
const VOCAB = DATA.vocab, V = VOCAB.length;
const index = new Map(VOCAB.map((character, k) => [character, k]));
const BARS = 8, SPACES = 6; // how many are shown
const ALL_GATES = [...GATES.LSTM, ...GATES.GRU], panes = {}, readings = {};
let defaults, playing = 0;

// ---- words

const language = () => form.elements.lang.value;

function say(key, ...values) {
  const text = STRINGS[key][language() === "zh" ? 1 : 0];
  return text.replace(/\{(\d)\}/g, (_, k) => values[k]);
}

const number = (value, digits = 2) => value.toLocaleString(language(), {
  minimumFractionDigits: digits, maximumFractionDigits: digits });
const share = (p) => p.toLocaleString(language(), {
  style: "percent", maximumFractionDigits: p < 0.1 ? 1 : 0 });
const letter = (k) => (k ? VOCAB[k] : "�"); // the unknown character
const named = (k) => (VOCAB[k] === " " ? say("space") : letter(k));

function speak() {
  document.documentElement.lang = language() === "zh" ? "zh-CN" : "en";
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-say]")) {
    element.textContent = say(element.dataset.say);
  }
  find("corpus").textContent = say("corpus", say(DATA.book ? "book" : "practice"),
    number(DATA.tokens, 0));
  const rows = Object.entries(DATA.networks).map(([kind, net]) => [kind, net.num_hiddens,
    number(net.parameters, 0), `${net.epoch} ${net.status}`, number(net.perplexity)]);
  find("networks").replaceChildren(...[
    ["network", "units", "parameters", "epoch", "perplexity"].map((key) => say(key)),
    ...rows, [say("counting"), "", "", "", number(DATA.counting)],
  ].map((cells, place) => {
    const row = make("tr");
    row.append(...cells.map((textContent) => make(place ? "td" : "th", { textContent })));
    return row;
  }));
}

// ---- settings: the form has them, the address keeps what is not the default

const settings = () => Object.fromEntries(new FormData(form));

function setControls(values) {
  for (const [name, value] of Object.entries(values)) {
    const control = form.elements.namedItem(name);
    if (!control) continue;
    if (control.type === "checkbox") control.checked = value === "1";
    else control.value = value;
    if (control.tagName === "SELECT" && control.selectedIndex < 0) control.value = defaults[name] ?? "";
  }
}

function fromAddress() {
  form.reset();
  setControls({ ...defaults, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) });
  update();
}

function toAddress() {
  const changed = Object.entries(settings()).filter(([k, v]) => v !== (defaults[k] ?? ""));
  const hash = `#${new URLSearchParams(changed)}`;
  if (hash !== (location.hash || "#")) history.replaceState(null, "", hash);
}

// A number from a control, within its bounds even where somebody typed another.
function within(value, least, most) {
  const found = Number(value);
  return Number.isFinite(found) ? Math.min(most, Math.max(least, found)) : least;
}

// ---- computing

const trained = Object.fromEntries(Object.entries(DATA.networks).map(([kind, net]) =>
  [kind, network(kind, V, net.num_hiddens, numbers(net.weights))]));

function encode(text) {
  const known = Array.from(text.toLowerCase(), (c) => index.get(c) ?? index.get(" "));
  return known.length ? known : [index.get(" ")];
}

const netOf = (side, s) => {
  const net = trained[s[`${side}.network`]];
  return s[`${side}.untrained`] ? untrained(net.kind, V, net.H) : net;
};

function changeOf(side, s) {
  const change = { scale: within(s[`${side}.scale`], 0, 3) };
  if (s[`${side}.at`]) change.at = within(s[`${side}.at`], 1, 600) - 1;
  for (const name of GATES[s[`${side}.network`]]) {
    if (s[`${side}.${name}`]) change[name] = Number(s[`${side}.${name}`]);
  }
  return change;
}

const chancesAfter = (logits, s) =>
  probabilities(logits, within(s.temperature, 0, 2), within(s.topk, 1, V));

// Read the prefix, then write: each character that is drawn is read in turn.
function write(side, s) {
  const reading = new Reading(netOf(side, s), changeOf(side, s));
  const random = randomNumbers(within(s.seed, 0, 9999));
  for (const x of encode(s.prefix)) reading.push(x);
  for (let n = within(s.count, 0, 400); n >= 1; n--) {
    reading.push(draw(chancesAfter(reading.logits.at(-1), s), random()));
  }
  return reading;
}

// ---- experiments

const PLAIN = { network: "LSTM", untrained: "", scale: "1", at: "",
  input: "", forget: "", output: "", reset: "", update: "" };

function idea(a, b, others = {}) {
  const whole = (side, own) => Object.entries({ ...PLAIN, ...own })
    .map(([key, value]) => [`${side}.${key}`, value]);
  return { ...Object.fromEntries([...whole("a", a), ...whole("b", { ...a, ...b })]), ...others };
}

const IDEAS = {
  kinds: idea({ network: "RNN" }, { network: "LSTM" }),
  untrained: idea({}, { untrained: "1" }),
  forget: idea({}, { forget: "0" }, { look: "b", part: "c" }),
  keep: idea({}, { forget: "1" }, { look: "b", part: "c" }),
  update: idea({ network: "GRU" }, { update: "1" }, { look: "b", part: "h" }),
  reset: idea({}, { at: "9" }, { look: "b", part: "h", prefix: "time traveller" }),
  scale: idea({ network: "RNN" }, { scale: "2" }, { look: "b", part: "h" }),
};

function showIdeas(s) {
  const running = Object.keys(IDEAS).find((name) => SIDES.every((side) =>
    Object.keys(PLAIN).every((key) =>
      (s[`${side}.${key}`] ?? "") === IDEAS[name][`${side}.${key}`])));
  for (const button of find("ideas").children) {
    button.textContent = say(`idea_${button.value}`);
    button.setAttribute("aria-pressed", button.value === running);
  }
  find("idea").textContent = running ? say(`idea_${running}_note`, s["b.at"]) : "";
}

// ---- showing

const cursor = () => Number(find("cursor").value);

// Something has been changed: compute anew, and show all of it.
function update() {
  stop();
  const s = settings();
  for (const side of SIDES) readings[side] = write(side, s);
  document.documentElement.dataset.theme = s.theme ||
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  find("cursor").max = readings.a.read.length;
  find("cursor").value = readings.a.read.length;
  speak();
  showIdeas(s);
  show();
  toAddress();
}

function show() {
  const s = settings(), prefix = encode(s.prefix).length, now = cursor();
  for (const output of form.querySelectorAll("label > output:not([id])")) {
    output.textContent = number(Number(output.parentElement.querySelector("input").value), 1)
      .replace(/[.,]0$/, "");
  }
  find("where").textContent = `${now} / ${readings.a.read.length}`;
  find("play").textContent = say(playing ? "pause" : "play");
  const parts = readings.a.read.findIndex((x, t) => t >= prefix && x !== readings.b.read[t]);
  const parted = parts >= 0 && parts < now;
  if (!playing) find("part").textContent = parted
    ? say("parted", parts + 1, ...SIDES.map((side) => named(readings[side].read[parts])))
    : say("together");
  for (const side of SIDES) showPane(side, s, { prefix, now, parts });
  showInside(s, now);
}

function showPane(side, s, { prefix, now, parts }) {
  const pane = panes[side], reading = readings[side], kind = reading.net.kind;
  const title = `${side.toUpperCase()}: ${kind}${s[`${side}.untrained`] ? ` (${say("untrained")})` : ""}`;
  pane.querySelector("h3").textContent = title;
  document.querySelector(`[data-name="${side}"]`).textContent = title;
  for (const control of pane.querySelectorAll("[data-gate]")) {
    control.hidden = !GATES[kind].includes(control.dataset.gate);
  }
  const shown = reading.read.slice(0, now).map((x, t) => {
    const kind = t < prefix ? "b" : t === parts ? "mark" : "i";
    const element = make(kind, { textContent: letter(x) });
    element.style.setProperty("--much", Math.min(0.5, reading.bits[t] / 12).toFixed(2));
    return element;
  });
  pane.querySelector(".text").replaceChildren(...shown);
  const bits = reading.bits.slice(1, now).reduce((a, b) => a + b, 0) / Math.max(1, now - 1);
  pane.querySelector("[data-part=quality]").textContent =
    say("quality", now, number(bits), number(2 ** bits, 1));

  const chances = chancesAfter(reading.logits[now - 1], s);
  const likeliest = [...chances.keys()].sort((j, k) => chances[k] - chances[j]);
  [...pane.querySelectorAll(".bars button")].forEach((button, place) => {
    const k = likeliest[place], [name, bar, value] = button.children;
    button.value = k;
    button.setAttribute("aria-label", say("take", named(k), share(chances[k])));
    name.textContent = VOCAB[k] === " " ? "␣" : letter(k);
    bar.style.width = `${100 * chances[k]}%`;
    value.textContent = share(chances[k]);
  });
}

function showInside(s, now) {
  const reading = readings[s.look] ?? readings.a, has = reading.states[0];
  for (const option of form.elements.part.options) option.disabled = !(option.value in has);
  const part = s.part in has ? s.part : "h";
  form.elements.unit.max = reading.net.H - 1;
  const unit = Math.floor(within(s.unit, 0, reading.net.H - 1));
  drawMap(find("map"), reading, { part, unit, cursor: now, letters: reading.read.map(letter) });
  const scroll = find("scroll"), right = now * COLUMN;
  if (right > scroll.scrollLeft + scroll.clientWidth || right - COLUMN < scroll.scrollLeft) {
    scroll.scrollLeft = right - scroll.clientWidth * 0.7;
  }
  if (playing) return; // the rest is for the one who stops and looks
  const words = say(`part_${part}`);
  const label = say("map", words, now, reading.net.H, unit);
  find("map").setAttribute("aria-label", label);
  scroll.setAttribute("aria-label", label);
  find("readout").textContent = say("readout", now, named(reading.read[now - 1]),
    number(reading.bits[now - 1]), unit, words, number(reading.states[now - 1][part][unit]));
  const most = limit(reading, part), signed = ["h", "c", "candidate"].includes(part);
  find("low").textContent = signed ? number(-most, 1) : "0";
  find("high").textContent = number(most, 1);
  find("scale").style.background = `linear-gradient(to right, ${
    signed ? "var(--low), " : ""}var(--middle), var(--high))`;
  showSpaces(reading, part, now);
}

// How much more each unit changes where a space is read than elsewhere.
function changesAtSpaces(reading, part, now) {
  const at = new Float64Array(reading.net.H), count = [0, 0];
  const spaces = reading.read.slice(0, now).map((x) => (VOCAB[x] === " " ? 1 : 0));
  spaces.slice(1).forEach((space) => count[space]++);
  if (!count[0] || !count[1]) return null;
  for (let t = 1; t < now; t++) {
    const weight = spaces[t] ? 1 / count[1] : -1 / count[0];
    const after = reading.states[t][part], before = reading.states[t - 1][part];
    at.forEach((_, j) => { at[j] += weight * Math.abs(after[j] - before[j]); });
  }
  return at;
}

function showSpaces(reading, part, now) {
  const changes = changesAtSpaces(reading, part, now);
  const first = changes && [...changes.keys()].sort((j, k) => changes[k] - changes[j]);
  [...find("spaces").children].forEach((button, place) => {
    button.value = first?.[place] ?? 0;
    button.textContent = first ? say("a_unit", button.value, number(changes[button.value])) : "–";
  });
}

// ---- writing slowly

function play() {
  if (playing) return move(cursor());
  const end = readings.a.read.length, prefix = encode(settings().prefix).length;
  const from = cursor() < end ? cursor() : Math.min(prefix, end), begun = performance.now();
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const frame = (time) => {
    const read = from + Math.floor((time - begun) / 1000 * Number(settings().speed));
    find("cursor").value = still ? end : Math.max(from, read);
    if (cursor() === end) playing = 0;
    else playing = requestAnimationFrame(frame);
    show();
  };
  playing = requestAnimationFrame(frame);
}

const stop = () => { cancelAnimationFrame(playing); playing = 0; };

// ---- building, and what a key or a finger does

// Options by their values, and the words for them.
function addOptions(select, options) {
  for (const [value, key] of options) {
    select.append(make("option", { value }));
    select.lastChild.dataset.say = key;
  }
}

function buildPane(side) {
  const pane = find("pane").content.cloneNode(true).firstElementChild;
  for (const name of ALL_GATES) {
    const label = make("label");
    label.dataset.gate = name;
    label.append(make("span"), make("select"));
    label.firstChild.dataset.say = `part_${name}`;
    label.lastChild.dataset.key = name;
    addOptions(label.lastChild, [["", "as_is"], ["0", "shut"], ["0.5", "half"], ["1", "open"]]);
    pane.querySelector("details .row").append(label);
  }
  for (const control of pane.querySelectorAll("[data-key]")) {
    control.name = `${side}.${control.dataset.key}`;
  }
  pane.querySelector("h3").id = `title-${side}`;
  pane.setAttribute("aria-labelledby", `title-${side}`);
  pane.querySelector(".bars").append(...Array.from({ length: BARS }, () => {
    const button = makeButton();
    button.append(make("code"), make("span"), make("span"));
    button.addEventListener("click", () => take(side, button.value));
    return button;
  }));
  document.querySelector(".panes").append(pane);
  panes[side] = pane;
}

// What stands there so far and this character are the prefix now.
function take(side, k) {
  const text = [...readings[side].read.slice(0, cursor()), k].slice(-200);
  setControls({ prefix: text.map((x) => VOCAB[x]).join("") });
  update();
}

function choose(unit) {
  setControls({ unit: String(within(unit, 0, readings[settings().look].net.H - 1)) });
  show();
  toAddress();
}

function move(character) {
  stop();
  find("cursor").value = character;
  show();
}

SIDES.forEach(buildPane);
addOptions(form.elements.theme, [["", "theme_auto"], ["light", "theme_light"], ["dark", "theme_dark"]]);
addOptions(form.elements.part, ["h", "c", ...ALL_GATES, "candidate"].map((name) => [name, `part_${name}`]));
form.elements["b.network"].value = "LSTM";
form.elements.lang.value = navigator.language.startsWith("zh") ? "zh" : "en";
defaults = settings();
for (const element of document.querySelectorAll("pre")) { // a function's name so far
  element.textContent = { stepRNN, stepLSTM, stepGRU }[element.textContent.trim()].toString();
  element.tabIndex = 0;
}
find("ideas").append(...Object.keys(IDEAS).map((value) => makeButton({ value })));
find("spaces").append(...Array.from({ length: SPACES }, () => makeButton()));
find("ideas").addEventListener("click", ({ target }) => {
  if (target.value) { setControls(IDEAS[target.value]); update(); }
});
find("spaces").addEventListener("click", ({ target }) => target.value && choose(target.value));
find("play").addEventListener("click", play);
find("cursor").addEventListener("input", () => move(cursor()));
find("map").addEventListener("click", ({ offsetX, offsetY }) => {
  move(Math.floor(offsetX / COLUMN) + 1);
  choose(unitAt(readings[settings().look], offsetY) ?? settings().unit);
});
document.addEventListener("input", ({ target }) => {
  if (target.form !== form || target.id === "cursor") return;
  if (["look", "part", "unit"].includes(target.name)) { show(); toAddress(); }
  else update();
});
form.addEventListener("submit", (event) => event.preventDefault());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
addEventListener("hashchange", fromAddress);
fromAddress();
performance.mark("shown");
