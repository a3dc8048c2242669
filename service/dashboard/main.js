// Starts the page: words, login, events, and what happens once a second.

import { alarm, releaseSound } from "./alarm.js";
import { timed } from "./api.js";
import { beginLanguage } from "./choices.js";
import { follow, rejoin } from "./feed.js";
import { askForLogin, learnSession, logInByLink } from "./login.js";
import { changed, liveness, readiness, second, store } from "./page.js";
import { MAX_CALLS } from "./state/store.js";
import { html, render } from "./vendor/preact.js";
import { Frame } from "./view/frame.js";
import { loginProblem } from "./view/login.js";
import { readPalette } from "./view/paint.js";

const READINESS_EVERY_S = 10;

async function askReadiness() {
  // 503 says what is missing too, so the body counts and not the status.
  const response = await fetch("readyz", timed({ cache: "no-store" })).catch(() => undefined);
  if (response?.headers.get("Content-Type")?.startsWith("application/json")) {
    readiness.value = { degraded: [], room_for_calls: true, ...(await response.json()) };
  }
}

store.onAlarm = alarm;
setInterval(() => {
  liveness.check();
  store.tick();
  second.value++;
  if (store.callsLeftOut && store.calls.size < MAX_CALLS * 0.9) rejoin();
  if (second.value % READINESS_EVERY_S === 0) askReadiness();
  changed();
}, 1000);
document.addEventListener("visibilitychange", () => {
  liveness.check(); // the timers of a hidden page may have slept
  changed();
});
addEventListener("pointerdown", releaseSound);

await beginLanguage();
loginProblem.value = await logInByLink();
readPalette();
render(html`<${Frame} />`, /** @type {HTMLElement} */ (document.getElementById("page")));
learnSession();
askReadiness();
follow(() => askForLogin(store.joined));
