// The view and its filters in the address, and what the history asks for.

import assert from "node:assert/strict";
import { test } from "node:test";

import { formatAddress, inOrder, matches, parseAddress } from "../../../../service/dashboard/state/address.js";
import { requestOf } from "../../../../service/dashboard/state/history.js";
import { alert, call, clocked } from "./objects.mjs";

test("an address is read as it was written, whatever an id holds", () => {
  for (const id of ["CA-1", "a/b?c#d", "日本 100%", "<b>"]) {
    assert.deepEqual(parseAddress(formatAddress("call", { id })), { view: "call", id, filters: {} });
  }
  const filters = { queue: "billing & sales", emotion: "anger" };
  assert.deepEqual(parseAddress(formatAddress("calls", { filters })), { view: "calls", id: "", filters });
  assert.deepEqual(parseAddress("#/call/100%"), { view: "call", id: "100%", filters: {} });
});

test("an address that says nothing known is the first view", () => {
  for (const hash of ["", "#", "#/", "#/nowhere", "#/call/", "#login=abc"]) assert.equal(parseAddress(hash).view, "needs");
  assert.deepEqual(parseAddress("#/calls?agent=Ann&queue=").filters, {});
});

test("filters leave the calls that match all of them", () => {
  const { store } = clocked();
  store.applyCall(call("a", { facts: { queue: "billing" } }));
  store.applyCall(call("b", { facts: { queue: "billing" }, state: "ended" }));
  store.applyCall(call("c"));
  store.applyAlert(alert("a", "firing"));
  const found = (filters) => [...store.calls.values()].filter((one) => matches(store, one, filters)).map((one) => one.call_id);
  assert.deepEqual(found({}), ["a", "b", "c"]);
  assert.deepEqual(found({ queue: "billing" }), ["a", "b"]);
  assert.deepEqual(found({ queue: "billing", state: "ended" }), ["b"]);
  assert.deepEqual(found({ emotion: "anger" }), ["a"]);
  assert.deepEqual(found({ emotion: "happiness" }), []);
  assert.deepEqual(found({ state: "firing" }), ["a"]);
});

test("calls stand by their start whatever they sound like, the ended last", () => {
  const calls = [call("c", { started_at: 3 }), call("a", { started_at: 1, state: "ended" }), call("b", { started_at: 2 })];
  assert.deepEqual(inOrder(calls).map((one) => one.call_id), ["b", "c", "a"]);
});

test("the history asks for whole days of the viewer", () => {
  const utc = (text) => Date.parse(text.endsWith("T24:00:00") ? `${text.slice(0, 10)}T23:59:59.999Z` : `${text}Z`);
  const asked = requestOf({ from: "2026-11-27", to: "2026-11-27", queue: "a&b", id: "CA-1" }, "Asia/Tokyo", utc);
  const alerts = new URLSearchParams(asked.alerts);
  assert.equal(alerts.get("from"), "1795737600");
  assert.ok(Number(alerts.get("to")) - Number(alerts.get("from")) > 86_399);
  assert.deepEqual([alerts.get("queue"), alerts.get("call_id")], ["a&b", "CA-1"]);
  assert.equal(new URLSearchParams(asked.summary).get("zone"), "Asia/Tokyo");
  assert.deepEqual(requestOf({}, "UTC"), { alerts: "", summary: "zone=UTC" });
});
