// A launch's part in the page: it holds one engine, times it by the page's own clock, and keeps the
// rules of warm-up and sampling that edge_runner.py has. edge_browser.py calls what `edge` has.
//
// The engine is beside it, in engine.js:
//   load(settings)            import the library; returns its version
//   open(files, settings)     make a session; returns { inputs: names, facts }
//   bind(tensors)             set all inputs, by name: { dtype, shape, values }
//   run()                     one inference, until its outputs can be read; all that is timed
//   fetch()                   the outputs of the last inference: [{ name, dtype, shape, values }]

const ARRAYS = {
  float32: Float32Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};
const LEAST_STEPS = 100;

/** What is missing, or what of the job cannot be done; the runner takes `kind` for its error. */
export class Refusal extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const files = {};
let engine;
let settings;
let step_ms;
let wasHidden = document.visibilityState !== "visible";

document.addEventListener("visibilitychange", () => {
  wasHidden ||= document.visibilityState !== "visible";
});

async function timed(work) {
  const before = performance.now();
  const result = await work();
  return [performance.now() - before, result];
}

const ns = (ms) => Math.round(ms * 1e6);

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

/** Browsers round their clock, and slow down tabs that nobody sees. */
function checkTimes(times) {
  if (wasHidden || document.visibilityState !== "visible") {
    throw new Error("the tab was in the background, where browsers slow pages down");
  }
  const typical = times.length ? median(times) : Infinity;
  if (typical < LEAST_STEPS * step_ms) {
    throw new Refusal(
      "BadJob",
      `an inference takes ${typical.toFixed(3)} ms, less than ${LEAST_STEPS} steps of ` +
        `${(step_ms * 1e3).toFixed(1)} µs of the page's clock: too short to be timed`,
    );
  }
}

const calls = {
  /** Spins for a while: the smallest step that the clock makes, in ms. */
  clock() {
    const end = performance.now() + 100;
    step_ms = Infinity;
    for (let last = performance.now(); last < end; ) {
      const now = performance.now();
      if (now > last) step_ms = Math.min(step_ms, now - last);
      last = now;
    }
    return { step_ms, isolated: globalThis.crossOriginIsolated === true };
  },

  /** How long the document took, and when, in ms of the wall clock, the page began. */
  navigation() {
    const [entry] = performance.getEntriesByType("navigation");
    return { ms: entry.domInteractive - entry.startTime, origin_ms: performance.timeOrigin };
  },

  async script(given) {
    settings = given;
    const [ms, version] = await timed(async () => {
      engine = await import("./engine.js");
      return engine.load(settings);
    });
    return { ms, version };
  },

  async read(urls) {
    const [ms, bytes] = await timed(async () => {
      let total = 0;
      for (const [role, url] of Object.entries(urls)) {
        const response = await fetch(url);
        if (!response.ok) throw new Error(`${url}: ${response.status}`);
        files[role] = await response.arrayBuffer();
        total += files[role].byteLength;
      }
      return total;
    });
    return { ms, bytes };
  },

  async open() {
    const [ms, { inputs, facts }] = await timed(() => engine.open(files, settings));
    for (const role of Object.keys(files)) delete files[role];
    return { ms, inputs, facts };
  },

  async bind(specs) {
    const tensors = {};
    for (const [at, { name, dtype, shape }] of specs.entries()) {
      if (!ARRAYS[dtype]) throw new Refusal("BadJob", `input ${name}: no ${dtype} in a page`);
      const content = await (await fetch(`input-${at}`, { cache: "no-store" })).arrayBuffer();
      tensors[name] = { dtype, shape, values: new ARRAYS[dtype](content) };
    }
    await engine.bind(tensors);
  },

  async run() {
    await engine.run();
  },

  async first() {
    const [ms] = await timed(() => engine.run());
    return ms;
  },

  async warmup(policy) {
    const times = [];
    let fast = 0;
    let slow = 0;
    let streak = 0;
    const begun = performance.now();
    const ended = (reason) => ({ ns: times.map(ns), reason });
    for (;;) {
      const elapsed_s = (performance.now() - begun) / 1e3;
      if (
        streak >= policy.window &&
        times.length >= policy.min_samples &&
        elapsed_s >= policy.min_seconds
      ) {
        return ended("steady");
      }
      if (times.length >= policy.max_samples) return ended("max_samples");
      if (elapsed_s >= policy.max_seconds) return ended("max_seconds");
      const before = performance.now();
      await engine.run();
      const taken = performance.now() - before;
      if (times.length === 0) fast = slow = taken;
      fast += 0.1 * (taken - fast);
      slow += 0.005 * (taken - slow);
      streak = Math.abs(fast - slow) <= policy.tolerance * slow ? streak + 1 : 0;
      times.push(taken);
    }
  },

  async sample({ limits, sustained }) {
    let times = [];
    let every = 1;
    let inferences = 0;
    const begun = performance.now();
    let after = begun;
    const least_ms = limits.min_seconds * 1e3;
    const most_ms = limits.max_seconds * 1e3;
    while ((sustained || inferences < limits.max_samples) && after - begun < most_ms) {
      if (inferences >= limits.min_samples && after - begun >= least_ms) break;
      const before = performance.now();
      await engine.run();
      after = performance.now();
      if (inferences % every === 0) {
        times.push(after - before);
        if (sustained && times.length > limits.max_samples) {
          times = times.filter((_, at) => at % 2 === 0);
          every *= 2;
        }
      }
      inferences += 1;
    }
    await new Promise((resolve) => setTimeout(resolve)); // what the loop kept waiting
    checkTimes(times);
    return { ns: times.map(ns), inferences };
  },

  async fetch() {
    const outputs = await engine.fetch();
    for (const [at, { values }] of outputs.entries()) {
      await fetch(`output-${at}`, { method: "POST", body: values });
    }
    return outputs.map(({ name, dtype, shape }) => ({ name, dtype, shape: [...shape].map(Number) }));
  },
};

/** Return what a call returns, or why it did not: the text of errors that cross is not kept. */
globalThis.edge = async ([name, argument]) => {
  try {
    return { value: await calls[name](argument) };
  } catch (error) {
    return { kind: error?.kind ?? "EngineFailed", message: `${error?.message ?? error}` };
  }
};
