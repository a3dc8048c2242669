// Requests to the service, whose answers are JSON, and what can be wrong with one.

const ANSWER_WITHIN_MS = 10_000;

// The service does not know who is asking, or no longer.
export class LoginNeeded extends Error {}

// An answer that says why not, or none that can be read. `because` holds the key and values of the words for people;
// `problem` the body, if the service itself refused.
export class NoAnswer extends Error {
  constructor(because, problem = undefined, status = 0) {
    super(because.key);
    this.because = because;
    this.problem = problem;
    this.status = status;
  }
}

export async function get(path) {
  const response = await request(path, { cache: "no-store" });
  return { body: await response.json(), servedAt: Date.parse(response.headers.get("Date")) / 1000 };
}

export async function send(method, path, body = undefined) {
  const json = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await request(path, { method, ...json });
  return response.status === 204 ? null : response.json();
}

async function request(path, options) {
  const asked = `/${path.split("?")[0]}`;
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  } catch (error) {
    throw new NoAnswer({ key: "no_answer", error: error.message });
  }
  if (response.status === 401) throw new LoginNeeded();
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("application/problem+json")) {
    const problem = await response.json();
    throw new NoAnswer({ key: "refused", detail: problem.detail }, problem, response.status);
  }
  if (!response.ok) throw new NoAnswer({ key: "answered_status", path: asked, status: response.status });
  if (response.status !== 204 && !type.startsWith("application/json")) {
    throw new NoAnswer({ key: "answered_type", path: asked, type: type || "nothing" });
  }
  return response;
}

// An id for an action, by which a repeated request is known; crypto.randomUUID is there over HTTPS only.
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
