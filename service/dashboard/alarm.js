// Sound and desktop notifications of new alarms. Both are off until they are switched on, and anger alone raises them.

import { keep, notifications, permission, sound } from "./choices.js";
import { nameOf } from "./state/words.js";
import { signal } from "./vendor/preact.js";
import { store, words } from "./page.js";

const NOTES_HZ = [660, 880];
const NOTE_S = 0.18;
const QUIET_MS = 2_000; // between two sounds, however many alerts fire

export const soundIsHeld = signal(false); // the browser plays nothing before the page was clicked once
export const announced = signal(/** @type {{ id: string, text: string }[]} */ ([])); // for screen readers, the newest last

const MOST_ANNOUNCED = 5;
/** @type {AudioContext | undefined} */
let context;
let soundedAt = -QUIET_MS;

export async function playTest() {
  const audio = context ?? new AudioContext();
  context = audio;
  if (audio.state !== "running") await Promise.race([audio.resume(), new Promise((resolve) => setTimeout(resolve, 300))]);
  soundIsHeld.value = audio.state !== "running";
  if (soundIsHeld.value) return;
  NOTES_HZ.forEach((hz, at) => {
    const oscillator = new OscillatorNode(audio, { frequency: hz });
    const gain = new GainNode(audio, { gain: 0.15 });
    oscillator.connect(gain).connect(audio.destination);
    oscillator.start(audio.currentTime + at * NOTE_S);
    oscillator.stop(audio.currentTime + (at + 1) * NOTE_S);
  });
}

/** @param {boolean} isOn */
export function switchSound(isOn) {
  sound.value = isOn;
  keep("sound", isOn ? "on" : "off");
  if (isOn) playTest();
}

/**
 * Asks the browser's permission if it is not given; stays off without it.
 *
 * @param {boolean} isOn
 */
export async function switchNotifications(isOn) {
  if (isOn && globalThis.Notification) permission.value = await Notification.requestPermission();
  const allowed = isOn && permission.value === "granted";
  notifications.value = allowed;
  keep("notifications", allowed ? "on" : "off");
  if (allowed) notify(words.value.say("test_notification"));
}

/** @param {string} text */
export function notify(text, tag = "kanjo-test") {
  new Notification("Kanjo", { body: text, tag }).onclick = () => window.focus();
}

/** @param {Api.AlertView} alert */
export function alarm(alert) {
  const call = store.callOf(alert);
  const text = words.value.say("announcement", { name: call ? nameOf(call) : alert.call_id, words: words.value.alert(alert) });
  announced.value = [...announced.value, { id: alert.alert_id, text }].slice(-MOST_ANNOUNCED);
  if (alert.emotion !== "anger") return;
  if (notifications.value) notify(text, alert.alert_id);
  if (sound.value && performance.now() - soundedAt > QUIET_MS) {
    soundedAt = performance.now();
    playTest();
  }
}

// A sound that the browser held back until the page was clicked may be played from then on.
export function releaseSound() {
  if (context?.state === "suspended") context.resume().then(() => (soundIsHeld.value = false));
}
