// What wrangler.toml says about the Worker, as Miniflare's options. The harness has no bindings of its own, so that
// what is tested cannot drift from what is deployed.

import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import { parse } from 'smol-toml';

// What kinds of modules there are by the ends of their names, how the runtime behaves, what is bound to the Worker, its
// variables, and when its cron handler runs.
export function wranglerOptions(path) {
  const wrangler = parse(readFileSync(path, 'utf8'));
  const sqliteClasses = new Set((wrangler.migrations ?? []).flatMap((migration) => migration.new_sqlite_classes ?? []));
  const object = (binding) => [
    binding.name,
    { className: binding.class_name, useSQLite: sqliteClasses.has(binding.class_name) },
  ];
  // Of globs only `**/*.EXTENSION` is understood.
  const types = ({ type, globs }) => globs.map((glob) => [extname(glob), type]);
  return {
    moduleTypes: { '.wasm': 'CompiledWasm', ...Object.fromEntries((wrangler.rules ?? []).flatMap(types)) },
    vars: wrangler.vars ?? {},
    crons: wrangler.triggers?.crons ?? [],
    runtime: {
      compatibilityDate: wrangler.compatibility_date,
      compatibilityFlags: wrangler.compatibility_flags ?? [],
    },
    bindings: {
      kvNamespaces: (wrangler.kv_namespaces ?? []).map((namespace) => namespace.binding),
      durableObjects: Object.fromEntries((wrangler.durable_objects?.bindings ?? []).map(object)),
    },
  };
}
