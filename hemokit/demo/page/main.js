// The page: what is clicked, dropped and slid, and what is then shown.
import { areaOf, volumeOf } from "/page/answer.js";
import { drawSlice } from "/page/drawing.js";
import { lookInBrowser } from "/page/inbrowser.js";
import { askHeat, askResult, askSlices } from "/page/server.js";
import { savePicture } from "/page/saving.js";

const at = (id) => document.getElementById(id);
const state = { model: null, source: null, answer: null, slice: 0, threshold: 500, opacity: 0.45, heat: null };
let running = new AbortController(); // of the newest file: what comes late for an older one is not shown
let heating = new AbortController();

const inBrowser = () => at("in-browser").checked;

function say(words, busy = false) {
  at("status").textContent = words;
  at("status").classList.toggle("busy", busy);
  if (busy) at("error").hidden = true; // that of the last try
}

function fail(error) {
  if (error.name === "AbortError") return;
  at("error").textContent = error.message;
  at("error").hidden = false;
  say(state.answer ? "The picture stays as it was." : "Nothing is shown.");
}

// Nothing of the last file may stay on the page while the next one is read, or when that fails.
function clear() {
  Object.assign(state, { source: null, answer: null, slice: 0, heat: null });
  for (const id of ["probability", "area", "volume", "spacing"]) at(id).textContent = "-";
  for (const id of ["slice", "heat", "download"]) at(id).disabled = true;
  at("heat").checked = false;
  at("error").hidden = true;
  at("notes").replaceChildren();
  at("slice-value").textContent = "-";
  at("canvas").getContext("2d").clearRect(0, 0, at("canvas").width, at("canvas").height);
  at("canvas").setAttribute("aria-label", "No slice yet.");
}

