// A ribbon as an element: it follows its call, its size and the colour scheme, and is read by pointer and keys.

import { say, second, store, versionOf } from "../page.js";
import { wantReadings } from "../readings.js";
import { readingsOf } from "../state/readings.js";
import { nameOf } from "../state/words.js";
import { html, useEffect, useLayoutEffect, useRef, useSignal } from "../vendor/preact.js";
import { paint, palette } from "./paint.js";
import { hide, moveByKey, pointAt, pointedReading, tip, tipWords } from "./tip.js";

/** @param {{ call: Page.Call, track: string, isInView?: boolean }} given */
export function Ribbon({ call, track, isInView = true }) {
  const ref = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const size = useSignal({ width: 0, height: 0 });
  if (isInView) {
    versionOf(call).value;
    second.value;
  }
  const pointed = tip.value?.canvas === ref.current ? tip.value : null;
  const colours = palette.value;

  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect: { width, height } }]) => {
      size.value = { width: Math.round(width), height: Math.round(height) };
    });
    const canvas = ref.current;
    if (canvas) observer.observe(canvas);
    return () => {
      observer.disconnect();
      hide(canvas);
    };
  }, []);
  useEffect(() => {
    if (isInView) wantReadings(call);
  }, [call, isInView]);
  const { width, height } = size.value;
  useLayoutEffect(() => {
    const canvas = ref.current;
    if (!canvas) return;
    if (!isInView || !width || !colours) {
      if (canvas.width) canvas.width = 0; // a ribbon out of view gives its pixels back
      return;
    }
    const alerts = [...call.alerts.values()].filter((alert) => alert.state !== "lapsed" && alert.track === track);
    const reading = pointed ? pointedReading(pointed) : undefined;
    paint(canvas, colours, { readings: readingsOf(call, track), alerts, now_s: store.callNow(call), width, height, pointed: reading });
  });

  /** @param {PointerEvent & { currentTarget: HTMLCanvasElement }} event */
  const point = (event) => pointAt({ canvas: event.currentTarget, call, track, x: event.offsetX, width });
  /** @param {KeyboardEvent & { currentTarget: HTMLCanvasElement }} event */
  const move = (event) => moveByKey(event, { canvas: event.currentTarget, call, track });
  return html`
    ${track === "agent" && html`<p>${say("track.agent")}</p>`}
    <canvas class="ribbon" ref=${ref} tabindex="-1" data-control role="slider" aria-readonly="true"
      aria-label=${say("ribbon", { track: say(`track.${track}`), name: nameOf(call) })}
      aria-valuemin="0" aria-valuemax=${Math.round(store.callNow(call))}
      aria-valuenow=${Math.round((pointed && pointedReading(pointed)?.end_s) || 0)} aria-valuetext=${(pointed && tipWords(pointed)) || say("no_reading")}
      onPointerMove=${point} onPointerDown=${point} onPointerLeave=${() => hide(ref.current)} onBlur=${() => hide(ref.current)}
      onKeyDown=${move}></canvas>
  `;
}
