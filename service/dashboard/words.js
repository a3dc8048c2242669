// The page's words for emotions, probabilities and times.

export const ADJECTIVES = { anger: "angry", happiness: "happy", sadness: "sad", neutral: "neutral" };
export const LETTERS = { anger: "A", happiness: "H" }; // of the emotions that raise alerts

// The emotions of a reading with their probabilities, the most probable first.
export function ranked(reading) {
  return Object.entries(reading.probabilities).sort((a, b) => b[1] - a[1]);
}

export function duration(for_s) {
  const whole = Math.max(0, Math.floor(for_s));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export function timeRange(from_s, to_s) {
  const [from, to] = [Math.round(from_s), Math.round(to_s)];
  if (to >= 60) return from === to ? duration(to) : `${duration(from)}–${duration(to)}`;
  return from === to ? `${to} s` : `${from}–${to} s`;
}

const wallClock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

export function wallTime(epoch_s) {
  return wallClock.format(epoch_s * 1000);
}

// Who is calling, for what, and who speaks to them, as far as it is known; a call of an old service has no facts.
export function who({ facts }) {
  const { caller_number, queue, agent } = facts ?? {};
  return [caller_number, queue && `queue ${queue}`, agent && `with ${agent}`].filter(Boolean).join(" · ");
}
