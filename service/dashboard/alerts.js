// The alerts, newest first, a card each, and their announcement to screen readers.

import { rowIdOf } from "./calls.js";
import { $, place, setLink, write } from "./page.js";
import { alerts, callNow, calls, clock, state } from "./state.js";
import { LETTERS, duration, wallTime, who } from "./words.js";

const STATES = { pending: "○ pending", firing: "● firing", resolved: "✓ resolved" };
const MAX_ANNOUNCEMENTS = 5;

const cards = new Map(); // alert_id -> its element

export function drawAlerts() {
  if (!state.alertsChanged) return;
  state.alertsChanged = false;
  const shown = [...alerts.values()].filter((alert) => alert.state !== "lapsed").sort((a, b) => b.since_at - a.since_at);
  for (const id of cards.keys()) if (!alerts.has(id)) cards.delete(id);
  place($("alerts"), shown.map(card));
  $("no-alerts").hidden = !state.joined || shown.length > 0;
}

function card(alert) {
  let node = cards.get(alert.alert_id);
  if (!node) {
    node = $("alert-template").content.firstElementChild.cloneNode(true);
    cards.set(alert.alert_id, node);
  }
  const element = (name) => node.querySelector(name);
  const latest = calls.get(alert.call_id);
  const call = (alert.session ?? latest?.session) === latest?.session ? latest : undefined; // an id may be used again
  const until_s = alert.resolved_at_s ?? (call ? callNow(call) : alert.since_s + clock() - alert.since_at);
  node.className = `alert ${alert.emotion} ${alert.state}`;
  write(element(".letter"), LETTERS[alert.emotion]);
  write(element(".wording"), alert.track === "caller" ? alert.text : `${alert.track} ${alert.text}`);
  write(element(".state"), STATES[alert.state]);
  write(element(".call-id"), alert.call_id);
  if (call) element(".call-id").href = `#${rowIdOf(call)}`;
  else element(".call-id").removeAttribute("href");
  const known = [call && who(call), call && duration(callNow(call))].filter(Boolean).join(" · ");
  write(element(".who"), known);
  setLink(element(".open"), call?.facts?.call_url);
  const since = `since ${duration(alert.since_s)} of the call, ${wallTime(alert.since_at)}`;
  write(element(".when"), `${since}\nfor ${duration(until_s - alert.since_s)}, peak ${alert.peak.toFixed(2)}`);
  return node;
}

export function announce(alert) {
  const words = document.createElement("p");
  words.textContent = `The ${alert.track} on call ${alert.call_id} ${alert.text}`;
  $("announcements").append(words);
  while ($("announcements").childElementCount > MAX_ANNOUNCEMENTS) $("announcements").firstElementChild.remove();
}
