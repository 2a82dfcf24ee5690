// From a slice to the square that the model sees, and back: what hemokit/apply/squares.py does, in the browser.

function place(height, width) {
  const side = Math.max(height, width);
  return { side, above: Math.floor((side - height) / 2), left: Math.floor((side - width) / 2) };
}

// values: Float32Array of height x width -> Float32Array of size x size
export function toSquare(values, height, width, size) {
  const { side, above, left } = place(height, width);
  const square = new Float32Array(side * side);
  for (let y = 0; y < height; y++) {
    square.set(values.subarray(y * width, (y + 1) * width), (above + y) * side + left);
  }
  return resize(square, side, size);
}

// heights: Float32Array of size x size -> Float32Array of height x width
export function fromSquare(heights, size, height, width) {
  const { side, above, left } = place(height, width);
  const whole = resize(heights, size, side);
  const slice = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const start = (above + y) * side + left;
    slice.set(whole.subarray(start, start + width), y * width);
  }
  return slice;
}

// Shrinking averages areas, enlarging is bilinear; rows first, then columns.
function resize(values, from, to) {
  if (from === to) return values;
  const weights = to < from ? areaWeights(from, to) : linearWeights(from, to);
  const rows = new Float32Array(from * to);
  for (let y = 0; y < from; y++) {
    for (let x = 0; x < to; x++) rows[y * to + x] = weighted(weights[x], (i) => values[y * from + i]);
  }
  const square = new Float32Array(to * to);
  for (let y = 0; y < to; y++) {
    for (let x = 0; x < to; x++) square[y * to + x] = weighted(weights[y], (i) => rows[i * to + x]);
  }
  return square;
}

function weighted(pairs, value) {
  let sum = 0;
  for (const [i, weight] of pairs) sum += weight * value(i);
  return sum;
}

function areaWeights(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, cell) => {
    const low = cell * scale, high = low + scale, pairs = [];
    for (let i = Math.floor(low); i < Math.min(from, Math.ceil(high - 1e-9)); i++) {
      pairs.push([i, (Math.min(high, i + 1) - Math.max(low, i)) / scale]);
    }
    return pairs;
  });
}

function linearWeights(from, to) {
  return Array.from({ length: to }, (_, cell) => {
    const center = Math.min(Math.max((cell + 0.5) * from / to - 0.5, 0), from - 1);
    const first = Math.min(Math.floor(center), Math.max(from - 2, 0));
    return from === 1 ? [[0, 1]] : [[first, 1 - (center - first)], [first + 1, center - first]];
  });
}
