// The login, in the place of the views.

import { logIn, loggedIn } from "../login.js";
import { say, session } from "../page.js";
import { html, signal } from "../vendor/preact.js";

export const loginProblem = signal(/** @type {Page.Because | undefined} */ (undefined)); // why the last link can't be used

export function Login() {
  /** @param {Page.At<HTMLFormElement>} event */
  const submit = async (event) => {
    event.preventDefault();
    const input = event.target.querySelector("input");
    if (!input) return;
    loginProblem.value = await logIn(input.value.trim());
    if (loginProblem.value) return;
    input.value = "";
    loggedIn();
  };
  const { key, ...values } = loginProblem.value ?? {};
  return html`
    <section id="login" aria-labelledby="login-title">
      <h2 id="login-title">${say("log_in")}</h2>
      <p>${say("login_how")} <code>kanjo login-link</code></p>
      ${session.value.single_sign_on && html`<p id="single-sign-on"><a href="login/oidc">${say("single_sign_on")}</a></p>`}
      <form id="login-form" onSubmit=${submit}>
        <label for="login-code">${say("login_paste")}</label>
        <input id="login-code" autocomplete="off" spellcheck=${false} required />
        <button>${say("log_in")}</button>
      </form>
      <p id="login-problem" role="alert">${key ? say(key, values) : ""}</p>
    </section>
  `;
}
