// All calls, in an order that stands still: by their start, the ended last. Filters stand in the address.

import { act, doing } from "../actions.js";
import { address, filterBy, lists, liveness, mayAct, say, second, store, versionOf, words } from "../page.js";
import { wantReadings } from "../readings.js";
import { formatAddress, inOrder, matches } from "../state/address.js";
import { needsSomeone } from "../state/groups.js";
import { nameOf, ranked } from "../state/words.js";
import { computed, html, useEffect, useRef, useSignal } from "../vendor/preact.js";
import { LETTERS } from "./card.js";
import { handledText } from "./handling.js";
import { Legend } from "./legend.js";
import { Ribbon } from "./ribbon.js";
import { useRoving } from "./roving.js";
import { About, PbxLink } from "./who.js";

const slow = computed(() => Math.floor(second.value / 10));
const SILENT_S = 5; // without a new reading the last one is of the past

export function Calls() {
  lists.value;
  const { filters } = address.value;
  const calls = inOrder([...store.calls.values()].filter((call) => matches(store, call, filters)));
  const roving = useRoving({ t: ".take", Enter: ".name" });
  const isFiltered = Object.keys(filters).length > 0;
  return html`
    <section aria-labelledby="calls-title">
      <div class="bar">
        <h2 id="calls-title">${say("calls")}</h2>
        <${Filters} filters=${filters} />
      </div>
      <${Legend} />
      <p class="empty" id="no-calls" hidden=${!store.joined || calls.length > 0}>
        ${isFiltered ? say("no_calls_match") : html`<strong>${say("no_calls")}</strong> ${say("no_calls_more")} <code>kanjo replay FILE</code>`}
      </p>
      ${calls.length > 0 && html`<div class="axis" aria-hidden="true"><p><span>${say("ago", { n: 90 })}</span><span>60</span><span>30</span><span>${say("now")}</span></p></div>`}
      ${calls.length > 0 && html`<ol class="calls" id="calls" aria-labelledby="calls-title" ...${roving}>
        ${calls.map(rowOf)}
      </ol>`}
    </section>
  `;
}

/**
 * A call's row is the same at every drawing of the list, which then leaves it alone: it follows signals of its own.
 *
 * @type {WeakMap<Page.Call, import("../vendor/preact.js").VNode>}
 */
const rows = new WeakMap();

/** @param {Page.Call} call */
function rowOf(call) {
  const row = rows.get(call) ?? html`<${Row} key=${call.session} call=${call} />`;
  rows.set(call, row);
  return row;
}

/** @param {{ filters: Page.Filters }} given */
function Filters({ filters }) {
  const queues = new Set([...store.calls.values()].flatMap((call) => call.facts?.queue || []));
  if (filters.queue) queues.add(filters.queue);
  return html`<form class="filters" aria-label=${say("filters")} onSubmit=${(event) => event.preventDefault()}>
    <${Choice} name="queue" value=${filters.queue} options=${[...queues].sort().map((queue) => [queue, queue])} />
    <${Choice} name="emotion" value=${filters.emotion} options=${["anger", "happiness"].map((one) => [one, say(`emotion.${one}`)])} />
    <${Choice} name="state" value=${filters.state} options=${["live", "firing", "ended"].map((one) => [one, say(`call.${one}`)])} />
  </form>`;
}

/** @param {{ name: string, value?: string, options: [value: string, text: string][] }} given */
export function Choice({ name, value = "", options }) {
  return html`<label>${say(`filter.${name}`)} <select name=${name} onChange=${(event) => filterBy({ [name]: event.target.value })}>
    <option value="" selected=${!value}>${say("all")}</option>
    ${options.map(([of, text]) => html`<option key=${of} value=${of} selected=${of === value}>${text}</option>`)}
  </select></label>`;
}

/** @param {{ call: Page.Call }} given */
function Row({ call }) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const inView = useInView(ref, call);
  if (inView.value) {
    versionOf(call).value;
    second.value;
  } else slow.value; // a row out of view is drawn now and then, and at once when it comes into view
  const firing = call.state === "live" ? store.firingAlert(call) : undefined;
  const anger = firing?.emotion === "anger" ? firing : undefined;
  const unconfirmed = call.state === "live" && liveness.unconfirmed.has(call.session);
  const { busy, problem } = doing(anger?.alert_id);
  const kind = ["call", call.state, unconfirmed && "unconfirmed", firing && `firing ${firing.emotion}`, anger && needsSomeone(store, anger) && "needs"];
  return html`
    <li ref=${ref} class=${kind.filter(Boolean).join(" ")}>
      <div class="head">
        <a class="name" data-control href=${formatAddress("call", { id: call.call_id })}>${nameOf(call)}</a>
        <${About} call=${call} />
      </div>
      <p class="sounds">${firing && html`<span class="letter" aria-hidden="true">${LETTERS[firing.emotion]}</span>`}
        <span>${unconfirmed ? say("unconfirmed") : sounds(call, firing)}${anger?.taken && html` <small>${handledText(anger)}</small>`}</span></p>
      <div class="ribbons">${[...call.tracks.keys()].map((track) => html`<${Ribbon} key=${track} call=${call} track=${track} isInView=${inView.value} />`)}</div>
      <div class="actions">
        ${anger && mayAct() && needsSomeone(store, anger) && html`
          <button type="button" class="take" data-control disabled=${busy} onClick=${() => act(anger, "take")}>${say("take")}</button>`}
        <${PbxLink} call=${call} />
        ${problem && html`<p class="problem" role="status">${problem}</p>`}
      </div>
    </li>
  `;
}

/**
 * @param {{ current: HTMLElement | null }} ref
 * @param {Page.Call} call
 */
function useInView(ref, call) {
  const inView = useSignal(false);
  useEffect(() => {
    const observer = new IntersectionObserver(
      ([entry]) => {
        inView.value = entry.isIntersecting;
        if (entry.isIntersecting) wantReadings(call);
      },
      { rootMargin: "200px" },
    );
    if (ref.current) observer.observe(ref.current);
    return () => observer.disconnect();
  }, [call]);
  if (inView.value && !call.complete) wantReadings(call);
  return inView;
}

/**
 * @param {Page.Call} call
 * @param {Page.Alert} [firing]
 */
export function sounds(call, firing) {
  if (call.state === "ended") return say("ended", { reason: call.reason ?? "" });
  if (firing) return words.value.alert(firing);
  const last = call.tracks.get("caller")?.at(-1);
  if (call.consent === "refused") return say("refused_consent");
  if (!last) return say("no_speech");
  const [[emotion, p]] = ranked(last);
  return words.value.sounds(emotion, p, store.callNow(call) - last.end_s > SILENT_S ? "last_sounded" : "sounds");
}
