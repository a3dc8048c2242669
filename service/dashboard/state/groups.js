// Which alerts need somebody, which are in hand, and which are over; and an order that stands still while it is pointed at.

const LATELY = 40; // shown of those that need nobody

/** @typedef {import("./store.js").Store} Store */

/**
 * The alerts in three groups. Needed: anger that fires and that nobody has, the longest waiting first.
 *
 * @param {Store} store
 */
export function grouped(store) {
  /** @type {Record<"needed" | "inHand" | "lately", Page.Alert[]>} */
  const groups = { needed: [], inHand: [], lately: [] };
  for (const alert of store.alerts.values()) {
    if (alert.state === "lapsed" || alert.state === "pending") continue;
    if (needsSomeone(store, alert)) groups.needed.push(alert);
    else if (isInHand(store, alert)) groups.inHand.push(alert);
    else if (alert.emotion === "anger") groups.lately.push(alert);
  }
  /**
   * @param {Page.Alert} a
   * @param {Page.Alert} b
   */
  const byAge = (a, b) => (a.at ?? 0) - (b.at ?? 0) || (a.alert_id < b.alert_id ? -1 : 1);
  groups.needed.sort(byAge);
  groups.inHand.sort((a, b) => (a.taken?.at ?? 0) - (b.taken?.at ?? 0) || byAge(a, b));
  groups.lately.sort((a, b) => byAge(b, a));
  groups.lately.length = Math.min(groups.lately.length, LATELY);
  return groups;
}

/**
 * @param {Store} store
 * @param {Api.AlertView} alert
 */
export function needsSomeone(store, alert) {
  return alert.emotion === "anger" && store.isAlarm(alert) && !alert.taken;
}

/**
 * Taken, and its call is still there to be looked after.
 *
 * @param {Store} store
 * @param {Api.AlertView} alert
 */
function isInHand(store, alert) {
  return Boolean(alert.taken) && !alert.dismissed && (alert.state === "firing" || store.callOf(alert)?.state === "live");
}

/**
 * The order to show: while somebody points at the list nothing moves. What has left the list stays in its place, and what
 * is new comes at the end.
 *
 * @param {string[]} before
 * @param {string[]} now
 * @param {boolean} isPointedAt
 */
export function still(before, now, isPointedAt) {
  if (!isPointedAt) return now;
  const known = new Set(before);
  return [...before, ...now.filter((id) => !known.has(id))];
}
