// The buttons with which an alert is taken, handed over, noted, dismissed and muted, and who did so.

import { act, doing, mute } from "../actions.js";
import { isAdmin, mayAct, say, session, store, words } from "../page.js";
import { html, useSignal } from "../vendor/preact.js";

/** @type {Api.Why[]} */
const REASONS = ["not_angry", "not_the_caller", "other"];
const MINUTES = [15, 60, 240];
const LONGEST_MUTE_S = 31 * 24 * 3600; // that the service takes

/**
 * What people did with an alert, in words.
 *
 * @param {Api.AlertView} alert
 */
export function handledText(alert) {
  const { taken, note, dismissed, muted_until } = alert;
  const parts = [];
  if (taken) {
    const key = taken.handed_over_by ? "taken_from" : "taken_by";
    parts.push(say(key, { by: taken.by, time: words.value.time(taken.at), from: taken.handed_over_by }));
  }
  if (dismissed) parts.push(say("dismissed_by", { by: dismissed.by, why: reason(alert, dismissed.why) }));
  if (muted_until && store.isMuted(alert)) parts.push(say("muted_until", { time: words.value.until(muted_until, store.clock()) }));
  if (note) parts.push(say("note_by", { by: note.by, text: note.text }));
  return parts.join(" · ");
}

/**
 * @param {Api.AlertView} alert
 * @param {string | null | undefined} why
 */
export function reason(alert, why) {
  return say(`why.${why}`, { adjective: say(`adjective.${alert.emotion}`) });
}

/** @param {{ alert: Api.AlertView, call?: Page.Call | Page.WholeCall, children?: unknown }} given */
export function Handling({ alert, call, children }) {
  const { busy, undo, problem } = doing(alert.alert_id);
  const has = alert.taken?.by;
  const isMine = has === session.value.name;
  const open = mayAct() && ["firing", "resolved"].includes(alert.state) && !alert.dismissed;
  /**
   * @param {string} name
   * @param {unknown} isShown
   * @param {() => void} act
   */
  const button = (name, isShown, act) => isShown && html`
    <button type="button" class=${name} data-control disabled=${busy} onClick=${act}>${say(name)}</button>`;
  return html`
    <div class="actions">
      ${button("take", open && !has, () => act(alert, "take"))}
      ${button("take_over", open && has && !isMine && isAdmin(), () => act(alert, "take-over"))}
      ${children}
      ${open && has && isMine && html`<${Entry} name="hand_over" max="100" busy=${busy} done=${(/** @type {string} */ to) => act(alert, "hand-over", { to })} />`}
      ${mayAct() && html`<${Entry} name="note" max="500" busy=${busy} done=${(/** @type {string} */ text) => act(alert, "note", { text })} />`}
      ${open && (!has || isMine) && html`<${Menu} name="dismiss" busy=${busy}>
        ${REASONS.map((why) => html`<button key=${why} type="button" data-why=${why} onClick=${() => act(alert, "dismiss", { why })}>
          ${reason(alert, why)}</button>`)}
      </${Menu}>`}
      ${mayAct() && alert.state === "firing" && !store.isMuted(alert) && html`<${Mute} alert=${alert} call=${call} busy=${busy} />`}
      ${button("undo", undo, () => act(alert, "undo", { undoes: undo }))}
      ${problem && html`<p class="problem" role="status">${problem}</p>`}
    </div>
  `;
}

/**
 * A menu that closes with Escape and when one of its buttons was pressed; its form closes it when what it has is sent.
 *
 * @param {{ name: string, busy: boolean, children?: {} }} given
 */
function Menu({ name, busy, children }) {
  /** @param {KeyboardEvent & { currentTarget: HTMLDetailsElement }} event */
  const closeByKey = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    event.currentTarget.open = false;
    event.currentTarget.querySelector("summary")?.focus();
  };
  return html`
    <details class=${name} onKeyDown=${closeByKey}>
      <summary data-control aria-disabled=${busy}>${say(name)}</summary>
      <div class="menu" onClick=${(event) => event.target.closest("button[type=button]") && closeMenu(event.target)}>${children}</div>
    </details>
  `;
}

/** @param {Element} inside of the menu */
function closeMenu(inside) {
  const menu = inside.closest("details");
  if (menu) menu.open = false;
}

/**
 * A menu with one line to write.
 *
 * @param {{ name: string, max: string, busy: boolean, done: (text: string) => void }} given
 */
function Entry({ name, max, busy, done }) {
  /** @param {Page.At<HTMLFormElement>} event */
  const submit = (event) => {
    event.preventDefault();
    const input = event.target.querySelector("input");
    const text = input?.value.trim();
    if (!input || !text) return;
    input.value = "";
    closeMenu(event.target);
    done(text);
  };
  return html`<${Menu} name=${name} busy=${busy}>
    <form onSubmit=${submit}>
      <label>${say(`${name}.label`)} <input maxlength=${max} autocomplete="off" required /></label>
      <button>${say(name)}</button>
    </form>
  </${Menu}>`;
}

/** @param {{ alert: Api.AlertView, call?: Page.Call | Page.WholeCall, busy: boolean }} given */
function Mute({ alert, call, busy }) {
  const isOther = useSignal(false); // whether another time than those of the list is to be given
  const queue = alert.queue ?? call?.facts?.queue;
  /** @type {[what: Omit<Api.Mute, "id" | "until">, text: string][]} */
  const kinds = [[{ emotion: alert.emotion }, say("mute.emotion", { emotion: say(`emotion.${alert.emotion}`) })]];
  if (queue) kinds.unshift([{ queue }, say("mute.queue", { queue })]);
  if (alert.session) kinds.unshift([{ session: alert.session }, say("mute.call")]);
  /** @param {Page.At<HTMLFormElement>} event */
  const submit = (event) => {
    event.preventDefault();
    const given = new FormData(event.target);
    const [what] = kinds[Number(given.get("what"))];
    closeMenu(event.target);
    const minutes = Number(given.get("minutes"));
    const until = isOther.value ? Date.parse(String(given.get("time"))) / 1000 : store.clock() + 60 * minutes;
    mute(alert.alert_id, { ...what, until });
  };
  return html`<${Menu} name="mute" busy=${busy}>
    <form onSubmit=${submit}>
      <label>${say("mute.what")} <select name="what">
        ${kinds.map(([, text], at) => html`<option key=${at} value=${at}>${text}</option>`)}
      </select></label>
      <label>${say("mute.until")} <select name="minutes" onChange=${(event) => (isOther.value = !event.target.value)}>
        ${MINUTES.map((n) => html`<option key=${n} value=${n}>${words.value.until(store.clock() + 60 * n, store.clock())}</option>`)}
        <option value="">${say("mute.other")}</option>
      </select></label>
      ${isOther.value && html`<label>${say("mute.time")} <input type="datetime-local" name="time" required
        min=${localTime(store.clock() + 60)} max=${localTime(store.clock() + LONGEST_MUTE_S)} /></label>`}
      <button>${say("mute")}</button>
    </form>
  </${Menu}>`;
}

/**
 * A time as an input of date and time takes it: in the viewer's time zone, without the zone.
 *
 * @param {number} epoch_s
 */
function localTime(epoch_s) {
  const time = new Date(1000 * epoch_s);
  return new Date(Number(time) - 60_000 * time.getTimezoneOffset()).toISOString().slice(0, 16);
}
