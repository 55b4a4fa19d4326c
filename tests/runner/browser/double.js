// A test double of an engine: its outputs are its inputs. The model's file says what it does.

const busy = (ms) => {
  for (const end = performance.now() + ms; performance.now() < end; );
};

let model;
let inputs;

export async function load() {
  model = await (await fetch("model.json")).json();
  if (model.load === "eval") (0, eval)("1");
  if (model.load === "elsewhere") await fetch("http://127.0.0.1:9/");
  if (model.load === "hidden") Object.defineProperty(document, "visibilityState", { value: "hidden" });
  return "0.double";
}

export async function open(files) {
  if (files.model.byteLength === 0) throw new Error("an empty model");
  return { inputs: model.inputs ?? ["x"], facts: model.facts ?? {} };
}

export function bind(given) {
  inputs = given;
}

export async function run() {
  if (model.run === "memory") new Float32Array(2 ** 52);
  if (model.run === "hang") for (;;);
  busy(model.ms ?? 1);
}

export function fetch_() {
  return Object.entries(inputs).map(([name, tensor]) => ({ name, ...tensor }));
}
export { fetch_ as fetch };
