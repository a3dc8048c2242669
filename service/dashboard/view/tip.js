// The tip gives one place of a ribbon in words: under the pointer, or at the reading chosen by the arrow keys.

import { say, second, store, versionOf, words } from "../page.js";
import { SPAN_S, readingsOf } from "../state/store.js";
import { duration, ranked, timeRange } from "../state/words.js";
import { html, signal, useLayoutEffect, useRef } from "../vendor/preact.js";

// What it describes: { canvas, call, track } and { x, width } or { number }; null: nothing.
export const tip = signal(null);

export function pointAt(place) {
  tip.value = place;
}

export function hide(canvas) {
  if (tip.value?.canvas === canvas) tip.value = null;
}
addEventListener("scroll", () => (tip.value = null), { passive: true });

// Up and Down choose a reading (Left and Right move between the controls of a list's item); Escape ends it.
export function moveByKey(event, place) {
  const readings = readingsOf(place.call, place.track);
  const at = tip.value?.canvas === place.canvas ? readings.findIndex((reading) => reading.number === tip.value.number) : -1;
  const from = at < 0 ? readings.length : at;
  const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: readings.length - 1 }[event.key];
  if (event.key === "Escape") {
    tip.value = null;
    place.canvas.closest("li")?.focus();
  }
  if (to === undefined) return;
  event.preventDefault();
  const reading = readings[Math.min(Math.max(to, 0), readings.length - 1)];
  if (reading) tip.value = { ...place, number: reading.number };
}

export function pointedReading() {
  const { call, track, number } = tip.value;
  const readings = readingsOf(call, track);
  if (number !== undefined) return readings.find((reading) => reading.number === number);
  const at_s = pointedTime();
  return readings.find((reading) => reading.end_s - reading.heard_s <= at_s && at_s <= reading.end_s);
}

function pointedTime() {
  const { call, x, width } = tip.value;
  return store.callNow(call) - (1 - x / width) * SPAN_S;
}

export function tipWords() {
  const reading = pointedReading();
  if (reading) {
    const [[emotion, p], ...others] = ranked(reading);
    const more = others.map(([other, q]) => `${say(`adjective.${other}`)} ${q.toFixed(2)}`).join(", ");
    return say("tip", { range: timeRange(reading.end_s - reading.heard_s, reading.end_s), words: words.value.sounds(emotion, p), more });
  }
  if (tip.value.number !== undefined) return "";
  const at_s = pointedTime();
  return at_s < 0 ? "" : say("tip_silence", { at: at_s < 60 ? `${Math.round(at_s)} s` : duration(at_s) });
}

export function Tip() {
  const ref = useRef(null);
  const place = tip.value;
  if (place) {
    second.value;
    versionOf(place.call).value;
  }
  const text = place ? tipWords() : "";
  useLayoutEffect(() => {
    if (!text) return;
    const node = ref.current;
    const box = place.canvas.getBoundingClientRect();
    const reading = pointedReading();
    const ago_s = reading ? store.callNow(place.call) - reading.end_s : 0;
    const center = box.left + (place.x ?? box.width * (1 - ago_s / SPAN_S));
    const left = Math.min(Math.max(center - node.offsetWidth / 2, 4), innerWidth - node.offsetWidth - 4);
    const above = box.top - node.offsetHeight - 4;
    node.style.transform = `translate(${left}px, ${above < 0 ? box.bottom + 4 : above}px)`;
  });
  return html`<div id="tip" role="tooltip" ref=${ref} hidden=${!text}>${text}</div>`;
}
