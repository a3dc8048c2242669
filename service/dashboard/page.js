// What the whole page shares: its state, its words, and the signals by which views learn what to draw again.

import { batch, signal } from "./vendor/preact.js";
import { formatAddress, parseAddress } from "./state/address.js";
import { Liveness } from "./state/liveness.js";
import { Store } from "./state/store.js";
import { Words } from "./state/words.js";

export const liveness = new Liveness();
export const store = new Store(liveness);

export const words = signal(new Words("en", {}));
/** @type {Words["say"]} */
export const say = (key, values) => words.value.say(key, values);

// Who uses the page; a role is null until they have logged in.
export const session = signal(/** @type {Api.Session} */ ({ name: "", role: null, can_log_out: false, single_sign_on: false }));
export const mayAct = () => ["operator", "admin"].includes(session.value.role ?? "");
export const isAdmin = () => session.value.role === "admin";
export const loginAsked = signal(false);
/** @type {import("./vendor/preact.js").Signal<Pick<Api.Readiness, "degraded" | "room_for_calls">>} */
export const readiness = signal({ degraded: [], room_for_calls: true });

export const address = signal(parseAddress(location.hash));
addEventListener("hashchange", () => (address.value = parseAddress(location.hash)));

/**
 * Another filter of the view that is shown, without a step in the browser's history.
 *
 * @param {Page.Filters} changes
 */
export function filterBy(changes) {
  const { view, id, filters } = address.value;
  const hash = formatAddress(view, { id, filters: { ...filters, ...changes } });
  history.replaceState(null, "", hash);
  address.value = parseAddress(hash);
}

// Views that read one of these are drawn again when it grows.
export const lists = signal(0); // which calls and alerts there are, and in which order
export const status = signal(0); // the connection and the strip
export const second = signal(0); // the time
/** @type {WeakMap<Page.Call, import("./vendor/preact.js").Signal<number>>} */
const versions = new WeakMap();

/** @param {Page.Call} call */
export function versionOf(call) {
  const known = versions.get(call) ?? signal(0);
  versions.set(call, known);
  return known;
}

const BETWEEN_MS = 100; // two drawings: hundreds of calls may change in that time

let isScheduled = false;
let drawnAt = -BETWEEN_MS;

// Draws what has changed, in an animation frame; a page that is hidden draws no frames, but its title counts.
export function changed() {
  if (isScheduled) return;
  isScheduled = true;
  const wait_ms = drawnAt + BETWEEN_MS - performance.now();
  if (document.hidden) setTimeout(draw, BETWEEN_MS);
  else if (wait_ms > 0) setTimeout(() => requestAnimationFrame(draw), wait_ms);
  else requestAnimationFrame(draw);
}

function draw() {
  isScheduled = false;
  drawnAt = performance.now();
  batch(() => {
    for (const call of store.outdated) versionOf(call).value++;
    store.outdated.clear();
    if (store.listsChanged) lists.value++;
    store.listsChanged = false;
    status.value++;
  });
}
