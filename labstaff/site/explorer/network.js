// The three networks of the course, in plain JavaScript.
//
// V characters, H hidden units, G blocks of rows: 1 (RNN), 4 (LSTM), 3 (GRU).
// Weights as torch.nn has them: W_ih (G*H, V), W_hh (G*H, H), b_ih, b_hh (G*H),
// and of the linear layer on top W_hq (V, H), b_q (V); matrices row by row.
//
// A state has arrays of H numbers: h, and what else there is. `change` says what
// an experiment does to the network:
//   scale: the recurrent product W_hh h is multiplied by it
//   input, forget, output, reset, update: this gate is held at that number

const sigmoid = (z) => 1 / (1 + Math.exp(-z));
// A gate, from 0 (shut) to 1 (open); or held by hand.
const gate = (z, held) => z.map((z_j) => held ?? sigmoid(z_j));
// The block of rows with number k.
const block = (z, k, H) => z.subarray(k * H, (k + 1) * H);
const sum = (a, b) => a.map((a_j, j) => a_j + b[j]);

// W h + b.
function affine(W, h, b, scale = 1) {
  return b.map((b_i, i) => {
    let product = 0;
    for (let j = 0; j < h.length; j++) product += W[i * h.length + j] * h[j];
    return scale * product + b_i;
  });
}

// W x + b. The vector x is one-hot: of W the product takes a single column.
function affineOneHot(W, x, b, V) {
  return b.map((b_i, i) => W[i * V + x] + b_i);
}

// The two sums that every network begins with.
function sums(net, x, h, change) {
  return [
    affineOneHot(net.W_ih, x, net.b_ih, net.V),
    affine(net.W_hh, h, net.b_hh, change.scale),
  ];
}

// h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)
function stepRNN(net, x, { h }, change) {
  const [fromInput, fromState] = sums(net, x, h, change);
  return { h: sum(fromInput, fromState).map(Math.tanh) };
}

// i, f, o = sigmoid(W x_t + b + W h_{t-1} + b), each with weights of its own
// g = tanh(W x_t + b + W h_{t-1} + b)          the candidate
// c_t = f * c_{t-1} + i * g                    the memory cell
// h_t = o * tanh(c_t)
function stepLSTM(net, x, { h, c }, change) {
  const [fromInput, fromState] = sums(net, x, h, change);
  const z = sum(fromInput, fromState);
  const input = gate(block(z, 0, net.H), change.input);
  const forget = gate(block(z, 1, net.H), change.forget);
  const candidate = block(z, 2, net.H).map(Math.tanh);
  const output = gate(block(z, 3, net.H), change.output);
  const cell = c.map((c_j, j) => forget[j] * c_j + input[j] * candidate[j]);
  const hidden = cell.map((c_j, j) => output[j] * Math.tanh(c_j));
  return { h: hidden, c: cell, input, forget, output, candidate };
}

// r, z = sigmoid(W x_t + b + W h_{t-1} + b), each with weights of its own
// n = tanh(W x_t + b + r * (W h_{t-1} + b))    the candidate
// h_t = (1 - z) * n + z * h_{t-1}
function stepGRU(net, x, { h }, change) {
  const [fromInput, fromState] = sums(net, x, h, change);
  const z = sum(fromInput, fromState);
  const reset = gate(block(z, 0, net.H), change.reset);
  const update = gate(block(z, 1, net.H), change.update);
  const n = block(fromInput, 2, net.H);
  const u = block(fromState, 2, net.H);
  const candidate = n.map((n_j, j) => Math.tanh(n_j + reset[j] * u[j]));
  const hidden = h.map((h_j, j) =>
    (1 - update[j]) * candidate[j] + update[j] * h_j);
  return { h: hidden, reset, update, candidate };
}

const STEPS = { RNN: stepRNN, LSTM: stepLSTM, GRU: stepGRU };
const BLOCKS = { RNN: 1, LSTM: 4, GRU: 3 };
const GATES = { RNN: [], LSTM: ["input", "forget", "output"], GRU: ["reset", "update"] };

const zeros = (H) => ({ h: new Float64Array(H), c: new Float64Array(H) });

// Logits into probabilities, over the `topK` likeliest characters alone. At
// temperature 0 the likeliest has everything.
function probabilities(logits, temperature = 1, topK = logits.length) {
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a]);
  const kept = new Set(order.slice(0, temperature > 0 ? topK : 1));
  const most = logits[order[0]];
  const e = Array.from(logits, (s, k) =>
    kept.has(k) ? Math.exp((s - most) / (temperature || 1)) : 0);
  const total = e.reduce((a, b) => a + b);
  return e.map((e_k) => e_k / total);
}

// The character at which the probabilities, added up, exceed a random number.
function draw(chances, number) {
  const k = chances.findIndex((p) => (number -= p) < 0);
  return k >= 0 ? k : chances.lastIndexOf(Math.max(...chances));
}

// Random numbers from 0 to 1 that follow from a seed (mulberry32).
function randomNumbers(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

// A network that has read nothing yet, and keeps all that it computes.
class Reading {
  constructor(net, change = {}) {
    Object.assign(this, { net, change, read: [], states: [], logits: [], bits: [] });
  }
  // Read the character with index x; `change.at` forgets all before that one.
  push(x) {
    const { net, change, states, logits } = this, t = states.length;
    const forgets = t === 0 || t === change.at;
    const before = forgets ? zeros(net.H) : states[t - 1];
    const state = STEPS[net.kind](net, x, before, change);
    // Its surprise, in bits: -log2 of the probability that it had.
    this.bits.push(t ? -Math.log2(probabilities(logits[t - 1])[x]) : 0);
    this.read.push(x);
    states.push(state);
    logits.push(affine(net.W_hq, state.h, net.b_q));
  }
}

// 16-bit numbers (sign, 5 bits of exponent, 10 of fraction) in base64.
function numbers(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return Float64Array.from(new Uint16Array(bytes.buffer), (half) => {
    const sign = half >> 15 ? -1 : 1, exponent = (half >> 10) & 31;
    const fraction = (half & 1023) / 1024;
    return exponent
      ? sign * 2 ** (exponent - 15) * (1 + fraction) : sign * 2 ** -14 * fraction;
  });
}

// Give each of the network's tensors its part of all the numbers.
function network(kind, V, H, all) {
  const G = BLOCKS[kind], net = { kind, V, H };
  const sizes = { W_ih: G * H * V, W_hh: G * H * H, b_ih: G * H, b_hh: G * H,
    W_hq: V * H, b_q: V };
  let from = 0;
  for (const [name, size] of Object.entries(sizes)) {
    net[name] = all.subarray(from, from += size);
  }
  return net;
}

// Before any training: as torch.nn begins, between -1/sqrt(H) and 1/sqrt(H).
function untrained(kind, V, H, seed = 0) {
  const G = BLOCKS[kind], random = randomNumbers(seed);
  const all = new Float64Array(G * H * (V + H + 2) + V * (H + 1));
  return network(kind, V, H, all.map(() => (2 * random() - 1) / Math.sqrt(H)));
}
