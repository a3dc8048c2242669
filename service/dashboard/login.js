// Logging in and out, and who uses the page.

import { loginAsked, session } from "./page.js";
import { get } from "./api.js";

const FRAGMENT = /#login=([\w-]+)$/;

// Uses the code of a login link up if the page was opened by one; returns why it can't be used, or nothing.
export async function logInByLink() {
  const code = FRAGMENT.exec(location.hash)?.[1];
  if (!code) return undefined;
  history.replaceState(null, "", location.pathname); // the code is worth nothing any more, and leaves the address bar
  return logIn(code);
}

// Returns undefined if the service took the code or link, else { key, ...values } of why not.
export async function logIn(pasted) {
  const code = FRAGMENT.exec(pasted)?.[1] ?? pasted;
  try {
    const response = await fetch("login", { method: "POST", headers: { "X-Kanjo-Login": code } });
    if (!response.ok) return { key: "bad_link", detail: (await response.json()).detail };
  } catch (error) {
    return { key: "no_answer", error: error.message };
  }
  await learnSession();
  return undefined;
}

export async function learnSession() {
  const answer = await get("session").catch(() => undefined);
  if (answer) session.value = answer.body;
}

let letIn = () => {};

// Shows the login instead of the views; resolves when someone has logged in.
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
