// When the page may say "Live", and since when it does not know.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Liveness } from "../../../../service/dashboard/state/liveness.js";
import { beat, clocked } from "./objects.mjs";

test("nothing is live before the first heartbeat", () => {
  const liveness = new Liveness(() => 1000, () => 0);
  assert.equal(liveness.isLive, false);
  liveness.received(beat(1000));
  assert.equal(liveness.isLive, true);
});

test("ten silent seconds are told with the time of the last heartbeat, by either clock", () => {
  for (const stopped of ["wall", "monotonic"]) {
    const clock = { wall: 1000, monotonic: 50 };
    const liveness = new Liveness(() => clock.wall, () => clock.monotonic);
    liveness.received(beat(1000));
    for (const name of ["wall", "monotonic"]) if (name !== stopped) clock[name] += 9.9;
    liveness.check();
    assert.ok(liveness.isLive);
    for (const name of ["wall", "monotonic"]) if (name !== stopped) clock[name] += 0.3;
    liveness.check();
    assert.deepEqual([liveness.lostAt, liveness.because], [1000, { key: "silent", n: 10 }]);
  }
});

test("Redis away is told, the clock stands still, and the next good heartbeat ends it", () => {
  const { clock, liveness } = clocked();
  clock.at = 1005;
  liveness.received(beat(1005, { redis: "away" }));
  clock.at = 1009;
  assert.equal(liveness.clock(), 1000);
  assert.equal(liveness.because.key, "redis_away");
  liveness.received(beat(1009));
  assert.ok(liveness.isLive);
  assert.equal(liveness.clock(), 1009);
});

test("a late heartbeat is told, and asks once for a fresh snapshot", () => {
  const { clock, liveness } = clocked();
  clock.at = 1020;
  assert.equal(liveness.received(beat(1005)), true);
  assert.deepEqual(liveness.because, { key: "events_late", n: 15 });
  assert.equal(liveness.received(beat(1006)), false);
});

test("another start of the service asks for a fresh snapshot and is told for a minute", () => {
  const { clock, liveness } = clocked();
  assert.equal(liveness.received(beat(1000, { start_id: "second", started_at: 998 })), true);
  assert.ok(liveness.justRestarted);
  clock.at = 1060;
  assert.equal(liveness.justRestarted, false);
});

test("ages follow the service's clock, but a rounding of its header is no difference", () => {
  const { liveness } = clocked();
  liveness.setClock(998.9);
  assert.equal(liveness.clock(), 1000);
  liveness.setClock(4600);
  assert.equal(liveness.clock(), 4600.5);
});
