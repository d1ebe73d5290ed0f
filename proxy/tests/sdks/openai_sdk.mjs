// `openai` from npm through Riparian: baseURL changed, nothing else. The stories are those of openai_sdk.py.
//
//     node openai_sdk.mjs URL DIRECTORY     the SDK, and `ws` that its sockets are made of, are installed in DIRECTORY

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { Book, TURNS } from "./threads.mjs";

const [url, directory] = process.argv.slice(2);
const require = createRequire(resolve(directory, "here.js"));
const { OpenAI, APIError, NotFoundError, toFile } = require("openai");
const { ResponsesWS } = require("openai/resources/responses/ws");
const { OpenAIRealtimeWS } = require("openai/realtime/ws");

const MODEL = "gpt-5.5";
const book = new Book();
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-of-the-client", maxRetries: 0 });

/** The SDK's own exception of this kind. */
async function refused(kind, call) {
  try {
    await call();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`not refused: ${call}`);
}

/** What a socket's server says, event by event. */
function eventsOf(socket) {
  const said = [];
  let wake = () => {};
  const hear = (event) => {
    said.push(event);
    wake();
  };
  socket.on("event", hear);
  socket.on("error", hear);
  socket.socket.on("close", (code) => hear(new Error(`closed: ${code}`)));
  return async () => {
    while (!said.length) await new Promise((heard) => (wake = heard));
    const event = said.shift();
    assert(!(event instanceof Error) && event.type !== "error", event);
    return event;
  };
}

/** The text of one answer over a socket, and the event that ended it. */
async function answer(next, ends) {
  let text = "";
  for (;;) {
    const event = await next();
    if (event.type === "response.output_text.delta") text += event.delta;
    else if (event.type === ends) return [text, event];
  }
}

