// The readings that calls had before the page knew of them: of the rows that come into view as far as the ribbon goes back,
// and of one call all of them.

import { get } from "./api.js";
import { insertReading } from "./state/readings.js";
import { SPAN_S } from "./state/store.js";
import { changed, store } from "./page.js";

const PAGE = 1000; // readings of a call that are fetched at once
const MOST_PAGES = 20; // of a whole call
const MAX_FETCHES = 4; // a browser opens six connections to a host, and the events take one

/** @type {Set<Page.Call>} */
const wanted = new Set();
let fetches = 0;

/** @param {Page.Call} call */
export function wantReadings(call) {
  if (call.complete) return;
  wanted.add(call);
  while (wanted.size && fetches < MAX_FETCHES) {
    const [next] = wanted;
    wanted.delete(next);
    fetchRibbon(next);
  }
}

/** @param {Page.Call} call */
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

/**
 * Returns a call with all its readings and alerts, and whether it has more readings than are fetched.
 *
 * @param {string} callId
 * @returns {Promise<Page.WholeCall>}
 */
export async function wholeCall(callId) {
  let whole = /** @type {Api.CallDetail} */ ({}); // the first page gives it
  let isCut = false;
  await eachPage(callId, "", (detail, isFirst, isLast) => {
    if (isFirst) whole = { ...detail, readings: [] };
    for (const reading of detail.readings) insertReading(whole.readings, reading);
    isCut = isLast && detail.next !== null;
    return true;
  });
  return { ...whole, isCut };
}

/**
 * Gives the pages of a call's readings, the last ones first, to `take` until it returns false.
 *
 * @param {string} callId
 * @param {string} more of the query
 * @param {(page: Api.CallDetail, isFirst: boolean, isLast: boolean) => boolean} take
 */
async function eachPage(callId, more, take) {
  /** @type {string | null} */
  let before = "";
  for (let pages = 1; before !== null; pages++) {
    /** @type {string} */
    const query = `limit=${PAGE}${more}${before && `&before=${encodeURIComponent(before)}`}`;
    /** @type {{ body: Api.CallDetail }} */
    const { body } = await get(`v1/calls/${encodeURIComponent(callId)}?${query}`);
    const goesOn = take(body, !before, pages === MOST_PAGES);
    before = goesOn && pages < MOST_PAGES ? body.next : null;
  }
}
