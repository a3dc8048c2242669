// What a viewer has chosen in this browser: the language, sound and desktop notifications.

import { LANGUAGES, Words, chooseLanguage } from "./state/words.js";
import { signal } from "./vendor/preact.js";
import { words } from "./page.js";

export const sound = signal(kept("sound") === "on");
export const permission = signal(globalThis.Notification?.permission); // of notifications: granted, denied, or not asked for
export const notifications = signal(kept("notifications") === "on" && permission.value === "granted");

/** @param {string} name */
function kept(name) {
  try {
    return localStorage.getItem(`kanjo.${name}`);
  } catch {
    return null; // a browser that keeps nothing
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
export function keep(name, value) {
  try {
    localStorage.setItem(`kanjo.${name}`, value);
  } catch {
    // chosen for as long as the page is open
  }
}

/** @param {string} language of LANGUAGES */
export async function speak(language) {
  const response = await fetch(`dashboard/words/${language}.json`);
  words.value = new Words(language, await response.json());
  document.documentElement.lang = language;
}

export function beginLanguage() {
  return speak(chooseLanguage(kept("language"), navigator.languages));
}

export { LANGUAGES };
