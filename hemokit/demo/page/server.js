// What is asked of the server. Each request brings its file: the server keeps nothing between two of them.
import { readAnswer, thousandths } from "/page/answer.js";

const RETRIES = 5;

// source: { example: name } or { file: File }
async function ask(path, source, values, signal) {
  const query = new URLSearchParams(values);
  if (source.example) query.set("example", source.example);
  const headers = source.file ? { "X-File-Name": encodeURIComponent(source.file.name) } : {};
  for (let again = 0; ; again++) {
    const response = await fetch(`${path}?${query}`, { method: "POST", body: source.file, headers, signal });
    if (response.ok) return response;
    const wait = Number(response.headers.get("Retry-After"));
    if (response.status === 503 && again < RETRIES) {
      await new Promise((resolve) => setTimeout(resolve, 1000 * (wait || 1)));
      continue;
    }
    const told = await response.json().catch(() => ({}));
    throw new Error(told.error || `The server answered ${response.status}.`);
  }
}

export async function askSlices(source, signal) {
  const response = await ask("/api/slices", source, {}, signal);
  const answer = readAnswer(await response.arrayBuffer());
  return { ...answer, first: Number(response.headers.get("X-First-Slice")) };
}

export async function askHeat(source, slice, signal) {
  return thousandths(await (await ask("/api/heat", source, { slice }, signal)).arrayBuffer());
}

export async function askResult(source, threshold) {
  return (await ask("/api/result", source, { threshold })).blob();
}