async function chatAndEmbeddings() {
  const messages = [{ role: "user", content: "hello" }];
  const completion = await client.chat.completions.create({ model: MODEL, messages });
  book.heard(completion.choices[0].message.content);
  let text = "";
  for await (const chunk of await client.chat.completions.create({ model: MODEL, messages, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  book.heard(text);
  const vectors = await client.embeddings.create({ model: "text-embedding-3-small", input: ["hello", "there"] });
  assert(vectors.data.length === 2 && vectors.data[0].embedding.length);
}

async function responses() {
  const thread = book.thread();
  let previous = null;
  for (let turn = 0; turn < TURNS; turn++) {
    const response = await client.responses.create({ model: MODEL, input: `turn ${turn}`, previous_response_id: previous });
    thread.turnIs(response.output_text);
    previous = response.id;
  }
  assert.equal((await client.responses.retrieve(previous)).id, previous);
  await client.responses.delete(previous);
  await refused(NotFoundError, () => client.responses.retrieve(previous));
}

async function streamedResponses() {
  const thread = book.thread();
  let previous;
  for (let turn = 0; turn < TURNS; turn++) {
    let text = "";
    const asked = { model: MODEL, input: "hello", previous_response_id: previous, stream: true };
    for await (const event of await client.responses.create(asked)) {
      if (event.type === "response.output_text.delta") text += event.delta;
      else if (event.type === "response.completed") previous = event.response.id;
    }
    thread.turnIs(text);
  }
  const stream = client.responses.stream({ model: MODEL, input: "hello", previous_response_id: previous });
  thread.turnIs((await stream.finalResponse()).output_text);
}

async function conversations(session) {
  const thread = book.thread();
  const metadata = { session: String(session) };
  const conversation = await client.conversations.create({ metadata });
  for (let turn = 0; turn < TURNS; turn++) {
    const response = await client.responses.create({ model: MODEL, input: "hello", conversation: conversation.id });
    thread.turnIs(response.output_text);
  }
  assert.deepEqual((await client.conversations.retrieve(conversation.id)).metadata, metadata);
  const items = [];
  for await (const item of client.conversations.items.list(conversation.id)) items.push(item);
  assert(items.length >= 2 * TURNS, `${items.length} items`);
  await client.conversations.delete(conversation.id);
  await refused(NotFoundError, () => client.conversations.retrieve(conversation.id));
}

async function files(session) {
  const content = `session ${session}`;
  const file = await client.files.create({ file: await toFile(Buffer.from(content), "notes.txt"), purpose: "user_data" });
  assert.equal((await client.files.retrieve(file.id)).bytes, content.length);
  assert.equal(await (await client.files.content(file.id)).text(), content);
  const parts = [{ type: "input_file", file_id: file.id }, { type: "input_text", text: "read it" }];
  const thread = book.thread();
  let previous = null;
  for (let turn = 0; turn < TURNS; turn++) {
    const input = [{ role: "user", content: parts }];
    const response = await client.responses.create({ model: MODEL, input, previous_response_id: previous });
    thread.turnIs(response.output_text);
    previous = response.id;
  }
  const store = await client.vectorStores.create({ name: "notes", file_ids: [file.id] });
  assert.equal((await client.vectorStores.retrieve(store.id)).name, "notes");
  assert((await client.files.delete(file.id)).deleted);
  await refused(NotFoundError, () => client.files.retrieve(file.id));
}

async function background() {
  const thread = book.thread();
  let previous = null;
  for (let turn = 0; turn < TURNS; turn++) {
    const asked = { model: MODEL, input: "hello", background: true, previous_response_id: previous };
    let response = await client.responses.create(asked);
    previous = response.id;
    for (let poll = 0; poll < 50 && response.status !== "completed"; poll++) {
      response = await client.responses.retrieve(previous);
    }
    assert.equal(response.status, "completed");
    thread.turnIs(response.output_text);
  }
}

async function containers() {
  const tool = { type: "code_interpreter", container: { type: "auto" } };
  const first = await client.responses.create({ model: MODEL, input: "compute", tools: [tool] });
  const call = first.output.find((item) => item.type === "code_interpreter_call");
  const [cloud] = book.heard(first.output_text);
  tool.container = call.container_id;
  for (let turn = 0; turn < TURNS; turn++) {
    const response = await client.responses.create({ model: MODEL, input: "again", tools: [tool] });
    assert.equal(book.heard(response.output_text)[0], cloud);
  }
  assert.equal((await client.containers.retrieve(call.container_id)).id, call.container_id);
}

/** Nothing is stored anywhere; what was thought goes along, sealed. */
async function encryptedReasoning() {
  const thread = book.thread();
  const include = ["reasoning.encrypted_content"];
  const said = [{ role: "user", content: "hello" }];
  for (let turn = 0; turn < TURNS; turn++) {
    const response = await client.responses.create({ model: MODEL, input: said, store: false, include });
    thread.sealed(response.output_text);
    said.push(...response.output.filter((item) => item.type === "reasoning"), { role: "user", content: "go on" });
  }
}

/** The Responses API over its WebSocket: what is not stored lives as long as the socket does. */
async function responseSocket() {
  const thread = book.thread();
  const socket = new ResponsesWS(client);
  const next = eventsOf(socket);
  let previous;
  for (let turn = 0; turn < TURNS; turn++) {
    const asked = { model: MODEL, input: "hello", store: false, previous_response_id: previous };
    socket.send({ type: "response.create", ...asked });
    const [text, completed] = await answer(next, "response.completed");
    previous = completed.response.id;
    thread.turnIs(text);
  }
  socket.close();
}

/** This SDK asks for it over TLS, whatever baseURL says. */
async function realtime() {
  const thread = book.thread();
  const socket = await OpenAIRealtimeWS.create(client, { model: "gpt-realtime" });
  const next = eventsOf(socket);
  assert.equal((await next()).type, "session.created");
  socket.send({ type: "session.update", session: { type: "realtime", instructions: "be kind" } });
  assert.equal((await next()).type, "session.updated");
  const item = { type: "message", role: "user", content: [{ type: "input_text", text: "hello" }] };
  for (let turn = 0; turn < TURNS; turn++) {
    socket.send({ type: "conversation.item.create", item });
    socket.send({ type: "response.create" });
    const [text] = await answer(next, "response.done");
    thread.turnIs(text);
  }
  socket.close();
}

for (const story of [
  chatAndEmbeddings,
  responses,
  streamedResponses,
  conversations,
  files,
  background,
  containers,
  encryptedReasoning,
  responseSocket,
  realtime,
]) {
  await book.tell(story);
}
const unknown = { model: MODEL, input: "x", previous_response_id: "resp_unknown" };
const error = await refused(APIError, () => client.responses.create(unknown));
assert([400, 404, 409].includes(error.status), error);
book.close("openai from npm", require("openai/version").VERSION);
