// Talks to the API. The token lives in this tab's session storage and travels in a header, never in an address.

const TOKEN = "quarry.token";

export class Problem extends Error {
  // What went wrong, as the API says it. `retryAfter` is in seconds, null where the API names none.
  constructor({ title, detail, status = 0 }, retryAfter = null) {
    super(detail);
    this.title = title;
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export function token() {
  return sessionStorage.getItem(TOKEN) ?? "";
}

export function keepToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

// Who the token speaks for. Only the server can tell whether it is true.
export function bearer() {
  try {
    const claims = token().split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(claims), (character) => character.charCodeAt(0));
    const { tenant, sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof tenant === "string" ? { tenant, subject: typeof sub === "string" ? sub : "" } : null;
  } catch {
    return null;
  }
}

// The events of an answer: {name: "sentence" | "answer", data}; the answer is the last one, whenever the stream is
// closed. Throws a Problem, or AbortError when stopped.
export async function* ask(question, tier, signal) {
  const response = await send("POST", "/v1/answer", { question, tier, stream: true }, signal);
  for await (const { name, data } of serverSent(response)) {
    if (name === "problem") throw new Problem(data, retryAfterOf(data));
    yield { name, data };
    if (name === "answer") return;
  }
  throw new Problem({ title: "The answer broke off", detail: "The connection was cut. Ask again." });
}

export async function readDocument(docId) {
  const path = docId.split("/").map(encodeURIComponent).join("/");
  return (await send("GET", `/v1/documents/${path}`)).json();
}

export async function rate(feedback) {
  await send("POST", "/v1/feedback", feedback);
}

export async function examples() {
  return (await fetch("/page/examples.json")).json();
}

async function send(method, path, body, signal) {
  const headers = {};
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "No connection", detail: "The server cannot be reached. Is it running?" });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const after = Number(response.headers.get("Retry-After"));
  let told = {};
  try {
    told = await response.json();
  } catch {
    // not from the API itself, but from something in front of it
  }
  const { title = "Something went wrong", detail = `The server answered ${response.status}.` } = told;
  return new Problem({ title, detail, status: response.status }, after > 0 ? after : null);
}

function retryAfterOf({ status, retry_after_s: seconds }) {
  return seconds ?? (status === 429 || status === 503 ? 2 : null);
}

async function* serverSent(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await next(reader);
    if (done) return;
    const events = (waiting + value).split("\n\n");
    waiting = events.pop();
    for (const event of events) {
      const fields = Object.fromEntries(event.split("\n").map((line) => line.split(/: (.*)/s, 2)));
      if (fields.data) yield { name: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

async function next(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return { done: true };
  }
}
