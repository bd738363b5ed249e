// The openai SDK for JavaScript: chat completions and responses. Reads jobs as worker.py does.
//
//     node openai_js.mjs <folder of node_modules> chat|responses

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [packages, surface] = process.argv.slice(2);
const OpenAI = createRequire(`${packages}/`)("openai");

const QUESTION = "Weather?";
const ASKED = [{ role: "user", content: QUESTION }];
const weather = ({ city }) => `rain in ${city}`;
const declared = {
  name: "weather",
  description: "The weather in a city.",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const client = (job) => new OpenAI({ baseURL: `${job.url}/v1`, apiKey: job.key, maxRetries: 0 });

const chat = {
  tools: [{ type: "function", function: declared }],

  async whole(job) {
    const answer = await client(job).chat.completions.create({ model: job.model, messages: ASKED });
    const { prompt_tokens: input, completion_tokens: output } = answer.usage;
    return { text: answer.choices[0].message.content, input, output };
  },

  async stream(job) {
    const pieces = [];
    let usage;
    for await (const chunk of await client(job).chat.completions.create({
      model: job.model, messages: ASKED, stream: true, stream_options: { include_usage: true },
    })) {
      if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
      usage = chunk.usage ?? usage;
    }
    return { pieces, input: usage.prompt_tokens, output: usage.completion_tokens };
  },

  async round(ask) {
    const first = await ask(ASKED);
    const read = (call) => JSON.parse(call.function.arguments);
    const results = first.tool_calls.map((call) => (
      { role: "tool", tool_call_id: call.id, content: weather(read(call)) }
    ));
    const last = await ask([...ASKED, first, ...results]);
    const calls = first.tool_calls.map((call) => [call.id, call.function.name, read(call)]);
    return { calls, text: last.content };
  },

  tools_whole(job) {
    return chat.round(async (messages) => {
      const given = { model: job.model, messages, tools: chat.tools };
      return (await client(job).chat.completions.create(given)).choices[0].message;
    });
  },

  tools_streamed(job) {
    return chat.round((messages) => {
      const given = { model: job.model, messages, tools: chat.tools };
      return client(job).chat.completions.stream(given).finalMessage();
    });
  },

  async ask(job, stream) {
    const given = { model: job.model, messages: ASKED, stream };
    return client(job).chat.completions.create(given);
  },

  piece: (chunk) => chunk.choices[0]?.delta.content,
};

const responses = {
  tools: [{ type: "function", strict: false, ...declared }],

  async whole(job) {
    const answer = await client(job).responses.create({ model: job.model, input: QUESTION });
    const { input_tokens: input, output_tokens: output } = answer.usage;
    return { text: answer.output_text, input, output };
  },

  async stream(job) {
    const pieces = [];
    const events = client(job).responses.stream({ model: job.model, input: QUESTION });
    for await (const event of events) {
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
    }
    const { usage } = await events.finalResponse();
    return { pieces, input: usage.input_tokens, output: usage.output_tokens };
  },

  async round(ask) {
    const first = await ask(ASKED);
    const called = first.output.filter((item) => item.type === "function_call");
    const read = (call) => JSON.parse(call.arguments);
    const results = called.map((call) => (
      { type: "function_call_output", call_id: call.call_id, output: weather(read(call)) }
    ));
    const last = await ask([...ASKED, ...first.output, ...results]);
    return { calls: called.map((call) => [call.call_id, call.name, read(call)]), text: last.output_text };
  },

  tools_whole(job) {
    const given = { model: job.model, tools: responses.tools };
    return responses.round((input) => client(job).responses.create({ ...given, input }));
  },

  tools_streamed(job) {
    const given = { model: job.model, tools: responses.tools };
    return responses.round((input) => client(job).responses.stream({ ...given, input }).finalResponse());
  },

  async ask(job, stream) {
    return client(job).responses.create({ model: job.model, input: QUESTION, stream });
  },

  piece(event) {
    if (event.type === "response.failed") throw new Error(event.response.error.message);
    return event.type === "response.output_text.delta" ? event.delta : undefined;
  },
};

const program = { chat, responses }[surface];

const acts = {
  whole: program.whole,
  stream: program.stream,
  tools: program.tools_whole,
  tools_streamed: program.tools_streamed,

  async error(job) {
    try {
      await program.ask(job, job.stream);
    } catch (error) {
      const wait = error.headers?.get("retry-after") ?? null;
      return { status: error.status, retry_after: wait, text: error.message, kind: error.name };
    }
    throw new Error("no error");
  },

  async breaks(job) {
    const pieces = [];
    try {
      for await (const part of await program.ask(job, true)) {
        const piece = program.piece(part);
        if (piece) pieces.push(piece);
      }
    } catch (error) {
      return { pieces, raised: error.message };
    }
    return { pieces, raised: null };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line);
  let told;
  try {
    told = await acts[job.act](job);
  } catch (error) {
    told = { failed: error.stack ?? String(error) };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
