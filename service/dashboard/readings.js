// The readings that calls had before the page knew of them: of the rows that come into view as far as the ribbon goes back,
// and of one call all of them.

import { get } from "./api.js";
import { SPAN_S, insertReading } from "./state/store.js";
import { changed, store } from "./page.js";

const PAGE = 1000; // readings of a call that are fetched at once
const MOST_PAGES = 20; // of a whole call
const MAX_FETCHES = 4; // a browser opens six connections to a host, and the events take one

const wanted = new Set();
let fetches = 0;

export function wantReadings(call) {
  if (call.complete) return;
  wanted.add(call);
  while (wanted.size && fetches < MAX_FETCHES) {
    const [next] = wanted;
    wanted.delete(next);
    fetchRibbon(next);
  }
}

async function fetchRibbon(call) {
  fetches++;
  call.complete = true;
  try {
    await eachPage(call.call_id, "&recent=true", (detail, isFirst) => {
      if (store.calls.get(call.call_id) !== call || detail.session !== call.session) return false;
      for (const reading of detail.readings) store.applyReading(reading);
      if (isFirst) for (const alert of detail.alerts) store.applyAlert(alert, false);
      return !detail.readings.some((reading) => reading.end_s < call.analysedTo_s - SPAN_S);
    });
  } catch {
    call.complete = false; // asked for again at the next snapshot, or when the row comes back into view
  } finally {
    fetches--;
    for (const next of wanted) wantReadings(next);
    changed();
  }
}

// Returns a call with all its readings and alerts, and whether it has more readings than are fetched.
export async function wholeCall(callId) {
  let whole;
  let isCut = false;
  await eachPage(callId, "", (detail, isFirst, isLast) => {
    if (isFirst) whole = { ...detail, readings: [] };
    for (const reading of detail.readings) insertReading(whole.readings, reading);
    isCut = isLast && detail.next !== null;
    return true;
  });
  return { ...whole, isCut };
}

// Gives the pages of a call's readings, the last ones first, to `take` until it returns false.
async function eachPage(callId, more, take) {
  const path = `v1/calls/${encodeURIComponent(callId)}?limit=${PAGE}${more}`;
  for (let pages = 1, before = ""; before !== null; pages++) {
    const { body } = await get(before ? `${path}&before=${encodeURIComponent(before)}` : path);
    const goesOn = take(body, !before, pages === MOST_PAGES);
    before = goesOn && pages < MOST_PAGES ? body.next : null;
  }
}
