// Measures the libraries in V8, and writes a line of JSON per figure, as the native program does: each round has a part
// of every text that none before it had. Memory is that of the module's instance.
//
//     node measure.mjs MODULE_FOLDER TABLES TEXTS ROUNDS

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const [folder, tables, texts, rounds] = process.argv.slice(2);
const LIBRARIES = ["tidegate", "tokenizers", "kitoken"];
const TOKENIZERS = ["qwen3", "deepseek-v3", "gpt-oss"];
const PROMPT_BYTES = 2048;
const PROMPT_CALLS = 200;
const OPENINGS = 3;

/** Milliseconds that this process had a core: what else the machine does is not measured. */
function spent() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** A fresh instance of the module: with one that was used before, memory would be hidden that it took then. */
function instance() {
  const require = createRequire(import.meta.url);
  const path = resolve(folder, "tidegate_tokens_bench.js");
  delete require.cache[path];
  return require(path);
}

function open(library, file) {
  const module = instance();
  const before = module.memory_bytes();
  const bench = new module.Bench(library, file);
  return { module, bench, openedBytes: module.memory_bytes() - before };
}

function source(library, tokenizer) {
  const path = library === "tidegate" ? `${tokenizer}.tokens` : join("sources", tokenizer, "tokenizer.json");
  return readFileSync(join(tables, path));
}

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

const read = Object.fromEntries(
  readdirSync(texts).map((file) => [file.replace(/\.txt$/, ""), readFileSync(join(texts, file))]),
);
const prompt = read.markdown.subarray(0, PROMPT_BYTES).toString();

/** What a round has of a text: bytes that are whole characters. */
function part(text, round) {
  const border = (n) => {
    let at = Math.floor((text.length * n) / rounds);
    while ((text[at] & 0xc0) === 0x80) at--;
    return at;
  };
  return text.subarray(border(round), border(round + 1));
}

for (const tokenizer of TOKENIZERS) {
  const figures = {};
  const add = (library, what, value) => ((figures[library] ??= {})[what] ??= []).push(value);
  const contenders = [];
  const failed = new Set();
  for (const library of LIBRARIES) {
    const file = source(library, tokenizer);
    const module = instance();
    for (let opening = 0; opening < OPENINGS; opening++) {
      const begun = spent();
      const opened = new module.Bench(library, file);
      add(library, "open_ms", spent() - begun);
      opened.free();
    }
    const contender = open(library, file);
    add(library, "heap_open_kb", contender.openedBytes / 1000);
    contenders.push({ library, file, ...contender });
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, whole] of Object.entries(read)) {
      const text = part(whole, round);
      for (const contender of contenders) {
        const { library, file, bench, module } = contender;
        // A figure that is missing says that the library cannot.
        if (failed.has(`${library} ${name}`)) continue;
        bench.take(text.toString());
        const memory = module.memory_bytes();
        const begun = spent();
        try {
          bench.count(1);
        } catch {
          failed.add(`${library} ${name}`);
          // After a trap an instance is of no more use.
          Object.assign(contender, open(library, file));
          continue;
        }
        const took = spent() - begun;
        add(library, `mb_s ${name}`, text.length / 1000 / took);
        add(library, "heap_count_kb", (module.memory_bytes() - memory) / 1000);
      }
    }
    for (const { library, bench } of contenders) {
      bench.take(prompt);
      const begun = spent();
      bench.count(PROMPT_CALLS);
      add(library, "prompt_us", ((spent() - begun) * 1000) / PROMPT_CALLS);
    }
  }
  for (const [library, byWhat] of Object.entries(figures)) {
    for (const [what, values] of Object.entries(byWhat)) {
      const value = what === "heap_count_kb" ? Math.max(...values) : median(values);
      console.log(JSON.stringify({ library, tokenizer, what, value }));
    }
  }
}
