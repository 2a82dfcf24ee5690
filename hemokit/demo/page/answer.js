// An answer: pictures (8 bit), maps (probability in thousandths) and figures of all slices of one file.

// Reads the bytes of /api/slices: 4 bytes (length of the JSON), JSON, pictures, maps.
export function readAnswer(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const size = told.height * told.width;
  const start = 4 + length;
  const pictures = new Uint8Array(buffer, start, told.slices * size);
  const maps = told.maps ? thousandths(buffer.slice(start + told.slices * size)) : null;
  return makeAnswer(told, pictures, maps);
}

// 16-bit numbers, little-endian whatever the machine is.
export function thousandths(buffer) {
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) return new Uint16Array(buffer);
  const view = new DataView(buffer);
  return Uint16Array.from({ length: buffer.byteLength / 2 }, (_, i) => view.getUint16(2 * i, true));
}

// Adds what makes the sliders act at once: for each slice how many pixels reach each threshold.
export function makeAnswer(told, pictures, maps) {
  const size = told.height * told.width;
  const counts = [];
  for (let slice = 0; maps && slice < told.slices; slice++) {
    const reached = new Uint32Array(1002);
    for (let i = slice * size; i < (slice + 1) * size; i++) reached[maps[i]]++;
    for (let step = 1000; step >= 0; step--) reached[step] += reached[step + 1];
    counts.push(reached);
  }
  return { ...told, size, pictures, maps, counts };
}

// Area of the mask in mm2, or null where the size of a pixel is not known.
export function areaOf(answer, slice, threshold) {
  const [, row, column] = answer.spacing_mm;
  return row === null || column === null ? null : answer.counts[slice][threshold] * row * column;
}

// Volume of all masks in mL, or null where a distance is not known.
export function volumeOf(answer, threshold) {
  const [between, row, column] = answer.spacing_mm;
  if (between === null || row === null || column === null) return null;
  const pixels = answer.counts.reduce((sum, one) => sum + one[threshold], 0);
  return pixels * between * row * column / 1000;
}
