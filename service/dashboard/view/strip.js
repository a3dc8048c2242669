// One line for each thing that a supervisor must know about the service itself, and nothing while all is well.

import { doing, unmute } from "../actions.js";
import { lists, liveness, loginAsked, mayAct, readiness, say, second, status, store, words } from "../page.js";
import { html } from "../vendor/preact.js";

const LATE_S = 2; // a write that waits no longer is nothing to tell

export function Strip() {
  status.value;
  lists.value;
  second.value;
  if (loginAsked.value) return null;
  const { degraded, room_for_calls } = readiness.value;
  /** @type {[key: string, text: string, kind: string][]} */
  const lines = [];
  if (liveness.restartedAt && liveness.justRestarted) lines.push(["restarted", say("restarted", { time: words.value.time(liveness.restartedAt) }), "warns"]);
  if (!room_for_calls) lines.push(["full", say("no_room"), "warns"]);
  if (liveness.isLive && liveness.waiting_s > LATE_S) lines.push(["late", say("late", { n: Math.round(liveness.waiting_s) }), "warns"]);
  for (const { what, since } of degraded) lines.push([what, say("since", { what, time: words.value.time(since) }), "warns"]);
  if (store.callsLeftOut) lines.push(["left-out", say("calls_left_out"), "warns"]);
  if (store.embedded) lines.push(["embedded", say("embedded"), ""]);
  return html`
    <div role="status"><ul id="strip" aria-label=${say("service")} hidden=${!lines.length && !store.mutes.length}>
      ${lines.map(([key, text, kind]) => html`<li key=${key} class=${kind}>${text}</li>`)}
      ${store.mutes.map((mute) => html`<${Mute} key=${mute.mute_id} mute=${mute} />`)}
    </ul></div>
  `;
}

/** @param {{ mute: Api.MuteView }} given */
function Mute({ mute }) {
  const call = [...store.calls.values()].find((call) => call.session === mute.session);
  const what = [
    mute.session && say("call_named", { id: call?.call_id ?? mute.session }),
    mute.queue && say("queue_named", { queue: mute.queue }),
    mute.emotion && say(`emotion.${mute.emotion}`),
  ].filter(Boolean);
  const { busy, problem } = doing(mute.mute_id);
  return html`<li class="mute">
    ${say("muted", { what: what.join(" · "), time: words.value.until(mute.until, store.clock()), by: mute.by })}
    ${mayAct() && html` <button type="button" disabled=${busy} onClick=${() => unmute(mute)}>${say("end_mute")}</button>`}
    ${problem && html` <span class="problem">${problem}</span>`}
  </li>`;
}
