// Paints a ribbon: one track of one call over the last SPAN_S, the present at its right end; anger above the middle line,
// happiness below it, neither on it; alerts along the edges, anger at the top.

import { signal } from "../vendor/preact.js";
import { SPAN_S } from "../state/store.js";
import { ranked } from "../state/words.js";

/** @type {Record<string, string>} */
const LETTERS = { anger: "A", happiness: "H" };
const TICKS_S = 30;

export const palette = signal(/** @type {Page.Colours | null} */ (null)); // null before the style sheet was read

// Reads the colours of the present colour scheme from the style sheet.
export function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["anger", "happiness", "neither", "silence", "line", "ink", "on-hue", "muted", "sadness"];
  palette.value = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) matchMedia(query).addEventListener("change", readPalette);

/**
 * Four emotions share a probability of 1, so the likeliest has 0.25 at least.
 *
 * @param {number} probability
 */
function shade(probability) {
  return 0.15 + 0.85 * Math.max(0, (probability - 0.25) / 0.75);
}

/**
 * @typedef {{ ctx: CanvasRenderingContext2D, colours: Page.Colours, x: (at_s: number) => number, now_s: number, width: number,
 *   height: number, edge: number, top: number, bottom: number, middle: number }} Layout
 * @typedef {{ readings: Api.ReadingView[], alerts: Api.AlertView[], now_s: number, width: number, height: number,
 *   pointed?: Api.ReadingView }} Drawn
 */

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Page.Colours} colours
 * @param {Drawn} ribbon
 */
export function paint(canvas, colours, { readings, alerts, now_s, width, height, pointed }) {
  const scale = devicePixelRatio;
  const [columns, rows] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== columns) canvas.width = columns; // takes new pixels, which costs more than to clear them
  if (canvas.height !== rows) canvas.height = rows;
  const ctx = canvas.getContext("2d");
  if (!ctx) return; // of a canvas that is used for something else, which this one is not
  ctx.resetTransform();
  ctx.clearRect(0, 0, columns, rows);
  ctx.scale(scale, scale);
  ctx.lineWidth = 1;
  const edge = Math.max(4, Math.round(height * 0.13)); // of an alert
  /** @type {Layout} */
  const layout = {
    ctx,
    colours,
    x: (at_s) => Math.max(0, Math.round(width - ((now_s - at_s) / SPAN_S) * width)),
    now_s,
    width,
    height,
    edge,
    top: edge + 2,
    bottom: height - edge - 2,
    middle: Math.round(height / 2),
  };
  paintGround(layout);
  paintReadings(layout, readings);
  paintAlerts(layout, alerts);
  if (pointed) paintPointed(layout, pointed);
}

/** @param {Layout} layout */
function paintGround({ ctx, colours, x, now_s, width, top, bottom, middle }) {
  const began = x(0);
  ctx.fillStyle = colours.silence;
  ctx.fillRect(began, top, width - began, bottom - top);
  ctx.fillStyle = colours.line;
  ctx.fillRect(began, middle, width - began, 1);
  for (let ago_s = TICKS_S; ago_s < SPAN_S && ago_s < now_s; ago_s += TICKS_S) ctx.fillRect(x(now_s - ago_s), top, 1, bottom - top);
  ctx.strokeStyle = colours.line;
  ctx.strokeRect(began + 0.5, top - 0.5, width - began - 1, bottom - top + 1);
}

/**
 * @param {Layout} layout
 * @param {Api.ReadingView[]} readings
 */
function paintReadings({ ctx, colours, x, height, top, bottom, middle }, readings) {
  /** @type {Record<string, [top: number, height: number]>} */
  const bands = {
    anger: [top, middle - top],
    happiness: [middle, bottom - middle],
    neither: [middle - Math.round(height * 0.13), 2 * Math.round(height * 0.13)],
  };
  let run = /** @type {{ hue: string, from: number, to: number, shade: number } | null} */ (null); // neighbours of one hue
  const letter = () => {
    if (!run || !(run.hue in LETTERS) || run.to - run.from < 14) return;
    const [y, band] = bands[run.hue];
    ctx.font = `700 ${Math.round(band * 0.8)}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "center";
    ctx.fillStyle = run.shade > 0.7 ? colours["on-hue"] : colours.ink;
    ctx.fillText(LETTERS[run.hue], (run.from + run.to) / 2, y + band / 2 + 0.5);
  };
  for (const reading of readings) {
    const [[emotion, probability]] = ranked(reading);
    const hue = emotion in LETTERS ? emotion : "neither";
    const [y, band] = bands[hue];
    const from = x(reading.end_s - reading.heard_s);
    const to = Math.max(from + 1, x(reading.end_s));
    if (to <= 1) continue;
    ctx.fillStyle = colours[hue];
    ctx.globalAlpha = shade(probability);
    ctx.fillRect(from, y, to - from, band);
    ctx.globalAlpha = 1;
    // The outer edge in full, so that an improbable reading still shows on which side it lies.
    if (hue !== "neither") ctx.fillRect(from, hue === "anger" ? y : y + band - 2, to - from, 2);
    if (run?.hue === hue && from - run.to <= 1) run.to = to;
    else {
      letter();
      run = { hue, from, to, shade: 1 };
    }
    run.shade = Math.min(run.shade, shade(probability));
  }
  letter();
}

/**
 * @param {Layout} layout
 * @param {Api.AlertView[]} alerts
 */
function paintAlerts({ ctx, colours, x, now_s, height, edge }, alerts) {
  for (const alert of alerts) {
    const y = alert.emotion === "anger" ? 0 : height - edge;
    const from = x(alert.since_s);
    const fired = alert.fired_at_s === null ? null : x(alert.fired_at_s);
    const to = Math.max(from + 6, x(alert.resolved_at_s ?? now_s));
    if (to <= 6) continue;
    ctx.strokeStyle = ctx.fillStyle = colours[alert.emotion];
    ctx.lineWidth = 1.5;
    ctx.strokeRect(from + 0.75, y + 0.75, to - from - 1.5, edge - 1.5);
    if (fired !== null) ctx.fillRect(fired, y, Math.max(to - fired, 3), edge);
    ctx.lineWidth = 1;
  }
}

/**
 * @param {Layout} layout
 * @param {Api.ReadingView} reading
 */
function paintPointed({ ctx, colours, x, top, bottom }, reading) {
  const from = x(reading.end_s - reading.heard_s);
  ctx.strokeStyle = colours.ink;
  ctx.lineWidth = 2;
  ctx.strokeRect(from, top, Math.max(3, x(reading.end_s) - from), bottom - top);
}
