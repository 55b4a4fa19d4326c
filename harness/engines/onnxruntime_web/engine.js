// ONNX Runtime Web in a launch's page.

import { Refusal } from "./page.js";

let ort;
let session;
let feeds;
let results;

export async function load({ backend, threads }) {
  ort = await import(`./ort.${backend}.min.mjs`);
  ort.env.wasm.wasmPaths = new URL("./", import.meta.url).href;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  if (threads > 1 && !globalThis.crossOriginIsolated) {
    throw new Refusal("EngineMissing", "WebAssembly has no threads here: the page is not isolated");
  }
  if (backend === "webgpu" && !(await navigator.gpu?.requestAdapter())) {
    throw new Refusal("EngineMissing", "backend webgpu: this browser has no WebGPU adapter");
  }
  return ort.env.versions.web;
}

export async function open({ model }, { backend, threads }) {
  session = await ort.InferenceSession.create(new Uint8Array(model), {
    executionProviders: [backend],
    // An operator that the GPU lacks would be computed by WebAssembly, without a word.
    ...(backend === "webgpu" && { extra: { session: { disable_cpu_ep_fallback: "1" } } }),
  });
  if (ort.env.wasm.numThreads !== threads && backend === "wasm") {
    throw new Error(`it took ${ort.env.wasm.numThreads} threads instead of ${threads}`);
  }
  return { inputs: [...session.inputNames], facts: await device(backend) };
}

async function device(backend) {
  if (backend === "webgpu") {
    const { vendor, architecture, description, isFallbackAdapter } =
      (await ort.env.webgpu.device).adapterInfo;
    return { gpu: [vendor, architecture, description].join(" "), software: isFallbackAdapter };
  }
  if (backend === "webgl") {
    const gl = ort.env.webgl.context;
    const info = gl?.getExtension("WEBGL_debug_renderer_info");
    return info ? { gpu: gl.getParameter(info.UNMASKED_RENDERER_WEBGL) } : {};
  }
  return {};
}

export function bind(tensors) {
  feeds = {};
  for (const [name, { dtype, shape, values }] of Object.entries(tensors)) {
    feeds[name] = new ort.Tensor(dtype, values, shape);
  }
}

// The outputs are read back to the CPU, which waits for the GPU.
export async function run() {
  results = await session.run(feeds);
}

export function fetch() {
  return session.outputNames.map((name) => {
    const { type, dims, data } = results[name];
    return { name, dtype: type, shape: dims, values: data };
  });
}
