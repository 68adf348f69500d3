// The official OpenAI SDK for Node as a client of Tidegate: only the base URL and the key are set.
//
// Usage: node check.mjs BASE_URL KEY, with TIDEGATE_NODE_MODULES naming the folder that holds the SDK.
// The first check that fails ends the program with its trace. The texts in FAULTS are what the contract suite's
// engines answer with faults.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.TIDEGATE_NODE_MODULES}/`);
const { OpenAI } = require("openai");

const MODEL = "tide-solo";
const FAULTS = {
  errorInStream: "node meets an error within the stream",
  busyOnce: "node meets a busy engine once",
  unavailable: "node meets an engine that is down",
  strayCall: "node meets a call of no tool",
};

const messages = (text) => [
  { role: "system", content: "You are brief." },
  { role: "user", content: text },
];

const collect = async (stream) => {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
};

const checks = {
  async chat(client) {
    const { data, response, request_id } = await client.chat.completions
      .create({ model: MODEL, messages: messages("hello"), max_tokens: 12 })
      .withResponse();
    assert.match(request_id, /^req_/);
    assert.equal(response.headers.get("x-request-id"), request_id);
    assert.equal(data.object, "chat.completion");
    assert.equal(data.model, MODEL);
    assert.equal(data.choices[0].message.role, "assistant");
    assert.ok(data.choices[0].message.content);
    assert.ok(data.usage.total_tokens > 0);
  },

  async chatStream(client) {
    const asked = { model: MODEL, messages: messages("hello"), max_tokens: 12, stream: true };
    const chunks = await collect(await client.chat.completions.create(asked));
    assert.ok(chunks.every((chunk) => !chunk.usage && chunk.choices.length > 0), "usage that nobody asked for");
    assert.ok(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""));
    assert.match(chunks.at(-1).choices[0].finish_reason, /^(stop|length)$/);
  },

  async streamWithUsage(client) {
    const stream_options = { include_usage: true };
    const asked = { model: MODEL, messages: messages("hello"), max_tokens: 12, stream: true, stream_options };
    const chunks = await collect(await client.chat.completions.create(asked));
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.completion_tokens > 0);
    assert.ok(chunks.every((chunk) => !chunk.usage && chunk.choices.length > 0));
  },

  async streamHelper(client) {
    const stream = client.chat.completions.stream({ model: MODEL, messages: messages("hello"), max_tokens: 12 });
    let text = "";
    stream.on("content", (delta) => (text += delta));
    assert.equal(await stream.finalContent(), text);
    assert.ok(text);
  },

  async leaveAStream(client) {
    const asked = { model: MODEL, messages: messages("hello"), max_tokens: 4000, stream: true };
    const stream = await client.chat.completions.create(asked);
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      break;
    }
    assert.ok(stream.controller.signal.aborted);
  },

  async completions(client) {
    const asked = { model: MODEL, prompt: "Once upon a time", max_tokens: 8 };
    const answer = await client.completions.create(asked);
    assert.equal(answer.object, "text_completion");
    const chunks = await collect(await client.completions.create({ ...asked, stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0].text).join(""), answer.choices[0].text);
  },

  async embeddings(client) {
    // The SDK asks for base64 on its own account and decodes it.
    const answer = await client.embeddings.create({ model: MODEL, input: ["the tide", "the gate"] });
    assert.deepEqual(answer.data.map((item) => item.index), [0, 1]);
    assert.equal(typeof answer.data[0].embedding[0], "number");
    assert.ok(answer.usage.prompt_tokens > 0);
  },

  async models(client) {
    const models = await collect(client.models.list());
    assert.ok(models.some((model) => model.id === MODEL));
    const model = await client.models.retrieve(MODEL);
    assert.equal(model.object, "model");
    assert.ok(model.owned_by);
  },

  async tools(client) {
    const parameters = { type: "object", properties: { harbour: { type: "string" } }, required: ["harbour"] };
    const asked = {
      model: MODEL,
      messages: messages("High water in Husum?"),
      tools: [{ type: "function", function: { name: "tide_times", parameters } }],
      tool_choice: { type: "function", function: { name: "tide_times" } },
    };
    const answer = await client.chat.completions.create(asked);
    const whole = answer.choices[0].message.tool_calls[0].function;
    assert.equal(whole.name, "tide_times");
    const chunks = await collect(await client.chat.completions.create({ ...asked, stream: true }));
    const calls = chunks.flatMap((chunk) => chunk.choices.flatMap((choice) => choice.delta.tool_calls ?? []));
    assert.equal(calls[0].function.name, "tide_times");
    assert.equal(calls.map((call) => call.function.arguments ?? "").join(""), whole.arguments);
  },

  async errorClasses(client) {
    const wrongKey = client.withOptions({ apiKey: "tg-wrong" });
    await assert.rejects(wrongKey.models.list(), (error) => {
      assert.ok(error instanceof OpenAI.AuthenticationError, error);
      assert.equal(error.code, "invalid_api_key");
      assert.match(error.requestID, /^req_/);
      return true;
    });
    const unknown = client.chat.completions.create({ model: "no-such-model", messages: messages("hello") });
    await assert.rejects(unknown, (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError, error);
      assert.equal(error.code, "model_not_found");
      assert.equal(error.param, "model");
      return true;
    });
    const malformed = client.chat.completions.create({ model: MODEL, messages: "not a list" });
    await assert.rejects(malformed, (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError, error);
      assert.equal(error.type, "invalid_request_error");
      assert.equal(error.param, "messages");
      return true;
    });
  },

  async anErrorWithinAStreamIsRaised(client) {
    const asked = { model: MODEL, messages: messages(FAULTS.errorInStream), stream: true };
    const stream = await client.chat.completions.create(asked);
    await assert.rejects(collect(stream), OpenAI.APIError);
  },

  async retryAfterABusyEngine(client) {
    const asked = { model: MODEL, messages: messages(FAULTS.busyOnce), max_tokens: 4 };
    const answer = await client.chat.completions.create(asked);
    assert.ok(answer.choices[0].message.content);
  },

  async anAnswerThatIsOfNoUseIsRaised(client) {
    const asked = { model: MODEL, messages: messages(FAULTS.strayCall), max_tokens: 40 };
    const streamed = async () => collect(await client.chat.completions.create({ ...asked, stream: true }));
    await assert.rejects(streamed, (error) => {
      assert.ok(error instanceof OpenAI.APIError, error);
      assert.equal(error.code, "model_output_invalid");
      return true;
    });
    await assert.rejects(client.chat.completions.create(asked, { maxRetries: 0 }), (error) => {
      assert.ok(error instanceof OpenAI.InternalServerError, error);
      assert.equal(error.code, "model_output_invalid");
      return true;
    });
  },

  async anEngineThatIsDownIsAServerError(client) {
    const asked = { model: MODEL, messages: messages(FAULTS.unavailable) };
    await assert.rejects(client.chat.completions.create(asked, { maxRetries: 0 }), (error) => {
      assert.ok(error instanceof OpenAI.InternalServerError, error);
      assert.match(error.requestID, /^req_/);
      return true;
    });
  },
};

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${baseURL}/v1`, apiKey, timeout: 20_000 });
for (const [name, check] of Object.entries(checks)) {
  const started = performance.now();
  await check(client);
  console.log(`${name} passed in ${Math.round(performance.now() - started)} ms`);
}
console.log("all passed");
