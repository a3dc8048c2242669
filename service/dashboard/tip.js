// The tip gives one place of a ribbon in words: under the pointer, or at the reading chosen by the arrow keys.

import { $, write } from "./page.js";
import { SPAN_S, callNow, on, outdated } from "./state.js";
import { ADJECTIVES, duration, ranked, timeRange } from "./words.js";

let tip = null; // { ribbon, x } or { ribbon, number }

export function attachTip(ribbon) {
  const { canvas, readings } = ribbon;
  const show = (place) => {
    const before = tip?.ribbon;
    tip = place && { ribbon, ...place };
    if (before) outdated.add(before.call);
    outdated.add(ribbon.call);
    on.changed();
  };
  const hide = () => tip?.ribbon === ribbon && show(null);
  const point = (event) => show({ x: event.offsetX });
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", hide);
  canvas.addEventListener("blur", hide);
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) show({ number: readings.at(-1)?.number });
  });
  canvas.addEventListener("keydown", (event) => {
    const at = readings.findIndex((reading) => reading.number === tip?.number);
    const from = at < 0 ? readings.length : at;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: readings.length - 1 }[event.key];
    if (event.key === "Escape") show(null);
    if (to === undefined) return;
    event.preventDefault();
    show({ number: readings[Math.min(Math.max(to, 0), readings.length - 1)]?.number });
  });
}

export function detachTip(ribbon) {
  if (tip?.ribbon === ribbon) tip = null;
}

export function hideTip() {
  if (!tip) return;
  tip = null;
  on.changed();
}

// The reading of this ribbon that the tip describes, if it describes one.
export function pointedReading(ribbon) {
  return tip?.ribbon === ribbon ? tipReading() : null;
}

function tipTime() {
  const { ribbon, x } = tip;
  return callNow(ribbon.call) - (1 - x / ribbon.width) * SPAN_S;
}

function tipReading() {
  const { readings } = tip.ribbon;
  if (!("x" in tip)) return readings.find((reading) => reading.number === tip.number);
  const at_s = tipTime();
  return readings.find((reading) => reading.end_s - reading.heard_s <= at_s && at_s <= reading.end_s);
}

export function drawTip() {
  const node = $("tip");
  const words = tip && tipWords();
  node.hidden = !words;
  if (!words) return;
  write(node, words);
  const { canvas } = tip.ribbon;
  const box = canvas.getBoundingClientRect();
  const reading = tipReading();
  const ago_s = reading ? callNow(tip.ribbon.call) - reading.end_s : 0;
  const center = box.left + (tip.x ?? box.width * (1 - ago_s / SPAN_S));
  const left = Math.min(Math.max(center - node.offsetWidth / 2, 4), innerWidth - node.offsetWidth - 4);
  const above = box.top - node.offsetHeight - 4;
  node.style.transform = `translate(${left}px, ${above < 0 ? box.bottom + 4 : above}px)`;
  canvas.setAttribute("aria-valuemax", Math.round(callNow(tip.ribbon.call)));
  canvas.setAttribute("aria-valuenow", Math.round(reading?.end_s ?? 0));
  canvas.setAttribute("aria-valuetext", words);
}

function tipWords() {
  const reading = tipReading();
  if (reading) {
    const [first, ...others] = ranked(reading).map(([emotion, p]) => `${ADJECTIVES[emotion]} ${p.toFixed(2)}`);
    return `${timeRange(reading.end_s - reading.heard_s, reading.end_s)}: sounds ${first}, ${others.join(", ")}`;
  }
  if (!("x" in tip)) return "no speech yet";
  const at_s = tipTime();
  return at_s < 0 ? null : `${at_s < 60 ? `${Math.round(at_s)} s` : duration(at_s)}: silence`;
}
