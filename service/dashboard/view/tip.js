// The tip gives one place of a ribbon in words: under the pointer, or at the reading chosen by the arrow keys.

import { say, second, store, versionOf, words } from "../page.js";
import { readingsOf } from "../state/readings.js";
import { SPAN_S } from "../state/store.js";
import { duration, ranked, timeRange } from "../state/words.js";
import { html, signal, useLayoutEffect, useRef } from "../vendor/preact.js";

/**
 * What it describes: a place of a ribbon, `x` of its `width`, or the reading of a `number`.
 *
 * @typedef {{ canvas: HTMLCanvasElement, call: Page.Call, track: string, x?: number, width?: number, number?: number }} Place
 */
export const tip = signal(/** @type {Place | null} */ (null));

/** @param {Place} place */
export function pointAt(place) {
  tip.value = place;
}

/** @param {HTMLCanvasElement | null} canvas */
export function hide(canvas) {
  if (tip.value?.canvas === canvas) tip.value = null;
}
addEventListener("scroll", () => (tip.value = null), { passive: true });

/**
 * Left and Right, Home and End choose a reading; Escape ends it.
 *
 * @param {KeyboardEvent} event
 * @param {Place} place
 */
export function moveByKey(event, place) {
  const readings = readingsOf(place.call, place.track);
  const chosen = tip.value?.canvas === place.canvas ? tip.value.number : undefined;
  const at = readings.findIndex((reading) => reading.number === chosen);
  const from = at < 0 ? readings.length : at;
  /** @type {Record<string, number>} */
  const destinations = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: readings.length - 1 };
  const to = destinations[event.key];
  if (event.key === "Escape") {
    tip.value = null;
    place.canvas.closest("li")?.focus();
  }
  if (to === undefined) return;
  event.preventDefault();
  const reading = readings[Math.min(Math.max(to, 0), readings.length - 1)];
  if (reading) tip.value = { ...place, number: reading.number };
}

/** @param {Place} place */
export function pointedReading(place) {
  const readings = readingsOf(place.call, place.track);
  if (place.number !== undefined) return readings.find((reading) => reading.number === place.number);
  const at_s = pointedTime(place);
  return readings.find((reading) => reading.end_s - reading.heard_s <= at_s && at_s <= reading.end_s);
}

/** @param {Place} place */
function pointedTime({ call, x = 0, width = 1 }) {
  return store.callNow(call) - (1 - x / width) * SPAN_S;
}

/** @param {Place} place */
export function tipWords(place) {
  const reading = pointedReading(place);
  if (reading) {
    const [[emotion, p], ...others] = ranked(reading);
    const more = others.map(([other, q]) => `${say(`adjective.${other}`)} ${q.toFixed(2)}`).join(", ");
    return say("tip", { range: timeRange(reading.end_s - reading.heard_s, reading.end_s), words: words.value.sounds(emotion, p), more });
  }
  if (place.number !== undefined) return "";
  const at_s = pointedTime(place);
  return at_s < 0 ? "" : say("tip_silence", { at: at_s < 60 ? `${Math.round(at_s)} s` : duration(at_s) });
}

export function Tip() {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const place = tip.value;
  if (place) {
    second.value;
    versionOf(place.call).value;
  }
  const text = place ? tipWords(place) : "";
  useLayoutEffect(() => {
    const node = ref.current;
    if (!text || !node || !place) return;
    const box = place.canvas.getBoundingClientRect();
    const reading = pointedReading(place);
    const ago_s = reading ? store.callNow(place.call) - reading.end_s : 0;
    const center = box.left + (place.x ?? box.width * (1 - ago_s / SPAN_S));
    const left = Math.min(Math.max(center - node.offsetWidth / 2, 4), innerWidth - node.offsetWidth - 4);
    const above = box.top - node.offsetHeight - 4;
    node.style.transform = `translate(${left}px, ${above < 0 ? box.bottom + 4 : above}px)`;
  });
  return html`<div id="tip" role="tooltip" ref=${ref} hidden=${!text}>${text}</div>`;
}
