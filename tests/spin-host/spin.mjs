#!/usr/bin/env node
// Runs a component in a real Spin, the program that TIDEGATE_SPIN names or else `spin`, with the command line of the
// tests' own host: what tests, bench and `cargo xtask dev` do with the one they do with the other. It keeps nothing when
// it ends, and ends with SIGINT, SIGTERM, or Spin.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values: args } = parseArgs({
  options: {
    manifest: { type: 'string', default: 'spin.toml' },
    component: { type: 'string' },
    listen: { type: 'string', default: '127.0.0.1:3000' },
    variable: { type: 'string', multiple: true, default: [] },
    kv: { type: 'string', multiple: true, default: [] },
    'max-instance-reuse-count': { type: 'string' },
  },
});

// Spin reads the component from where the manifest says, and keeps its state beside the manifest.
const folder = mkdtempSync(join(tmpdir(), 'tidegate-spin-'));
const written = readFileSync(args.manifest, 'utf8');
const source = (_, path) => `source = ${JSON.stringify(resolve(args.component ?? join(dirname(args.manifest), path)))}`;
writeFileSync(join(folder, 'spin.toml'), written.replace(/^source = "(.*)"$/m, source));

const spin = spawn(
  process.env.TIDEGATE_SPIN || 'spin',
  [
    'up',
    ...['--from', join(folder, 'spin.toml'), '--listen', args.listen],
    ...args.variable.flatMap((variable) => ['--variable', variable]),
    ...args.kv.flatMap((pair) => ['--key-value', value(pair)]),
    ...(args['max-instance-reuse-count'] ? ['--max-instance-reuse-count', args['max-instance-reuse-count']] : []),
  ],
  // A group of its own: Spin runs a trigger as a child, which is to end too.
  { stdio: ['ignore', 'pipe', 'inherit'], detached: true },
);

createInterface({ input: spin.stdout }).on('line', (line) => {
  const url = /^Serving (http:\S+)/.exec(line)?.[1];
  if (url) console.log(`ready url=${url}`);
  else console.error(line);
});
let isStopping = false;
spin.on('error', (error) => end(error.message));
spin.on('exit', (status, signal) => end(isStopping ? undefined : `spin ended with ${status ?? signal}`));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, stop);

function stop() {
  isStopping = true;
  try {
    process.kill(-spin.pid, 'SIGTERM');
  } catch {
    end();
  }
}

// Spin is gone: it writes into the folder until then.
function end(failure) {
  rmSync(folder, { recursive: true, force: true });
  if (failure) console.error(failure);
  process.exit(failure ? 1 : 0);
}

// KEY=VALUE, or KEY=@FILE.
function value(pair) {
  const [, key, file] = /^([^=]+)=@(.*)$/.exec(pair) ?? [];
  return file ? `${key}=${readFileSync(file, 'utf8')}` : pair;
}
