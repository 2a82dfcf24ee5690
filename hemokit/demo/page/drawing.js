// One slice on a canvas: gray, then the heat map, then the mask with its outline.

const MASK = [230, 159, 0]; // orange, which stands out on gray for color-blind readers, too
const HEAT = [[0, 32, 76], [0, 92, 138], [86, 180, 233], [158, 218, 229], [255, 255, 255]]; // dark to light: no hue needed

// state: answer, slice, threshold (thousandths), opacity (0..1), heat (Uint16Array of the slice, or null)
export function drawSlice(canvas, { answer, slice, threshold, opacity, heat }) {
  const { width, height, size, pictures, maps } = answer;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const start = slice * size;
  const inside = maps && opacity > 0 ? (i) => maps[start + i] >= threshold : () => false;
  const { data } = image;
  data.fill(255);
  for (let i = 0; i < size; i++) {
    const gray = pictures[start + i];
    data[4 * i] = data[4 * i + 1] = data[4 * i + 2] = gray;
    if (heat && heat[i]) blend(data, 4 * i, heatColor(heat[i]), 0.65 * heat[i] / 1000);
    if (inside(i)) blend(data, 4 * i, MASK, isEdge(inside, i, width, height) ? Math.max(opacity, 0.85) : opacity);
  }
  context.putImageData(image, 0, 0);
}

function blend(data, at, over, part) {
  for (let channel = 0; channel < 3; channel++) {
    data[at + channel] += Math.round((over[channel] - data[at + channel]) * part);
  }
}

function heatColor(thousandths) {
  const place = Math.min(thousandths, 1000) / 1000 * (HEAT.length - 1);
  const first = Math.min(Math.floor(place), HEAT.length - 2);
  return HEAT[first].map((low, channel) => low + (HEAT[first + 1][channel] - low) * (place - first));
}

function isEdge(inside, i, width, height) {
  const x = i % width;
  const y = (i - x) / width;
  if (x === 0 || y === 0 || x === width - 1 || y === height - 1) return true;
  return !(inside(i - 1) && inside(i + 1) && inside(i - width) && inside(i + width));
}
