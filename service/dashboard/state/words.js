// The page's words in one language, with its numbers, times and plurals.

export const LANGUAGES = ["en", "ja"];

/**
 * The language to begin with: the one that was chosen, or the first of the browser's that there is.
 *
 * @param {string | null} chosen
 * @param {readonly string[]} preferred
 */
export function chooseLanguage(chosen, preferred) {
  if (chosen && LANGUAGES.includes(chosen)) return chosen;
  return preferred.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

export class Words {
  /**
   * @param {string} language of LANGUAGES
   * @param {Record<string, string>} texts by key; `{name}` stands for a value; `key.one` and `key.other` for a number
   * @param {string | undefined} timeZone the viewer's if not given
   */
  constructor(language, texts, timeZone = undefined) {
    this.language = language;
    this.texts = texts;
    this.plural = new Intl.PluralRules(language);
    this.seconds = new Intl.DateTimeFormat(language, { timeStyle: "medium", hourCycle: "h23", timeZone });
    this.minutes = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone });
    this.day = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeZone });
    this.dayAndMinutes = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short", hourCycle: "h23", timeZone });
    this.moment = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23", timeZone });
    this.percents = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 0 });
    this.zone = this.seconds.resolvedOptions().timeZone;
  }

  /**
   * The text of a key; with a number `n` the form that it needs.
   *
   * @param {string} key
   * @param {Record<string, unknown>} values
   */
  say(key, values = {}) {
    const forms = "n" in values ? [`${key}.${this.plural.select(Number(values.n))}`, `${key}.other`, key] : [key];
    const found = forms.find((form) => form in this.texts);
    if (found === undefined) return key;
    return this.texts[found].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
  }

  /** @param {number} epoch_s */
  time(epoch_s) {
    return this.seconds.format(epoch_s * 1000);
  }

  /**
   * An end: its time, and its day too unless that is today's.
   *
   * @param {number} epoch_s
   */
  until(epoch_s, now_s = Date.now() / 1000) {
    const isToday = this.day.format(epoch_s * 1000) === this.day.format(now_s * 1000);
    return (isToday ? this.minutes : this.dayAndMinutes).format(epoch_s * 1000);
  }

  /** @param {number} epoch_s */
  dateTime(epoch_s) {
    return this.moment.format(epoch_s * 1000);
  }

  /** @param {number} share */
  percent(share) {
    return this.percents.format(share);
  }

  /**
   * "sounds angry (0.86)"; of the past "sounded angry (0.86)". Never "is angry": it is an estimate of how a voice sounds.
   *
   * @param {string} emotion
   * @param {number} probability
   */
  sounds(emotion, probability, tense = "sounds") {
    return this.say(tense, { adjective: this.say(`adjective.${emotion}`), p: probability.toFixed(2) });
  }

  /** @param {Api.AlertView} alert */
  alert({ emotion, state, probability, peak, track }) {
    const words = state === "resolved" ? this.sounds(emotion, peak, "sounded") : this.sounds(emotion, probability);
    return track === "agent" ? this.say("of_agent", { words }) : words;
  }
}

/** @param {number} for_s */
export function duration(for_s) {
  const whole = Math.max(0, Math.floor(for_s));
  /** @param {number} n */
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/**
 * @param {number} from_s
 * @param {number} to_s
 */
export function timeRange(from_s, to_s) {
  const [from, to] = [Math.round(from_s), Math.round(to_s)];
  if (to >= 60) return from === to ? duration(to) : `${duration(from)}–${duration(to)}`;
  return from === to ? `${to} s` : `${from}–${to} s`;
}

/** @type {WeakMap<Api.ReadingView, [emotion: string, probability: number][]>} */
const rankings = new WeakMap(); // of readings, which never change

/**
 * The emotions of a reading with their probabilities, the most probable first.
 *
 * @param {Api.ReadingView} reading
 */
export function ranked(reading) {
  let ranking = rankings.get(reading);
  if (!ranking) rankings.set(reading, (ranking = Object.entries(reading.probabilities).sort((a, b) => b[1] - a[1])));
  return ranking;
}

/**
 * What a call is called: its caller's number if it is known, else its id.
 *
 * @param {Pick<Api.CallView, "call_id" | "facts">} call
 */
export function nameOf(call) {
  return call.facts?.caller_number || call.call_id;
}
