// The alerts, a card each, and their announcement to screen readers. Those that need somebody come first, of these the
// one that has waited longest; then those that fire but are taken, muted or dismissed, the pending, and the resolved.

import { act, doneWith, forgetActions } from "./actions.js";
import { rowIdOf } from "./calls.js";
import { $, place, setLink, write } from "./page.js";
import { alerts, callNow, calls, clock, isAlarm, isMuted, state } from "./state.js";
import { ADJECTIVES, LETTERS, duration, wallTime, who } from "./words.js";

const STATES = { pending: "○ pending", firing: "● firing", resolved: "✓ resolved" };
const MAX_ANNOUNCEMENTS = 5;

const cards = new Map(); // alert_id -> its element

export function drawAlerts() {
  if (!state.alertsChanged) return;
  state.alertsChanged = false;
  const shown = [...alerts.values()].filter((alert) => alert.state !== "lapsed").sort(inOrder);
  for (const id of cards.keys()) {
    if (alerts.has(id)) continue;
    cards.delete(id);
    forgetActions(id);
  }
  place($("alerts"), shown.map(card));
  $("no-alerts").hidden = !state.joined || shown.length > 0;
}

function inOrder(a, b) {
  const group = groupOf(a);
  return group - groupOf(b) || (group === 0 ? a.since_at - b.since_at : b.since_at - a.since_at);
}

function groupOf(alert) {
  if (isAlarm(alert) && !alert.taken) return 0;
  return { firing: 1, pending: 2, resolved: 3 }[alert.state];
}

function createCard(id) {
  const node = $("alert-template").content.firstElementChild.cloneNode(true);
  const alert = () => alerts.get(id);
  node.querySelector(".take").onclick = () => act(alert(), "take");
  node.querySelector(".undo").onclick = () => act(alert(), "undo", { undoes: doneWith(alert()).undo?.id });
  for (const button of node.querySelectorAll("[data-why]")) {
    button.onclick = () => {
      node.querySelector(".dismiss").open = false;
      act(alert(), "dismiss", { why: button.dataset.why });
    };
  }
  cards.set(id, node);
  return node;
}

function card(alert) {
  const node = cards.get(alert.alert_id) ?? createCard(alert.alert_id);
  const element = (name) => node.querySelector(name);
  const latest = calls.get(alert.call_id);
  const call = (alert.session ?? latest?.session) === latest?.session ? latest : undefined; // an id may be used again
  const until_s = alert.resolved_at_s ?? (call ? callNow(call) : alert.since_s + clock() - alert.since_at);
  node.className = `alert ${alert.emotion} ${alert.state}${alert.state === "firing" && !isAlarm(alert) ? " quiet" : ""}`;
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
  write(element(".handling"), handling(alert));
  drawActions(alert, element);
  write(element(".when"), `${since}\nfor ${duration(until_s - alert.since_s)}, peak ${alert.peak.toFixed(2)}`);
  return node;
}

function handling({ taken, dismissed, muted_until, ...alert }) {
  const words = [];
  if (taken) words.push(`taken by ${taken.by} at ${wallTime(taken.at)}${taken.handed_over_by ? `, from ${taken.handed_over_by}` : ""}`);
  if (dismissed) words.push(`dismissed by ${dismissed.by}: ${reason(dismissed.why, alert)}`);
  if (isMuted({ muted_until })) words.push(`muted until ${wallTime(muted_until)}`);
  return words.join(" · ");
}

function reason(why, { emotion }) {
  return { not_angry: `does not sound ${ADJECTIVES[emotion]}`, not_the_caller: "not the caller’s voice", other: "another reason" }[why];
}

function drawActions(alert, element) {
  const { busy, undo, problem } = doneWith(alert);
  const others = alert.taken && alert.taken.by !== state.name;
  const open = state.mayAct && ["firing", "resolved"].includes(alert.state) && !alert.dismissed;
  element(".take").hidden = !open || Boolean(alert.taken);
  element(".dismiss").hidden = !open || others;
  element(".undo").hidden = !undo;
  for (const button of element(".actions").querySelectorAll("button")) button.disabled = busy;
  write(element("[data-why=not_angry]"), `Does not sound ${ADJECTIVES[alert.emotion]}`);
  write(element(".problem"), problem);
}

export function announce(alert) {
  const words = document.createElement("p");
  words.textContent = `The ${alert.track} on call ${alert.call_id} ${alert.text}`;
  $("announcements").append(words);
  while ($("announcements").childElementCount > MAX_ANNOUNCEMENTS) $("announcements").firstElementChild.remove();
}
