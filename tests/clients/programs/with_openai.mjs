// npm's openai against a node: tells what it found, as JSON.
import OpenAI from "openai";

const { CHAT_MODEL, TOOL_MODEL, VECTOR_MODEL, LIMITED_KEY } = process.env;
const client = new OpenAI({ maxRetries: 0 });
const asked = [{ role: "user", content: "What is the capital of France?" }];
const ask = (more = {}, by = client) =>
  by.chat.completions.create({ model: CHAT_MODEL, messages: asked, max_tokens: 60, ...more });

const weather = {
  type: "object", properties: { city: { type: "string", maxLength: 20 } },
  required: ["city"], additionalProperties: false,
};
const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 20 },
    age: { type: "integer", minimum: 0, maximum: 150 },
  },
  required: ["name", "age"], additionalProperties: false,
};

const status = async (work) => {
  try {
    await work();
  } catch (error) {
    return error.status;
  }
  return 200;
};

const models = [];
for await (const model of client.models.list()) models.push(model.id);
const answer = await ask();
let streamed = "";
let tokens = 0;
for await (const chunk of await ask({ stream: true, stream_options: { include_usage: true } })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
  tokens = chunk.usage?.total_tokens ?? tokens;
}
const called = await ask({
  model: TOOL_MODEL,
  messages: [{ role: "user", content: "What is the weather in Paris?" }],
  tools: [{ type: "function", function: { name: "weather", parameters: weather } }],
  tool_choice: "required",
});
const call = called.choices[0].message.tool_calls[0].function;
const form = await ask({
  messages: [{ role: "user", content: "Invent a person." }],
  response_format: {
    type: "json_schema", json_schema: { name: "person", schema: person, strict: true },
  },
});
const vector = await client.embeddings.create({ model: VECTOR_MODEL, input: "one" });
const stored = await client.responses.create({
  model: CHAT_MODEL, input: asked[0].content, max_output_tokens: 50,
});
if (!stored.output_text.includes("Paris")) throw new Error(stored.output_text);
const events = [];
const stream = await client.responses.create({
  model: CHAT_MODEL, input: "And of Italy?", previous_response_id: stored.id, stream: true,
  max_output_tokens: 20,
});
for await (const event of stream) events.push(event.type);
if (events[0] !== "response.created") throw new Error(events.join());
await client.responses.delete(stored.id);

const aborter = new AbortController();
const left = await client.chat.completions.create(
  { model: CHAT_MODEL, messages: asked, max_tokens: 4000, temperature: 1, stream: true },
  { signal: aborter.signal },
);
for await (const _ of left) aborter.abort();

console.log(JSON.stringify({
  models, chat: answer.choices[0].message.content, streamed, tokens,
  tool: { name: call.name, arguments: JSON.parse(call.arguments) },
  form: JSON.parse(form.choices[0].message.content), vector: vector.data[0].embedding.length,
  errors: {
    key: await status(() => ask({}, new OpenAI({ apiKey: "sk-wrong", maxRetries: 0 }))),
    model: await status(() => ask({ model: "nobody-has-it" })),
    limit: await status(() => ask({}, new OpenAI({ apiKey: LIMITED_KEY, maxRetries: 0 }))),
    context: await status(() => ask({ messages: [{ role: "user", content: "word ".repeat(20000) }] })),
  },
}));
