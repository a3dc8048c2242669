// The login screen, in the place of calls and alerts, and the button that logs out.

import { $, write } from "./page.js";
import { on, state } from "./state.js";

const FRAGMENT = /#login=([\w-]+)$/;

// Uses the code of a login link up if the page was opened by one.
export async function logInByLink() {
  const code = FRAGMENT.exec(location.hash)?.[1];
  if (!code) return;
  history.replaceState(null, "", location.pathname); // the code is worth nothing any more, and leaves the address bar
  await logIn(code);
}

// Resolves when someone has logged in.
export function askForLogin() {
  if (state.joined) location.reload(); // nothing that was shown stays in the page
  $("login").hidden = false;
  document.querySelector("main").hidden = true;
  on.changed();
  offerSingleSignOn();
  addEventListener("hashchange", () => location.reload()); // a login link that is opened in this tab
  return new Promise((resolve) => {
    $("login-form").onsubmit = async (event) => {
      event.preventDefault();
      const pasted = $("login-code").value.trim();
      if (!(await logIn(FRAGMENT.exec(pasted)?.[1] ?? pasted))) return;
      $("login-code").value = "";
      $("login").hidden = true;
      document.querySelector("main").hidden = false;
      await offerLogout();
      resolve();
    };
  });
}

// Returns whether the service took the code; if not, the login screen says why.
async function logIn(code) {
  let problem = "";
  try {
    const response = await fetch("login", { method: "POST", headers: { "X-Kanjo-Login": code } });
    if (!response.ok) problem = `This link can't be used: ${(await response.json()).detail}.`;
  } catch (error) {
    problem = `The service does not answer (${error.message}).`;
  }
  write($("login-problem"), problem);
  return !problem;
}

async function offerSingleSignOn() {
  const response = await fetch("session", { cache: "no-store" }).catch(() => undefined);
  $("single-sign-on").hidden = !(response?.ok && (await response.json()).single_sign_on);
}

// Shows the button if a session can be ended; while access is open there is none. Learns who uses the page.
export async function offerLogout() {
  const response = await fetch("session", { cache: "no-store" }).catch(() => undefined);
  const session = response?.ok ? await response.json() : {};
  $("log-out").hidden = !session.can_log_out;
  state.name = session.name ?? "";
  state.mayAct = ["operator", "admin"].includes(session.role);
  state.alertsChanged = true;
  on.changed();
  $("log-out").onclick = async () => {
    await fetch("logout", { method: "POST" });
    location.reload();
  };
}
