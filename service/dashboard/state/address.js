// The view and its filters in the address: #/calls?queue=billing&emotion=anger, #/call/CA-17, #/history?from=2026-11-01.

/** @type {Record<Page.Address["view"], string[]>} */
const FILTERS = {
  needs: [],
  calls: ["queue", "emotion", "state"],
  call: [],
  history: ["from", "to", "queue", "emotion", "id"],
};

/**
 * Returns the view of an address; one that says nothing known is the first view.
 *
 * @param {string} hash
 * @returns {Page.Address}
 */
export function parseAddress(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  if (!Object.hasOwn(FILTERS, name) || (name === "call" && !rest.join("/"))) return { view: "needs", id: "", filters: {} };
  const view = /** @type {Page.Address["view"]} */ (name);
  const given = new URLSearchParams(query);
  const filters = Object.fromEntries(FILTERS[view].filter((name) => given.get(name)).map((name) => [name, given.get(name) ?? ""]));
  return { view, id: view === "call" ? decoded(rest.join("/")) : "", filters };
}

/**
 * @param {Page.Address["view"]} view
 * @param {Partial<Page.Address>} of
 */
export function formatAddress(view, { id = "", filters = {} } = {}) {
  const set = new URLSearchParams(FILTERS[view].filter((name) => filters[name]).map((name) => [name, filters[name] ?? ""]));
  return `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}${set.size ? `?${set}` : ""}`;
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Whether a call is one of those that the filters ask for.
 *
 * @param {import("./store.js").Store} store
 * @param {Page.Call} call
 * @param {Page.Filters} filters
 */
export function matches(store, call, { queue, emotion, state }) {
  if (queue && call.facts?.queue !== queue) return false;
  if (state === "live" && call.state !== "live") return false;
  if (state === "ended" && call.state !== "ended") return false;
  const firing = [...call.alerts.values()].filter((alert) => store.isAlarm(alert));
  if (state === "firing" && !firing.length) return false;
  if (emotion && !firing.some((alert) => alert.emotion === emotion)) return false;
  return true;
}

/**
 * The live calls by their start, then the ended.
 *
 * @param {Page.Call[]} calls
 */
export function inOrder(calls) {
  /** @param {Page.Call} call */
  const rank = (call) => (call.state === "ended" ? 1 : 0);
  return [...calls].sort((a, b) => rank(a) - rank(b) || a.started_at - b.started_at || (a.call_id < b.call_id ? -1 : 1));
}