// source: { example, title } or { file, title }
async function look(source) {
  running.abort();
  heating.abort();
  running = new AbortController();
  const { signal } = running;
  const local = inBrowser(); // as it was chosen now: what is computed here must never count as the server's
  clear();
  for (const button of at("examples").children) {
    button.setAttribute("aria-pressed", String(button.dataset.name === source.example));
  }
  say(`${source.title}: the model is looking at it...`, true);
  try {
    const answer = local ? await lookHere(source) : await askSlices(checked(source), signal);
    if (signal.aborted) return;
    Object.assign(state, { source: { ...source, local }, answer, slice: answer.first });
    show();
    at("canvas").scrollIntoView({ block: "nearest" }); // on a phone the picture stands below the buttons
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

function checked(source) {
  const { max_bytes: most } = state.model;
  if (source.file && source.file.size > most) {
    throw new Error(`${source.title}: ${Math.round(source.file.size / 2 ** 20)} MB came, but expected are at most ` +
      `${Math.round(most / 2 ** 20)} MB. Send fewer or smaller slices.`);
  }
  return source;
}

async function lookHere(source) {
  if (source.file) return lookInBrowser(source.file, source.file.name, state.model);
  const picture = await (await fetch(`/api/examples/${source.example}.png`)).blob();
  return lookInBrowser(picture, `${source.example}.png`, state.model);
}

function show() {
  const { answer, source } = state;
  at("slice").max = answer.slices - 1;
  at("slice").disabled = answer.slices === 1;
  at("heat").disabled = source.local;
  at("heat-words").textContent = source.local ? "Off while the model runs in the browser." : state.model.heat;
  at("download").disabled = false;
  at("notes").replaceChildren(...answer.notes.map(item));
  const [between, row, column] = answer.spacing_mm;
  const pixel = row === null ? "unknown" : `${row.toFixed(2)} x ${column.toFixed(2)} mm`;
  at("spacing").textContent = `${pixel}, ${between === null ? "unknown" : `${between.toFixed(1)} mm`}`;
  const count = answer.slices === 1 ? "1 slice" : `${answer.slices} slices`;
  say(`${source.title}: ${count}. ${source.local ? "Computed in this browser." : "Computed by the server."}`);
  draw();
}

function item(text) {
  const one = document.createElement("li");
  one.textContent = text;
  return one;
}

function draw() {
  at("threshold-value").textContent = (state.threshold / 1000).toFixed(3);
  at("opacity-value").textContent = `${Math.round(100 * state.opacity)} %`;
  const { answer, slice, threshold } = state;
  if (!answer) return;
  drawSlice(at("canvas"), state);
  at("slice").value = slice;
  at("slice-value").textContent = `${slice + 1} of ${answer.slices}`;
  at("slice").setAttribute("aria-valuetext", `${slice + 1} of ${answer.slices}`);
  at("probability").textContent = answer.maps ? answer.outputs[slice][0].toFixed(3) :
    answer.labels.map((label, i) => `${label} ${answer.outputs[slice][i].toFixed(3)}`).join(", ");
  const [area, volume] = answer.maps ? figures(answer, slice, threshold) : ["no mask", "no mask"];
  at("area").textContent = area;
  at("volume").textContent = volume;
  const words = `Head CT, slice ${slice + 1} of ${answer.slices}; area of the mask: ${area}. Education only.`;
  at("canvas").setAttribute("aria-label", words);
}

function figures(answer, slice, threshold) {
  const area = areaOf(answer, slice, threshold);
  const volume = volumeOf(answer, threshold);
  const pixels = `${answer.counts[slice][threshold]} pixels`;
  return [
    area === null ? `${pixels} (mm² unknown)` : `${area.toFixed(0)} mm²`,
    volume === null ? "unknown (no spacing)" : `${volume.toFixed(1)} mL`,
  ];
}

function moveTo(slice) {
  if (!state.answer) return;
  state.slice = Math.min(Math.max(slice, 0), state.answer.slices - 1);
  state.heat = null;
  draw();
  warm();
}

// The heat map of the slice that is shown; the one of a slice that was left meanwhile is not drawn.
async function warm() {
  heating.abort();
  if (!at("heat").checked || !state.answer || state.source.local) {
    state.heat = null;
    draw();
    return;
  }
  heating = new AbortController();
  const { signal } = heating;
  try {
    await new Promise((resolve) => setTimeout(resolve, 150)); // while the slider moves, none is asked for
    if (signal.aborted) return;
    say("Looking where the model looked...", true);
    const heat = await askHeat(state.source, state.slice, signal);
    if (signal.aborted) return;
    state.heat = heat;
    say(heat.some((one) => one > 0) ? "Blue to white: what the model looked at." :
      "Nothing in this slice speaks for a hemorrhage: the map is empty.");
    draw();
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

async function download() {
  const { source, threshold } = state;
  try {
    if (source.local) return await savePicture(at("canvas"), state);
    say("Writing the result...", true);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await askResult(source, threshold));
    link.download = "hemokit_result.zip";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    say("The result is in hemokit_result.zip.");
  } catch (error) {
    fail(error);
  }
}

function addExamples(examples) {
  for (const { name, title } of examples) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    const picture = Object.assign(document.createElement("img"), { src: `/api/examples/${name}.png`, alt: "" });
    button.dataset.name = name;
    button.setAttribute("aria-pressed", "false");
    button.append(picture, title);
    button.addEventListener("click", () => look({ example: name, title }));
    at("examples").append(button);
  }
}

function listen() {
  const open = (file) => file && look({ file, title: file.name });
  at("file").addEventListener("change", () => {
    open(at("file").files[0]);
    at("file").value = ""; // the same file may be chosen again
  });
  const drop = at("drop");
  for (const kind of ["dragover", "drop"]) document.addEventListener(kind, (event) => event.preventDefault());
  document.addEventListener("dragover", () => drop.classList.add("over"));
  document.addEventListener("dragleave", (event) => event.relatedTarget || drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    open(event.dataTransfer.files[0]);
  });
  at("slice").addEventListener("input", () => moveTo(Number(at("slice").value)));
  at("threshold").addEventListener("input", () => {
    state.threshold = Number(at("threshold").value);
    draw();
  });
  at("opacity").addEventListener("input", () => {
    state.opacity = Number(at("opacity").value) / 100;
    draw();
  });
  at("heat").addEventListener("change", warm);
  at("download").addEventListener("click", download);
  at("canvas").addEventListener("keydown", (event) => {
    const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 5, PageDown: -5 }[event.key];
    if (step) {
      event.preventDefault();
      moveTo(state.slice + step);
    }
  });
}

async function start() {
  const response = await fetch("/api/model");
  state.model = await response.json();
  const { model } = state;
  state.threshold = Math.min(1000, Math.max(1, Math.ceil(model.threshold * 1000 - 1e-6)));
  at("threshold").value = state.threshold;
  at("model-words").replaceChildren(item(model.title), ...model.about.map(item), item(`Windows: ${model.window}.`));
  at("heat-words").textContent = model.heat;
  at("in-browser").disabled = Boolean(model.browser);
  at("browser-words").textContent = model.browser || "For JPG and PNG.";
  if (!model.masks) for (const id of ["threshold", "opacity"]) at(id).disabled = true;
  addExamples(model.examples);
  listen();
  draw();
}

start().catch(fail);
