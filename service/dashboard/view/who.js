// Who is calling, for what, who speaks to them and for how long; and the way into the telephone system.

import { say, store } from "../page.js";
import { duration } from "../state/words.js";
import { html } from "../vendor/preact.js";

/**
 * The line below a call's name. An agent's name stands beside a live call only; the service sends no other.
 *
 * @param {{ call?: Page.Call, queue?: string | null }} given `queue`: the alert's, if its call is not known
 */
export function About({ call, queue = undefined }) {
  const facts = call?.facts;
  const named = facts?.queue ?? queue;
  const parts = [
    named && say("queue_named", { queue: named }),
    call?.state === "live" && facts?.agent && say("with_agent", { agent: facts.agent }),
    call && duration(store.callNow(call)),
  ];
  return html`<span class="about">${parts.filter(Boolean).join(" · ")}</span>`;
}

/**
 * A link to another program's page if there is one; anything but a web address is none.
 *
 * @param {{ call?: Pick<Api.CallView, "facts"> }} given
 */
export function PbxLink({ call }) {
  const address = call?.facts?.call_url;
  if (!/^https?:\/\//i.test(address ?? "")) return null;
  return html`<a class="open" data-control href=${address} target="_blank" rel="noopener noreferrer">${say("open_in_pbx")}</a>`;
}
