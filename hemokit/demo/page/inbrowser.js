// The model in the browser: the picture is decoded, shown to the model and drawn here. Only the model is fetched.
import { makeAnswer } from "/page/answer.js";
import { fromSquare, toSquare } from "/page/squares.js";

const GRAY_TOLERANCE = 2;
const MAX_SIDE = 4096; // as in uploads.py
let session = null;
let runtime = null;

async function open() {
  if (session) return session;
  runtime = await import("/runtime/ort.wasm.min.mjs");
  runtime.env.wasm.wasmPaths = "/runtime/";
  runtime.env.wasm.numThreads = 1;
  const response = await fetch("/model.onnx");
  if (!response.ok) throw new Error("The model cannot be fetched from the server.");
  const bytes = new Uint8Array(await response.arrayBuffer());
  session = await runtime.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  return session;
}

// blob: the picture; model: the facts of /api/model -> an answer as the server gives it
export async function lookInBrowser(blob, name, model) {
  if (!/\.(jpe?g|png)$/i.test(name)) {
    throw new Error(`${name}: in the browser JPG and PNG alone are read. Choose one, or let the server read it.`);
  }
  const { gray, width, height } = await decode(blob, name);
  const values = Float32Array.from(gray, (one) => one / 255);
  const square = toSquare(values, height, width, model.image_size);
  const map = fromSquare(await probabilities(square, model), model.image_size, height, width);
  const steps = Uint16Array.from(map, inSteps);
  const told = {
    slices: 1, width, height, maps: true, first: 0, labels: model.labels, spacing_mm: [null, null, null],
    outputs: [[map.reduce((a, b) => Math.max(a, b), 0)]],
    notes: [
      ...model.caveats,
      "Computed in this browser: the picture was not sent.",
      `A picture does not say its window: this one is taken to show ${model.window}, as the model was trained.`,
    ],
  };
  return makeAnswer(told, gray, steps);
}

// What hemokit/demo/steps.py does: step >= k where, and only where, the probability is >= k/1000 in single precision.
function inSteps(one) {
  const step = Math.min(999, Math.floor(one * 1000));
  if (one >= Math.fround((step + 1) / 1000)) return step + 1;
  return one < Math.fround(step / 1000) ? step - 1 : step;
}

async function probabilities(square, model) {
  const opened = await open();
  const { image_size: size, channels } = model;
  const input = new Float32Array(size * size * channels);
  for (let i = 0; i < input.length; i++) input[i] = square[Math.floor(i / channels)];
  const tensor = new runtime.Tensor("float32", input, [1, size, size, channels]);
  const found = await opened.run({ [opened.inputNames[0]]: tensor });
  return found[opened.outputNames[0]].data;
}

async function decode(blob, name) {
  const head = new Uint8Array(await blob.slice(0, 25).arrayBuffer());
  if (head[0] === 0x89 && head[24] !== 8) { // PNG, depth in IHDR: the browser would make 8 bits of it in silence
    throw new Error(`${name}: the picture has ${head[24]} bits, but expected are 8. Save it through the model's window.`);
  }
  const options = { imageOrientation: "none", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(blob, options).catch(() => {
    throw new Error(`${name}: the browser cannot read this picture. Is it damaged?`);
  });
  const { width, height } = bitmap;
  if (Math.max(width, height) > MAX_SIDE) { // the model sees a square, which of a long strip would fill any memory
    const expected = `at most ${MAX_SIDE} pixels a side`;
    throw new Error(`${name}: the picture is ${width} x ${height}, but expected ${expected}. Take a smaller one.`);
  }
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const gray = new Uint8Array(width * height);
  for (let i = 0; i < gray.length; i++) {
    const [red, green, blue, alpha] = data.subarray(4 * i, 4 * i + 4);
    if (alpha < 255) throw new Error(`${name}: the picture is transparent. Take a gray CT slice.`);
    if (Math.max(red, green, blue) - Math.min(red, green, blue) > GRAY_TOLERANCE) {
      throw new Error(`${name}: the picture has colors. Take a gray CT slice without anything drawn on it.`);
    }
    gray[i] = green;
  }
  return { gray, width, height };
}
