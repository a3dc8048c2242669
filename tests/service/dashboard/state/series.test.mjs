// What the charts and tables are made of.

import assert from "node:assert/strict";
import { test } from "node:test";

import { columnsOf, evidence, heard_s, summed, zoomed } from "../../../../service/dashboard/state/series.js";
import { ANGRY, NEUTRAL, alert, reading } from "./objects.mjs";

test("a reading is a step over what it heard, and silence is a gap", () => {
  const readings = [reading("a", 1, 2, ANGRY, { heard_s: 2 }), reading("a", 2, 5), reading("a", 3, 6, NEUTRAL, { track: "agent" })];
  const [times, anger] = columnsOf(readings, "caller");
  assert.deepEqual(times, [0, 2, 2, 4, 5]);
  assert.deepEqual(anger, [0.83, 0.83, null, 0.06, 0.06]);
  assert.equal(heard_s(readings, "caller"), 3);
});

test("zooming keeps the middle and stays within the call", () => {
  assert.deepEqual(zoomed([0, 100], 0.5, 100), [25, 75]);
  assert.deepEqual(zoomed([0, 20], 2, 100), [0, 40]);
  assert.deepEqual(zoomed([80, 100], 2, 100), [60, 100]);
  assert.deepEqual(zoomed([0, 100], 2, 100), [0, 100]);
  assert.deepEqual(zoomed([48, 53], 0.5, 100), [48, 53], "five seconds are the least");
});

test("the readings by which an alert rose", () => {
  const readings = [5, 11, 13, 20].map((end_s, at) => reading("a", at + 1, end_s));
  assert.deepEqual(evidence(readings, alert("a", "firing")).map((one) => one.end_s), [11, 13]);
});

test("counts of a queue and of a day, without those that were not asked for", () => {
  const count = { fired: 2, taken: 1, muted: 0, dismissed: { other: 1 }, emotion: "anger" };
  const counts = [
    { ...count, day: "2026-11-27", queue: "billing" },
    { ...count, day: "2026-11-28", queue: "billing", dismissed: {} },
    { ...count, day: "2026-11-28", queue: null, emotion: "happiness" },
  ];
  assert.deepEqual(summed(counts, "queue").map((sum) => [sum.name, sum.fired, sum.dismissed]), [["", 2, 1], ["billing", 4, 1]]);
  assert.deepEqual(summed(counts, "day", "anger").map((sum) => [sum.name, sum.fired]), [["2026-11-27", 2], ["2026-11-28", 2]]);
});
