// The frame of every view: the name, the ways to the views, the connection, the strip below it, and what is spoken.

import { announced } from "../alarm.js";
import { address, lists, liveness, loginAsked, say, second, status, store, words } from "../page.js";
import { formatAddress } from "../state/address.js";
import { grouped } from "../state/groups.js";
import { html, useComputed, useEffect } from "../vendor/preact.js";
import { CallPage } from "./call.js";
import { Calls } from "./calls.js";
import { Choices } from "./choices.js";
import { History } from "./history.js";
import { Login } from "./login.js";
import { Needs } from "./needs.js";
import { Strip } from "./strip.js";
import { Tip } from "./tip.js";

/** @type {Record<string, () => import("../vendor/preact.js").VNode>} */
const VIEW = { needs: Needs, calls: Calls, history: History };

export function Frame() {
  const { view, id } = address.value;
  const View = VIEW[view];
  const isStale = useComputed(() => status.value >= 0 && second.value >= 0 && !liveness.isLive);
  useEffect(() => scrollTo(0, 0), [view, id]);
  return html`
    <a class="skip" href="#main" onClick=${skip}>${say("skip")}</a>
    <${Header} />
    <${Strip} />
    <main id="main" tabindex="-1" class=${isStale.value ? "stale" : ""}>
      ${loginAsked.value ? html`<${Login} />` : View ? html`<${View} />` : html`<${CallPage} key=${id} id=${id} />`}
    </main>
    <${Footer} />
    <${Spoken} />
    <${Tip} />
  `;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault(); // the fragment is the view's address
  document.getElementById("main")?.focus();
}

function Header() {
  lists.value;
  second.value;
  const { view } = address.value;
  const live = [...store.calls.values()].filter((call) => call.state === "live").length;
  const needed = grouped(store).needed.length;
  useEffect(() => {
    document.title = needed ? `(${needed}) Kanjo` : "Kanjo";
  }, [needed]);
  /**
   * @param {Page.Address["view"]} name
   * @param {string} words
   * @param {number | string} [count]
   * @param {boolean} [isSome]
   */
  const tab = (name, words, count, isSome) => html`
    <a href=${formatAddress(name)} aria-current=${view === name ? "page" : undefined} class=${isSome ? "some" : ""}>
      ${words}${count !== undefined && html` <strong id=${`${name}-count`}>${count}</strong>`}
    </a>`;
  return html`
    <header>
      <h1>Kanjo <span lang="ja">感情</span></h1>
      <nav aria-label=${say("views")} hidden=${loginAsked.value}>
        ${tab("needs", say("needs_someone"), needed, needed > 0)}
        ${tab("calls", say("calls"), store.callsLeftOut ? `${live}+` : live)}
        ${tab("history", say("history"))}
      </nav>
      <${Connection} />
      <${Choices} />
    </header>
  `;
}

function Connection() {
  status.value;
  second.value;
  const [kind, text] = connection();
  return html`<p id="connection" class=${kind} role="status">${text}</p>`;
}

function connection() {
  if (loginAsked.value) return ["connecting", say("not_logged_in")];
  if (liveness.isLive) return ["live", say("live")];
  if (!liveness.because || liveness.lostAt === null) return ["connecting", say("connecting")];
  const { key, ...values } = liveness.because;
  const why = say(key, values);
  return ["stale", liveness.confirmed ? say("as_of", { time: words.value.time(liveness.lostAt), why }) : say("no_answer_yet", { why })];
}

function Footer() {
  status.value;
  return html`<footer><p>${say("what_it_shows")} <span>${say(store.agentIsAnalysed ? "agent_too" : "caller_only")}</span></p></footer>`;
}

function Spoken() {
  return html`<div id="announcements" class="unseen" role="log" aria-live="polite">
    ${announced.value.map(({ id, text }) => html`<p key=${id}>${text}</p>`)}
  </div>`;
}
