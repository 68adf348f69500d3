// The official OpenAI SDK for Node where no model answers: texts, streams, and refusals of structured outputs.
//
// Usage: node canned.mjs BASE_URL KEY, with TIDEGATE_NODE_MODULES naming the folder that holds the SDK.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.TIDEGATE_NODE_MODULES}/`);
const { OpenAI } = require("openai");

const TEXT = "High water. Please try again in a while.";
const [url, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const ask = { model: "tide-gone", messages: [{ role: "user", content: "Is it high water?" }] };
const schema = (properties) => ({
  type: "json_schema",
  json_schema: {
    name: "tide",
    strict: true,
    schema: { type: "object", properties, required: Object.keys(properties), additionalProperties: false },
  },
});
const tide = schema({ height: { type: ["number", "null"] }, error: { type: ["string", "null"] } });
const refused = { height: null, error: TEXT };

const answer = await client.chat.completions.create({ ...ask, n: 2 });
assert.deepEqual(answer.choices.map((choice) => choice.message.content), [TEXT, TEXT]);
assert.equal(answer.usage.total_tokens, 0);

const parsed = await client.chat.completions.parse({ ...ask, response_format: tide });
const { message } = parsed.choices[0];
assert.equal(message.parsed, null);
assert.equal(message.refusal, TEXT);
// Who reads the content without the helper has what the schema says.
assert.deepEqual(JSON.parse(message.content), refused);

let told = "";
const stream = client.chat.completions.stream({ ...ask, response_format: tide });
stream.on("refusal.done", ({ refusal }) => (told = refusal));
const final = (await stream.finalChatCompletion()).choices[0].message;
assert.equal(told, TEXT);
assert.deepEqual([final.refusal, final.parsed, JSON.parse(final.content)], [TEXT, null, refused]);

const plain = client.chat.completions.stream(ask);
assert.equal(await plain.finalContent(), TEXT);

const made = client.chat.completions.parse({ ...ask, response_format: schema({ height: { type: "number" } }) });
await assert.rejects(made, (error) => error.status === 502);

const free = await client.chat.completions.create({ ...ask, response_format: { type: "json_object" } });
assert.deepEqual(JSON.parse(free.choices[0].message.content), { error: TEXT });
const completion = await client.completions.create({ model: "tide-gone", prompt: "Is it high water?" });
assert.equal(completion.choices[0].text, TEXT);
console.log("all passed");
