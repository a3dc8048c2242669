// The readings of one track of a call, in the order of their numbers.

/**
 * @param {Page.Call} call
 * @param {string} track
 */
export function readingsOf(call, track) {
  const readings = call.tracks.get(track) ?? [];
  call.tracks.set(track, readings);
  return readings;
}

/**
 * Puts a reading in its place by number; returns false if it is there already.
 *
 * @param {Api.ReadingView[]} readings
 * @param {Api.ReadingView} reading
 */
export function insertReading(readings, reading) {
  let at = readings.length;
  while (at > 0 && readings[at - 1].number > reading.number) at--;
  if (readings[at - 1]?.number === reading.number) return false;
  readings.splice(at, 0, reading);
  return true;
}
