// The viewer's own choices: language, sound, desktop notifications; and the way out.

import { playTest, notify, soundIsHeld, switchNotifications, switchSound } from "../alarm.js";
import { LANGUAGES, keep, notifications, permission, sound, speak } from "../choices.js";
import { logOut } from "../login.js";
import { say, session, words } from "../page.js";
import { html } from "../vendor/preact.js";

/** @type {Record<string, string>} */
const NAMES = { en: "English", ja: "日本語" };

export function Choices() {
  const { name, can_log_out } = session.value;
  /** @param {Page.At<HTMLSelectElement>} event */
  const choose = (event) => {
    keep("language", event.target.value);
    speak(event.target.value);
  };
  return html`
    <details class="choices" onKeyDown=${(event) => event.key === "Escape" && (event.currentTarget.open = false)}>
      <summary>${name || say("choices")}${sound.value ? "" : html` <span class="off">${say("sound_off")}</span>`}</summary>
      <div class="menu">
        <label>${say("language")} <select id="language" onChange=${choose}>
          ${LANGUAGES.map((one) => html`<option key=${one} value=${one} lang=${one} selected=${one === words.value.language}>${NAMES[one]}</option>`)}
        </select></label>
        <div class="switch">
          <label><input id="sound" type="checkbox" checked=${sound.value} onChange=${(event) => switchSound(event.target.checked)} /> ${say("sound")}</label>
          <button type="button" disabled=${!sound.value} onClick=${playTest}>${say("test")}</button>
        </div>
        ${sound.value && soundIsHeld.value && html`<p class="problem">${say("sound_held")}</p>`}
        <div class="switch">
          <label><input id="notifications" type="checkbox" checked=${notifications.value}
            onChange=${async (event) => { await switchNotifications(event.target.checked); event.target.checked = notifications.value; }} /> ${say("notifications")}</label>
          <button type="button" disabled=${!notifications.value} onClick=${() => notify(say("test_notification"))}>${say("test")}</button>
        </div>
        ${permission.value === "denied" && html`<p class="problem">${say("notifications_denied")}</p>`}
        <p class="none">${say("time_zone", { zone: words.value.zone })}</p>
        ${can_log_out && html`<button id="log-out" type="button" onClick=${logOut}>${say("log_out")}</button>`}
      </div>
    </details>
  `;
}
