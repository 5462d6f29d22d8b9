// The picture of what a network computes while it reads: a column for each
// character; from above: its surprise, itself, all units as a heat map, and
// the course of the chosen unit.

const COLUMN = 14, SURPRISE = 48, LETTER = 20, COURSE = 90; // heights in pixels
const MOST_BITS = 8; // of surprise; what is above is cut
const MOST_PIXELS = 1.6e7; // a phone draws no larger canvas

const rowHeight = (H) => Math.max(2, Math.floor(256 / H));

function colours() {
  const style = getComputedStyle(document.documentElement);
  const find = (name) => style.getPropertyValue(`--${name}`).trim();
  const parts = (hex) => (hex.length === 4 ? hex.replace(/\w/g, "$&$&") : hex)
    .match(/\w\w/g).map((part) => parseInt(part, 16));
  return {
    text: find("text"), quiet: find("quiet"), accent: find("accent"), surprise: find("high"),
    low: parts(find("low")), middle: parts(find("middle")), high: parts(find("high")),
  };
}

// Blue below zero, orange above it, from -1 to 1.
function colour(value, { low, middle, high }) {
  const end = value < 0 ? low : high, much = Math.min(1, Math.abs(value));
  return middle.map((from, k) => from + much * (end[k] - from));
}

// The largest number of a part: gates and hidden states have a bound, the
// memory cell has none.
function limit(reading, part) {
  if (part !== "c") return 1;
  return reading.states.reduce((most, { c }) =>
    c.reduce((m, c_j) => Math.max(m, Math.abs(c_j)), most), 1);
}

function drawMap(canvas, reading, { part, unit, cursor, letters }) {
  const T = reading.states.length, H = reading.net.H, paint = colours();
  const top = SURPRISE + LETTER, map = H * rowHeight(H);
  const width = T * COLUMN, height = top + map + COURSE;
  const ratio = Math.min(devicePixelRatio, Math.sqrt(MOST_PIXELS / (width * height)));
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "13px ui-monospace, Menlo, Consolas, monospace";
  pen.textAlign = "center";

  for (let t = 0; t < cursor; t++) {
    const tall = SURPRISE * Math.min(1, reading.bits[t] / MOST_BITS);
    pen.fillStyle = paint.surprise;
    pen.fillRect(t * COLUMN + 2, SURPRISE - tall, COLUMN - 4, tall);
    pen.fillStyle = paint.text;
    pen.fillText(letters[t] === " " ? "␣" : letters[t], (t + 0.5) * COLUMN, top - 6);
  }
  const most = limit(reading, part);
  pen.imageSmoothingEnabled = false;
  pen.drawImage(heatMap(reading, part, most, cursor, paint), 0, top, cursor * COLUMN, map);
  drawCourse(pen, reading.states.slice(0, cursor).map((state) => state[part][unit] / most),
    { top: top + map, width }, paint);

  pen.strokeStyle = paint.text; // the chosen unit, the character read last
  pen.strokeRect(0.5, top + unit * rowHeight(H) - 0.5, width - 1, rowHeight(H) + 1);
  pen.strokeRect((cursor - 1) * COLUMN + 0.5, 0.5, COLUMN - 1, height - 1);
}

// A pixel for each number, to be drawn larger.
function heatMap(reading, part, most, cursor, paint) {
  const H = reading.net.H, small = document.createElement("canvas");
  small.width = cursor;
  small.height = H;
  const pen = small.getContext("2d"), pixels = pen.createImageData(cursor, H);
  for (let t = 0; t < cursor; t++) {
    const values = reading.states[t][part];
    for (let j = 0; j < H; j++) {
      pixels.data.set([...colour(values[j] / most, paint), 255], 4 * (j * cursor + t));
    }
  }
  pen.putImageData(pixels, 0, 0);
  return small;
}

function drawCourse(pen, values, { top, width }, paint) {
  const middle = top + COURSE / 2, tall = COURSE / 2 - 6;
  pen.strokeStyle = paint.quiet;
  pen.strokeRect(-1, middle, width + 2, 0.001); // zero
  pen.strokeStyle = paint.accent;
  pen.lineWidth = 2;
  pen.beginPath();
  values.forEach((value, t) => pen.lineTo((t + 0.5) * COLUMN, middle - tall * value));
  pen.stroke();
  pen.lineWidth = 1;
}

// The unit at a height of the picture; above and below the map there is none.
function unitAt(reading, y) {
  const row = Math.floor((y - SURPRISE - LETTER) / rowHeight(reading.net.H));
  return row >= 0 && row < reading.net.H ? row : null;
}
