// What the history asks the service for, from the filters in the address.

/**
 * Returns the queries of the alerts (beginning with & where there is something) and of their counts. Days are the viewer's:
 * `from` at its beginning, `to` at its end.
 *
 * @param {Page.Filters} filters
 * @param {string} zone the viewer's
 * @param {(text: string) => number} parse a time of that zone, without the zone, to epoch milliseconds
 */
export function requestOf({ from, to, queue, emotion, id }, zone, parse = (text) => new Date(text).getTime()) {
  const span = new URLSearchParams();
  const begin = parse(`${from}T00:00:00`) / 1000;
  const end = parse(`${to}T24:00:00`) / 1000;
  if (Number.isFinite(begin)) span.set("from", String(begin));
  if (Number.isFinite(end)) span.set("to", String(end));
  const alerts = new URLSearchParams(span);
  if (queue) alerts.set("queue", queue);
  if (emotion) alerts.set("emotion", emotion);
  if (id) alerts.set("call_id", id);
  const summary = new URLSearchParams(span);
  summary.set("zone", zone);
  return { alerts: alerts.size ? `&${alerts}` : "", summary: String(summary) };
}
