// The official OpenAI SDK for Node against a budget of a thousand tokens at once, and a thousand in a second.
//
// Usage: node budgets.mjs BASE_URL KEY, with TIDEGATE_NODE_MODULES naming the folder that holds the SDK.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.TIDEGATE_NODE_MODULES}/`);
const { OpenAI, RateLimitError } = require("openai");

const [url, apiKey] = process.argv.slice(2);
const baseURL = `${url}/v1`;
const ask = { model: "scripted", prompt: Array(800).fill(7), max_tokens: 100, user: "patient node" };

const patient = new OpenAI({ baseURL, apiKey });
// Two of three are refused at first: the SDK waits as long as it is told, and asks again.
for (let times = 0; times < 3; times += 1) await patient.completions.create(ask);

const hasty = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
await assert.rejects(hasty.completions.create(ask), (error) => {
  assert(error instanceof RateLimitError);
  assert.equal(error.code, "rate_limit_exceeded");
  return true;
});
await assert.rejects(patient.completions.create({ ...ask, prompt: Array(5000).fill(7) }), (error) => {
  assert.equal(error.code, "insufficient_quota");
  return true;
});
console.log("all passed");
