// Logging in and out, and who uses the page.

import { loginAsked, session } from "./page.js";
import { get, whyOf } from "./api.js";

const FRAGMENT = /#login=([\w-]+)$/;

// Uses the code of a login link up if the page was opened by one; returns why it can't be used, or nothing.
export async function logInByLink() {
  const code = FRAGMENT.exec(location.hash)?.[1];
  if (!code) return undefined;
  history.replaceState(null, "", location.pathname); // the code is worth nothing any more, and leaves the address bar
  return logIn(code);
}

/**
 * Returns undefined if the service took the code or link, else why not.
 *
 * @param {string} pasted
 * @returns {Promise<Page.Because | undefined>}
 */
export async function logIn(pasted) {
  const code = FRAGMENT.exec(pasted)?.[1] ?? pasted;
  try {
    const response = await fetch("login", { method: "POST", headers: { "X-Kanjo-Login": code } });
    if (!response.ok) return { key: "bad_link", detail: (await response.json()).detail };
  } catch (error) {
    return whyOf(error);
  }
  await learnSession();
  return undefined;
}

export async function learnSession() {
  const answer = await get("session").catch(() => undefined);
  if (answer) session.value = answer.body;
}

let letIn = () => {};

/**
 * Shows the login instead of the views; resolves when someone has logged in.
 *
 * @param {boolean} joined whether something of a call may be shown
 * @returns {Promise<void>}
 */
export function askForLogin(joined) {
  if (joined) location.reload(); // nothing that was shown stays in the page
  loginAsked.value = true;
  learnSession();
  addEventListener("hashchange", () => FRAGMENT.test(location.hash) && location.reload()); // a link opened in this tab
  return new Promise((resolve) => {
    letIn = () => {
      loginAsked.value = false;
      resolve();
    };
  });
}

export function loggedIn() {
  letIn();
}

export async function logOut() {
  await fetch("logout", { method: "POST" });
  location.reload();
}
