// The first view: who needs somebody now, who is being looked after, and what is over.

import { lists, mayAct, say, second, store } from "../page.js";
import { grouped, still } from "../state/groups.js";
import { html, useEffect, useRef, useSignal } from "../vendor/preact.js";
import { Card } from "./card.js";
import { useRoving } from "./roving.js";

export function Needs() {
  lists.value;
  second.value;
  const groups = grouped(store);
  const { needed } = groups;
  const pointed = useSignal(false);
  const standing = useRef(/** @type {string[]} */ ([])); // ids
  standing.current = still(standing.current, needed.map(idOf), pointed.value).filter((id) => store.alerts.has(id));
  useEffect(() => {
    if (!standing.current.length) pointed.value = false; // a list that is gone is not left by the pointer
  });
  // What was taken under the pointer stays in its place until the pointer leaves, and is nowhere else as well.
  /** @param {Page.Alert[]} alerts */
  const others = (alerts) => alerts.map(idOf).filter((id) => !standing.current.includes(id));
  const [inHand, lately] = [others(groups.inHand), others(groups.lately)];
  return html`
    <div class="needs">
      <section class="first" aria-labelledby="needs-title">
        <h2 id="needs-title">${say("needs_someone")}</h2>
        <${Empty} hidden=${needed.length > 0 || !store.joined} />
        <${Cards} name="needed" label=${say("needs_someone")} ids=${standing.current} point=${(/** @type {boolean} */ isPointed) => (pointed.value = isPointed)} />
        ${mayAct() && needed.length > 0 && html`<p class="keys">${say("keys")}</p>`}
      </section>
      <div class="second">
        <section aria-labelledby="in-hand-title">
          <h2 id="in-hand-title">${say("in_hand")}</h2>
          ${!inHand.length && html`<p class="none">${say("none_in_hand")}</p>`}
          <${Cards} name="in-hand" label=${say("in_hand")} ids=${inHand} />
        </section>
        <section aria-labelledby="lately-title">
          <h2 id="lately-title">${say("lately")}</h2>
          ${!lately.length && html`<p class="none">${say("none_lately")}</p>`}
          <${Cards} name="lately" label=${say("lately")} ids=${lately} />
        </section>
      </div>
    </div>
  `;
}

/** @param {{ hidden: boolean }} given */
function Empty({ hidden }) {
  return html`<p class="empty" id="nobody" hidden=${hidden}>
    <strong>${say("nobody_needs")}</strong> ${say("nobody_needs_more")}
  </p>`;
}

/** @param {Page.Alert} alert */
function idOf({ alert_id }) {
  return alert_id;
}

/** @param {{ name: string, label: string, ids: string[], point?: (isPointed: boolean) => void }} given */
function Cards({ name, label, ids, point = () => {} }) {
  const roving = useRoving({ t: ".take", Enter: ".name" });
  if (!ids.length) return null;
  return html`
    <ol class="cards" id=${name} aria-label=${label} ...${roving} onPointerEnter=${() => point(true)} onPointerLeave=${() => point(false)}>
      ${ids.map((id) => html`<${Card} key=${id} alert=${store.alerts.get(id)} />`)}
    </ol>
  `;
}
