// Runs a Worker in workerd on this machine, with the bindings of wrangler.toml: for tests, the bench, and
// `cargo xtask dev --on cloudflare`. It listens on loopback only, lets the Worker reach loopback only, keeps nothing
// when it ends, and ends when its standard input is a pipe that closes, or on SIGINT or SIGTERM.

import { fstatSync, readFileSync, readdirSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Log, LogLevel, Miniflare } from 'miniflare';
import { wranglerOptions } from './wrangler.mjs';

const USAGE = `usage: node harness.mjs --script DIR [options]
  --script DIR         the Worker: a folder with index.js, and the wasm and data that it imports
  --port PORT          where to listen; a free port by default
  --wrangler FILE      the wrangler.toml to take the bindings from; the repository's by default
  --var NAME=VALUE     a variable; may be repeated
  --secret NAME=VALUE  a secret; may be repeated
  --kv KEY=VALUE       a value in the store before the Worker starts, or KEY=@FILE; may be repeated
  --cf JSON            the request's "cf" object; {"colo":"LHR",...} by default
  --cron               lets GET /cdn-cgi/handler/scheduled run the cron handler
  --cron-every SECONDS runs the cron handler that often
  --bound NAME=FILE    another Worker of the same script, with the bindings and variables of the wrangler.toml FILE, its own
                       state, and the same values and secrets: the service binding NAME leads to it; may be repeated
  --bare               without the bindings: for a Worker that is not the gateway
  --direct             listens with workerd itself: no request log, no "cf" object and no hop of Miniflare's own
  --verbose            prints what the Worker logs`;

const LONDON = { colo: 'LHR', country: 'GB', city: 'London', latitude: '51.4775', longitude: '-0.461389' };
const HOST = '127.0.0.1';

const { values: args } = parseArgs({
  options: {
    script: { type: 'string' },
    port: { type: 'string', default: '0' },
    wrangler: { type: 'string', default: join(import.meta.dirname, '../../wrangler.toml') },
    var: { type: 'string', multiple: true, default: [] },
    secret: { type: 'string', multiple: true, default: [] },
    kv: { type: 'string', multiple: true, default: [] },
    cf: { type: 'string' },
    cron: { type: 'boolean', default: false },
    'cron-every': { type: 'string' },
    bound: { type: 'string', multiple: true, default: [] },
    bare: { type: 'boolean', default: false },
    direct: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
if (!args.script) {
  console.error(USAGE);
  process.exit(2);
}

const { crons } = wranglerOptions(args.wrangler);
const port = Number(args.port);
const bound = args.bound.map(pair);
const miniflare = new Miniflare({
  workers: [
    {
      ...worker('worker', args.wrangler, [...args.var, ...args.secret]),
      serviceBindings: Object.fromEntries(bound.map(([name]) => [name, name])),
      unsafeDirectSockets: args.direct ? [{ host: HOST, port }] : [],
    },
    ...bound.map(([name, wrangler]) => worker(name, wrangler, args.secret)),
  ],
  host: HOST,
  port: args.direct ? 0 : port,
  unsafeTriggerHandlers: args.cron,
  cf: args.cf ? JSON.parse(args.cf) : LONDON,
  liveReload: false,
  logRequests: args.verbose,
  log: new Log(args.verbose ? LogLevel.INFO : LogLevel.ERROR),
  handleRuntimeStdio(stdout, stderr) {
    if (args.verbose) stdout.pipe(process.stderr);
    else stdout.resume();
    stderr.pipe(process.stderr);
  },
});

const stop = stopper(miniflare);
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
const stdin = fstatSync(0);
if (stdin.isFIFO() || stdin.isSocket()) process.stdin.resume().on('close', stop);

await miniflare.ready;
for (const [name, wrangler] of [['worker', args.wrangler], ...bound]) {
  const { kvNamespaces } = wranglerOptions(wrangler).bindings;
  for (const [key, value] of args.kv.map(pair)) {
    const store = await miniflare.getKVNamespace(kvNamespaces[0], name);
    await store.put(key, value.startsWith('@') ? readFileSync(value.slice(1), 'utf8') : value);
  }
}
if (args['cron-every']) {
  setInterval(runCron, Number(args['cron-every']) * 1000).unref();
}
const url = args.direct ? await miniflare.unsafeGetDirectURL() : await miniflare.ready;
console.log(`ready url=http://${HOST}:${url.port}`);

// The Worker with the bindings of a wrangler.toml, and with variables and secrets.
function worker(name, wrangler, variables) {
  const { moduleTypes, runtime, bindings, vars } = wranglerOptions(wrangler);
  const { kvNamespaces, ...others } = bindings;
  const script = resolve(args.script);
  return {
    name,
    ...runtime,
    ...(args.bare ? {} : { ...others, kvNamespaces: ownNamespaces(name, kvNamespaces) }),
    modules: modulesIn(script, moduleTypes),
    modulesRoot: script,
    bindings: { ...vars, ...Object.fromEntries(variables.map(pair)) },
    // Tests reach nothing but this machine.
    outboundService: { network: { allow: ['local'] } },
  };
}

// Workers share a namespace of the same id.
function ownNamespaces(worker, bindings) {
  return Object.fromEntries(bindings.map((binding) => [binding, `${worker} ${binding}`]));
}

// The Worker's modules: its script and, where there are any, the wasm and the data that it imports.
function modulesIn(folder, moduleTypes) {
  const path = (name) => join(folder, name);
  const others = readdirSync(folder).filter((name) => extname(name) in moduleTypes);
  return [
    { type: 'ESModule', path: path('index.js'), contents: readFileSync(path('index.js'), 'utf8') },
    ...others.map((name) => ({ type: moduleTypes[extname(name)], path: path(name), contents: readFileSync(path(name)) })),
  ];
}

function pair(argument) {
  const at = argument.indexOf('=');
  if (at < 1) throw new Error(`expected NAME=VALUE, got \`${argument}\``);
  return [argument.slice(0, at), argument.slice(at + 1)];
}

async function runCron() {
  const worker = await miniflare.getWorker('worker');
  for (const cron of crons) await worker.scheduled({ cron, scheduledTime: new Date() });
}

// Ends the runtime once, however often it is asked to.
function stopper(runtime) {
  let stopping;
  return () => (stopping ??= runtime.dispose().finally(() => process.exit(0)));
}
