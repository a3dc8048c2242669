// The page's words: both languages say everything, and never that somebody is angry.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { LANGUAGES, Words, chooseLanguage, duration, ranked, timeRange } from "../../../../service/dashboard/state/words.js";

const PAGE = new URL("../../../../service/dashboard/", import.meta.url);
const texts = Object.fromEntries(LANGUAGES.map((one) => [one, JSON.parse(readFileSync(new URL(`words/${one}.json`, PAGE)))]));
const base = (key) => key.replace(/\.(one|other)$/, "");
const values = (text) => new Set(text.match(/\{\w+\}/g) ?? []);

test("both languages have the same texts with the same values in them", () => {
  const [en, ja] = LANGUAGES.map((one) => texts[one]);
  assert.deepEqual([...new Set(Object.keys(en).map(base))].sort(), [...new Set(Object.keys(ja).map(base))].sort());
  for (const [key, text] of Object.entries(ja)) assert.deepEqual(values(text), values(en[key]), key);
});

test("every text that the page asks for is there", () => {
  const files = readdirSync(PAGE, { recursive: true }).filter((name) => name.endsWith(".js") && !name.startsWith("vendor"));
  const known = new Set(Object.keys(texts.en).flatMap((key) => [key, base(key)]));
  for (const file of files) {
    const source = readFileSync(new URL(file, PAGE), "utf8");
    for (const [, key] of source.matchAll(/(?:say\(|key: )"([\w.]+)"/g)) assert.ok(known.has(key), `${file}: ${key}`);
  }
});

test("a voice sounds angry, and nobody is", () => {
  const words = new Words("en", texts.en);
  assert.equal(words.alert({ emotion: "anger", state: "firing", probability: 0.86, peak: 0.9 }), "sounds angry (0.86)");
  assert.equal(words.alert({ emotion: "anger", state: "resolved", probability: 0.2, peak: 0.9 }), "sounded angry (0.90)");
  const agents = { emotion: "happiness", state: "firing", probability: 0.86, peak: 0.9, track: "agent" };
  assert.equal(words.alert(agents), "agent sounds happy (0.86)");
  for (const text of Object.values(texts.en)) assert.doesNotMatch(text, /\b(is|are|was) (angry|happy|sad)\b/);
  const japanese = new Words("ja", texts.ja);
  assert.equal(japanese.sounds("anger", 0.86), "怒っているように聞こえます（0.86）");
});

test("numbers take their form and unknown keys show themselves", () => {
  const words = new Words("en", texts.en);
  assert.equal(words.say("readings", { n: 1 }), "1 reading");
  assert.equal(words.say("readings", { n: 2 }), "2 readings");
  assert.equal(new Words("ja", texts.ja).say("readings", { n: 1 }), "測定 1 件");
  assert.equal(words.say("nowhere"), "nowhere");
});

test("times are in the viewer's zone", () => {
  const at = Date.parse("2026-11-28T23:30:05Z") / 1000;
  assert.equal(new Words("en", {}, "UTC").time(at), "23:30:05");
  assert.equal(new Words("ja", {}, "Asia/Tokyo").time(at), "8:30:05");
  assert.match(new Words("en", {}, "Asia/Tokyo").dateTime(at), /Nov 29, 2026/);
});

test("the first of the browser's languages that there is, unless one was chosen", () => {
  assert.equal(chooseLanguage(null, ["de-DE", "ja-JP", "en"]), "ja");
  assert.equal(chooseLanguage("en", ["ja"]), "en");
  assert.equal(chooseLanguage("fr", ["fr"]), "en");
});

test("durations and spans of a call", () => {
  assert.deepEqual([0, 59.9, 61, 3661].map(duration), ["0:00", "0:59", "1:01", "1:01:01"]);
  assert.equal(timeRange(12, 15), "12–15 s");
  assert.equal(timeRange(58, 61), "0:58–1:01");
  assert.deepEqual(ranked({ probabilities: { anger: 0.1, neutral: 0.9 } })[0], ["neutral", 0.9]);
});
