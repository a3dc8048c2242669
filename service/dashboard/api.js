// Requests to the service, whose answers are JSON, and what can be wrong with one.

const ANSWER_WITHIN_MS = 10_000;

/** @type {{ timeout(ms: number): AbortSignal }} */
const aborting = /** @type {any} */ (AbortSignal); // TypeScript 4.8 does not know its `timeout`

/** @param {RequestInit} options of a request that ends when nothing answers */
export function timed(options) {
  return { ...options, signal: aborting.timeout(ANSWER_WITHIN_MS) };
}

// The service does not know who is asking, or no longer.
export class LoginNeeded extends Error {}

// An answer that says why not, or none that can be read. `because` holds the key and values of the words for people;
// `problem` the body, if the service itself refused.
export class NoAnswer extends Error {
  /**
   * @param {Page.Because} because
   * @param {Api.ProblemDetails & Partial<Api.AlertProblem>} [problem]
   */
  constructor(because, problem) {
    super(because.key);
    this.because = because;
    this.problem = problem;
  }
}

/**
 * Returns the words for people of what went wrong with a request.
 *
 * @param {unknown} error
 * @returns {Page.Because}
 */
export function whyOf(error) {
  if (error instanceof NoAnswer) return error.because;
  return { key: "no_answer", error: error instanceof Error ? error.message : String(error) };
}

/**
 * @template {Api.Path<"GET">} P
 * @param {P} path
 * @returns {Promise<{ body: Api.Answer<"GET", P>, servedAt: number }>} `servedAt`: by the service's clock, epoch seconds
 */
export async function get(path) {
  const response = await request(path, { cache: "no-store" });
  return { body: await response.json(), servedAt: Date.parse(response.headers.get("Date") ?? "") / 1000 };
}

/**
 * @template {Exclude<Api.Method, "GET">} M
 * @template {Api.Path<M>} P
 * @param {M} method
 * @param {P} path
 * @param {Api.Body<M, P>} [body]
 * @returns {Promise<Api.Answer<M, P>>}
 */
export async function send(method, path, body) {
  const json = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await request(path, { method, ...json });
  return response.status === 204 ? /** @type {any} */ (null) : response.json();
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function request(path, options) {
  const asked = `/${path.split("?")[0]}`;
  let response;
  try {
    response = await fetch(path, timed(options));
  } catch (error) {
    throw new NoAnswer(whyOf(error));
  }
  if (response.status === 401) throw new LoginNeeded();
  const type = response.headers.get("Content-Type") ?? "";
  if (type.startsWith("application/problem+json")) {
    const problem = await response.json();
    throw new NoAnswer({ key: "refused", detail: problem.detail }, problem);
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
