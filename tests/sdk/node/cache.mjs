// The official OpenAI SDK for Node, given an answer of an engine and the same from the response cache.
//
// Usage: node cache.mjs BASE_URL KEY, with TIDEGATE_NODE_MODULES naming the folder that holds the SDK.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(`${process.env.TIDEGATE_NODE_MODULES}/`);
const { OpenAI } = require("openai");

const [, , url, key] = process.argv;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key });
const headers = { "x-tidegate-cache": "use" };

const parameters = {
  type: "object",
  properties: { at: { type: "string" } },
  required: ["at"],
  additionalProperties: false,
};
const asked = (text) => ({
  model: "tide-scripted",
  temperature: 0,
  seed: 7,
  messages: [{ role: "user", content: text }],
  tools: [{ type: "function", function: { name: "look", strict: true, parameters } }],
});

// What an answer says, without what is new each time, and what only the SDK adds.
const said = (answer) => {
  const { id, created, ...rest } = JSON.parse(JSON.stringify(answer));
  for (const { message } of rest.choices) {
    delete message.parsed;
    for (const call of message.tool_calls ?? []) {
      delete call.index;
      delete call.function.parsed_arguments;
    }
  }
  return rest;
};

const whole = async (text) => {
  const { data, response } = await client.chat.completions.create(asked(text), { headers }).withResponse();
  return { status: response.headers.get("x-tidegate-cache"), answer: data };
};

const streamed = (text) =>
  client.chat.completions
    .stream({ ...asked(text), stream_options: { include_usage: true } }, { headers })
    .finalChatCompletion();

// The first answer that is from the cache: the store may show it only after a while.
const hit = async (text) => {
  for (let tries = 0; tries < 80; tries += 1) {
    const { status, answer } = await whole(text);
    if (status === "hit") return answer;
    await sleep(100);
  }
  throw new Error("nothing is from the cache");
};

const begun = await streamed("cache-node-stream");
const begunWhole = await hit("cache-node-stream");
const begunAgain = await streamed("cache-node-stream");
assert.deepEqual(said(begunAgain), said(begun));
assert.notEqual(begunAgain.id, begun.id);
assert.equal(begunAgain.choices[0].message.tool_calls[0].function.name, "look");

const { status, answer } = await whole("cache-node-whole");
assert.equal(status, "miss");
const again = await hit("cache-node-whole");
assert.deepEqual(said(again), said(answer));
assert.deepEqual(said(begunWhole), said(answer));
assert.equal(again.choices[0].message.reasoning_content, "the moon \u{1F319}");
assert.equal(again.choices[0].logprobs.content[0].logprob, -0.25);
assert.deepEqual((await streamed("cache-node-whole")).usage, answer.usage);

console.log("all passed");
