// The list of calls: a row each, those with a firing alert first, then by start, the ended last.

import { forgetWanted, wantReadings } from "./feed.js";
import { $, place, setLink, write } from "./page.js";
import { createRibbon, paintRibbon, removeRibbon } from "./ribbon.js";
import { MAX_CALLS, callNow, calls, firingAlert, on, outdated, state } from "./state.js";
import { ADJECTIVES, duration, ranked, who } from "./words.js";

const rows = new Map(); // call -> { node, ribbons: Map(track -> ribbon), visible }
const callOfNode = new WeakMap();
let count = 0;

export function addRow(call) {
  const node = $("call-template").content.firstElementChild.cloneNode(true);
  node.id = `row-${++count}`; // a call id may hold anything
  rows.set(call, { node, ribbons: new Map(), visible: false });
  callOfNode.set(node, call);
  inView.observe(node);
}

export function removeRow(call) {
  const row = rows.get(call);
  rows.delete(call);
  forgetWanted(call);
  inView.unobserve(row.node);
  for (const ribbon of row.ribbons.values()) removeRibbon(ribbon);
  row.node.remove();
}

export function rowIdOf(call) {
  return rows.get(call).node.id;
}

export function wantVisibleReadings() {
  for (const [call, row] of rows) if (row.visible) wantReadings(call);
}

const inView = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const call = callOfNode.get(target);
      const row = rows.get(call);
      if (!row) continue; // removed since
      row.visible = isIntersecting;
      if (isIntersecting) wantReadings(call);
      // A ribbon out of view gives its pixels back.
      else for (const { canvas } of row.ribbons.values()) canvas.width = 0;
      outdated.add(call);
    }
    on.changed();
  },
  { rootMargin: "200px" },
);

export function drawCalls() {
  const group = (call) => (call.state === "ended" ? 2 : firingAlert(call) ? 0 : 1);
  const inOrder = [...calls.values()]
    .map((call) => ({ call, group: group(call) }))
    .sort((a, b) => a.group - b.group || a.call.started_at - b.call.started_at);
  place($("calls"), inOrder.map(({ call }) => rows.get(call).node));
  $("no-calls").hidden = !state.joined || calls.size > 0;
  $("axis").hidden = calls.size === 0;
  $("more-calls").hidden = !state.callsLeftOut;
  write($("more-calls"), `More calls are live than the ${MAX_CALLS} shown.`);
  for (const call of outdated) if (rows.has(call)) drawRow(call, rows.get(call));
  outdated.clear();
}

function drawRow(call, { node, ribbons, visible }) {
  const element = (name) => node.querySelector(`.${name}`);
  const firing = call.state === "live" ? firingAlert(call) : undefined;
  const about = [call.bridge, ...Object.entries(call.metadata).map(([key, value]) => `${key} ${value}`)].join(" · ");
  const unconfirmed = call.state === "live" && state.unconfirmed.has(call.session);
  node.className = ["call", call.state, unconfirmed && "unconfirmed", firing && `firing ${firing.emotion}`].filter(Boolean).join(" ");
  write(element("id"), call.call_id);
  element("id").title = call.call_id;
  write(element("about"), about);
  element("about").title = about;
  write(element("who"), who(call));
  setLink(element("open"), call.facts?.call_url);
  write(element("time"), duration(callNow(call)));
  write(element("sounds"), unconfirmed ? "no sign of its service" : sounds(call, firing));
  for (const track of call.tracks.keys()) {
    if (ribbons.has(track)) continue;
    if (track !== "caller") {
      const name = document.createElement("p");
      name.textContent = track;
      element("ribbons").append(name);
      write($("who"), "On this service the agent is analysed too, for a recorded purpose.");
    }
    ribbons.set(track, createRibbon(call, track));
    element("ribbons").append(ribbons.get(track).canvas);
  }
  for (const ribbon of ribbons.values()) if (visible && ribbon.width) paintRibbon(ribbon);
}

function sounds(call, firing) {
  if (call.state === "ended") return `ended: ${call.reason}`;
  if (firing) return `▲ ${firing.track === "caller" ? "" : `${firing.track} `}${firing.text}`;
  const last = call.tracks.get("caller").at(-1);
  if (!last) return "no speech yet";
  const [[emotion, probability]] = ranked(last);
  const words = `${ADJECTIVES[emotion]} (${probability.toFixed(2)})`;
  return callNow(call) - last.end_s > 5 ? `last sounded ${words}` : `sounds ${words}`;
}
