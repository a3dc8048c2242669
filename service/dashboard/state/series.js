// What the charts draw, from readings and counts.

export const EMOTIONS = ["anger", "happiness", "sadness", "neutral"];

/**
 * Returns columns [time, anger, happiness, sadness, neutral] of one track: a step for each reading, over the speech that it
 * heard, and a gap (null) for silence.
 *
 * @param {Api.ReadingView[]} readings
 * @param {string} track
 */
export function columnsOf(readings, track) {
  /** @type {(number | null)[][]} */
  const columns = [[], ...EMOTIONS.map(() => [])];
  let to_s = 0;
  for (const reading of readings) {
    if (reading.track !== track) continue;
    const from_s = Math.max(to_s, reading.end_s - reading.heard_s);
    if (from_s - to_s > 0.05) addTo(columns, to_s, () => null);
    addTo(columns, from_s, (emotion) => reading.probabilities[emotion]);
    addTo(columns, reading.end_s, (emotion) => reading.probabilities[emotion]);
    to_s = reading.end_s;
  }
  return columns;
}

/**
 * @param {(number | null)[][]} columns
 * @param {number} at_s
 * @param {(emotion: string) => number | null} value
 */
function addTo([times, ...columns], at_s, value) {
  times.push(at_s);
  EMOTIONS.forEach((emotion, at) => columns[at].push(value(emotion)));
}

/**
 * How much of a track was speech, seconds.
 *
 * @param {Api.ReadingView[]} readings
 * @param {string} track
 */
export function heard_s(readings, track) {
  return readings.filter((reading) => reading.track === track).reduce((sum, reading) => sum + reading.heard_s, 0);
}

/**
 * The part of a span that is shown, after zooming around its middle by a factor; never beyond the whole.
 *
 * @param {Page.Span} span
 * @param {number} factor
 * @param {number} whole_s
 * @returns {Page.Span}
 */
export function zoomed([from, to], factor, whole_s) {
  const middle = (from + to) / 2;
  const half = Math.min(whole_s, Math.max(5, (to - from) * factor)) / 2;
  const begin = Math.max(0, Math.min(middle - half, whole_s - 2 * half));
  return [begin, Math.min(whole_s, begin + 2 * half)];
}

/**
 * The readings by which an alert rose: those of its track from where it began until it fired or ended.
 *
 * @param {Api.ReadingView[]} readings
 * @param {Api.AlertView} alert
 */
export function evidence(readings, alert) {
  const to_s = alert.fired_at_s ?? alert.resolved_at_s ?? Infinity;
  return readings.filter((one) => one.track === alert.track && one.end_s > alert.since_s && one.end_s <= to_s + 0.01);
}

/**
 * Counts of a queue over all days, or of a day over all queues.
 *
 * @param {Api.AlertCounts[]} counts
 * @param {"day" | "queue"} key says which
 * @param {string} emotion of which alone, if there is one
 */
export function summed(counts, key, emotion = "") {
  /** @type {Map<string, { name: string, fired: number, taken: number, muted: number, dismissed: number }>} */
  const sums = new Map();
  for (const count of counts) {
    if (emotion && count.emotion !== emotion) continue;
    const name = count[key] ?? "";
    const sum = sums.get(name) ?? { name, fired: 0, taken: 0, muted: 0, dismissed: 0 };
    sum.fired += count.fired;
    sum.taken += count.taken;
    sum.muted += count.muted;
    sum.dismissed += Object.values(count.dismissed).reduce((all, one) => all + one, 0);
    sums.set(name, sum);
  }
  return [...sums.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}
