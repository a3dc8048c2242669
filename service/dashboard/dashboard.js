// Joins the service's snapshot and its events, keeps the last minutes of every call, and draws them.
// Times named *_s are call time (seconds of audio) unless the name says otherwise.

const SPAN_S = 300; // what a ribbon shows
const ENDED_STAYS_S = 120;
const STALE_AFTER_S = 15; // without the service, before the page calls itself stale
const QUIET_S = 30; // without an event, before the snapshot is fetched again
const ANSWER_WITHIN_MS = 10_000;
const MAX_CALLS = 500;
const MAX_ALERTS = 200;
const MAX_READINGS = 600; // of one track; more than SPAN_S holds
const MAX_MARKS = 50; // alerts on one call's ribbons
const MAX_FETCHES = 4; // a browser opens six connections to a host, and the events hold one

const ADJECTIVES = { anger: "angry", happiness: "happy", sadness: "sad", neutral: "neutral" };
const LETTERS = { anger: "A", happiness: "H" };
const STATES = { pending: "○ pending", firing: "● firing", resolved: "✓ resolved" };
const RANKS = { pending: 0, firing: 1, resolved: 2, lapsed: 2 };

const $ = (id) => document.getElementById(id);

// What the page knows.

const calls = new Map(); // call_id -> call
const alerts = new Map(); // alert_id -> alert, the lapsed too, so that a repeated event does not revive one
let joined = false; // a snapshot has been shown
let lostAt = Date.now() / 1000; // browser's clock; null while the service is heard
let lostBecause = "";
let skew_s = 0; // the service's clock minus the browser's
let callsLeftOut = false;

function clock() {
  return (lostAt ?? Date.now() / 1000) + skew_s;
}

function callNow(call) {
  if (call.duration_s !== null) return call.duration_s;
  return Math.max(0, clock() - call.started_at, call.heardTo_s);
}

// Staying joined: a snapshot, then every event after it, and again from the start whenever the events break off.

async function stayJoined() {
  for (let failures = 0; ; ) {
    try {
      const snapshot = await fetchSnapshot();
      show(snapshot);
      await listen(snapshot.cursor, () => {
        failures = 0;
        lostAt = null;
        lostBecause = "";
        draw();
      });
    } catch (error) {
      lostAt ??= Date.now() / 1000;
      lostBecause = error.message;
      draw();
      const wait_ms = Math.min(10_000, 500 * 2 ** failures++);
      await sleep(wait_ms * (0.5 + Math.random() / 2));
    }
  }
}

async function fetchSnapshot() {
  // The cursor comes with the calls, so whatever is read after them may come again but cannot be missed.
  const inCalls = await get("calls");
  const inAlerts = await get(`alerts?limit=${MAX_ALERTS}`);
  return { ...inCalls.body, alerts: inAlerts.body.alerts, servedAt: inCalls.servedAt };
}

async function get(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  if (!response.ok) throw new Error(`/${path.split("?")[0]} answered ${response.status}, expected 200`);
  return { body: await response.json(), servedAt: Date.parse(response.headers.get("Date")) / 1000 };
}

let rejoin = () => {}; // ends listening, for a fresh snapshot

// Resolves when the snapshot should be fetched again, rejects when the events are lost.
function listen(cursor, onOpen) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`events?after=${encodeURIComponent(cursor)}`);
    let timer;
    const end = (settle, value) => {
      clearTimeout(timer);
      source.close();
      settle(value);
    };
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(rejoin, QUIET_S * 1000);
    };
    rejoin = () => end(resolve);
    const on = (name, apply) =>
      source.addEventListener(name, (event) => {
        heard();
        apply(JSON.parse(event.data));
        draw();
      });
    on("call_started", applyCall);
    on("call_ended", applyCall);
    on("reading", (reading) => applyReading(calls.get(reading.call_id), reading));
    on("alert", applyAlert);
    source.addEventListener("resync", () => sleep(500).then(rejoin));
    source.onopen = () => {
      heard();
      onOpen();
    };
    source.onerror = () => end(reject, new Error("the events broke off"));
    heard();
  });
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Applying what came. Everything may come twice.

function show(snapshot) {
  // The Date header counts whole seconds, so a smaller difference is none.
  const ahead_s = snapshot.servedAt + 0.5 - Date.now() / 1000;
  skew_s = Math.abs(ahead_s) > 2 ? ahead_s : 0;
  callsLeftOut = false;
  $("embedded").hidden = !snapshot.embedded;

  const present = new Set(snapshot.calls.map((call) => call.call_id));
  for (const call of calls.values()) if (!present.has(call.call_id)) forgetCall(call);
  for (const fields of snapshot.calls) {
    const call = applyCall(fields);
    call.complete = false;
    call.marks.clear();
    for (const reading of Object.values(fields.last)) applyReading(call, reading);
  }

  const before = new Map(alerts);
  alerts.clear();
  for (const alert of snapshot.alerts) {
    const known = before.get(alert.alert_id);
    applyAlert(alert, joined && known?.state !== "firing");
    before.delete(alert.alert_id);
  }
  joined = true;
  for (const call of calls.values()) if (call.visible) wantReadings(call);
  draw();
}

function applyCall(fields) {
  let call = calls.get(fields.call_id);
  alertsChanged = true; // a card links to its call
  if (call && call.session !== fields.session) {
    forgetCall(call);
    call = undefined;
  }
  if (!call) {
    call = { ...fields, ribbons: new Map(), marks: new Map(), heardTo_s: 0, complete: false, visible: false };
    calls.set(call.call_id, call);
    addRow(call);
    ribbonOf(call, "caller");
  } else if (!(call.state === "ended" && fields.state === "live")) {
    const { state, ended_at, reason, duration_s, metadata } = fields;
    Object.assign(call, { state, ended_at, reason, duration_s, metadata });
  }
  limitCalls();
  toPaint.add(call);
  return call;
}

function forgetCall(call) {
  calls.delete(call.call_id);
  toPaint.delete(call);
  wanted.delete(call);
  removeRow(call);
}

// The ended go first, then the newest without a firing alert; the page says that calls are left out.
function limitCalls() {
  while (calls.size > MAX_CALLS) {
    const all = [...calls.values()].reverse();
    const victim = all.findLast((call) => call.state === "ended") ?? all.find((call) => !firingAlert(call)) ?? all[0];
    callsLeftOut ||= victim.state === "live";
    forgetCall(victim);
  }
}

function applyReading(call, reading) {
  if (!call) return; // of a call that is left out
  const { readings } = ribbonOf(call, reading.track);
  let at = readings.length;
  while (at > 0 && readings[at - 1].number > reading.number) at--;
  if (readings[at - 1]?.number === reading.number) return;
  readings.splice(at, 0, reading);
  call.heardTo_s = Math.max(call.heardTo_s, reading.end_s);
  let old = Math.max(0, readings.length - MAX_READINGS);
  while (readings[old].end_s < call.heardTo_s - SPAN_S) old++;
  readings.splice(0, old);
  toPaint.add(call);
}

function applyAlert(alert, announced = true) {
  const call = calls.get(alert.call_id);
  const known = alerts.get(alert.alert_id) ?? call?.marks.get(alert.alert_id);
  if (known && RANKS[alert.state] < RANKS[known.state]) return;
  if (alert.fired_at_s !== null) alert.since_at = alert.at - (alert.fired_at_s - alert.since_s);
  else alert.since_at = call ? call.started_at + alert.since_s : clock();
  alerts.set(alert.alert_id, alert);
  alertsChanged = true;
  limitAlerts();
  if (call) {
    call.marks.set(alert.alert_id, alert);
    if (call.marks.size > MAX_MARKS) call.marks.delete(call.marks.keys().next().value);
    toPaint.add(call);
  }
  if (announced && alert.state === "firing" && known?.state !== "firing") announce(alert);
}

// The lapsed go first, then the oldest resolved, then the oldest.
function limitAlerts() {
  if (alerts.size <= MAX_ALERTS) return;
  const keep = { lapsed: 0, resolved: 1, pending: 2, firing: 3 };
  const [victim] = [...alerts.values()].sort((a, b) => keep[a.state] - keep[b.state] || a.since_at - b.since_at);
  alerts.delete(victim.alert_id);
}

function firingAlert(call) {
  return [...call.marks.values()].findLast((alert) => alert.state === "firing");
}

// The readings a call had before the page came are fetched when its row comes into view.

const wanted = new Set();
let fetches = 0;

function wantReadings(call) {
  if (call.complete) return;
  wanted.add(call);
  while (wanted.size && fetches < MAX_FETCHES) {
    const [next] = wanted;
    wanted.delete(next);
    fetchReadings(next);
  }
}

async function fetchReadings(call) {
  fetches++;
  call.complete = true;
  try {
    const { body } = await get(`calls/${encodeURIComponent(call.call_id)}`);
    if (calls.get(call.call_id) === call && body.session === call.session) {
      for (const reading of body.readings) applyReading(call, reading);
      for (const alert of body.alerts) applyAlert(alert, false);
    }
  } catch {
    call.complete = false; // asked for again at the next snapshot, or when the row comes back into view
  } finally {
    fetches--;
    for (const next of wanted) wantReadings(next);
    draw();
  }
}

// Drawing, at most once an animation frame.

const toPaint = new Set(); // calls whose row is out of date
let alertsChanged = true;
let drawing = false;

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawHeader();
    drawCalls();
    if (alertsChanged) drawAlerts();
    drawTip();
  });
}

function tick() {
  for (const call of calls.values()) {
    if (call.state === "ended" && lostAt === null && clock() - call.ended_at > ENDED_STAYS_S) forgetCall(call);
    else toPaint.add(call);
  }
  alertsChanged = true; // those not resolved last a second longer
  if (callsLeftOut && calls.size < MAX_CALLS * 0.9) rejoin();
  drawHeader(); // a tab in the background draws no frames, but its title still counts
  draw();
}

function drawHeader() {
  const live = [...calls.values()].filter((call) => call.state === "live").length;
  const firing = [...alerts.values()].filter((alert) => alert.state === "firing").length;
  write($("live-count"), callsLeftOut ? `${live}+` : live);
  write($("live-word"), live === 1 ? "live call" : "live calls");
  write($("firing-count"), firing);
  write($("firing-word"), firing === 1 ? "firing alert" : "firing alerts");
  $("firing").classList.toggle("some", firing > 0);
  const title = firing ? `(${firing}) Kanjo` : "Kanjo";
  if (document.title !== title) document.title = title;

  const [state, words] = connection();
  document.body.dataset.connection = state;
  write($("connection"), words);
}

function connection() {
  if (lostAt === null) return ["live", "Live"];
  const lost_s = Date.now() / 1000 - lostAt;
  if (lost_s < STALE_AFTER_S) return joined ? ["reconnecting", "Reconnecting"] : ["connecting", "Connecting"];
  const what = joined ? `Stale: as of ${wallTime(lostAt)}` : "No answer";
  return ["stale", `${what} (${lostBecause})`];
}

function drawCalls() {
  const group = (call) => (call.state === "ended" ? 2 : firingAlert(call) ? 0 : 1);
  const inOrder = [...calls.values()]
    .map((call) => ({ call, group: group(call) }))
    .sort((a, b) => a.group - b.group || a.call.started_at - b.call.started_at);
  place($("calls"), inOrder.map(({ call }) => call.row));
  $("no-calls").hidden = !joined || calls.size > 0;
  $("axis").hidden = calls.size === 0;
  $("more-calls").hidden = !callsLeftOut;
  write($("more-calls"), `More calls are live than the ${MAX_CALLS} shown.`);
  for (const call of toPaint) paintRow(call);
  toPaint.clear();
}

// Puts the nodes in order and moves only those out of place; a moved node would lose the focus.
function place(list, nodes) {
  const focused = document.activeElement;
  let next = list.firstElementChild;
  for (const node of nodes) {
    if (next && node === next.nextElementSibling) {
      list.append(next); // one moves down instead of all the others up
      next = node;
    }
    if (node === next) next = next.nextElementSibling;
    else list.insertBefore(node, next);
  }
  while (next) {
    const gone = next;
    next = next.nextElementSibling;
    gone.remove();
  }
  if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
}

function write(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

let rows = 0;

function addRow(call) {
  const row = $("call-template").content.firstElementChild.cloneNode(true);
  row.id = `row-${++rows}`; // a call id may hold anything
  call.row = row;
  inRow.set(row, call);
  inView.observe(row);
}

function removeRow(call) {
  inView.unobserve(call.row);
  for (const ribbon of call.ribbons.values()) {
    sizes.unobserve(ribbon.canvas);
    if (tip?.ribbon === ribbon) tip = null;
  }
  call.row.remove();
}

const inRow = new WeakMap(); // row -> call
const inView = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const call = inRow.get(target);
      call.visible = isIntersecting;
      if (isIntersecting) wantReadings(call);
      // A ribbon out of view gives its pixels back.
      else for (const { canvas } of call.ribbons.values()) canvas.width = 0;
      toPaint.add(call);
    }
    draw();
  },
  { rootMargin: "200px" },
);

function paintRow(call) {
  if (!calls.has(call.call_id)) return;
  const { row } = call;
  const part = (name) => row.querySelector(`.${name}`);
  const firing = call.state === "live" ? firingAlert(call) : undefined;
  const about = [call.bridge, ...Object.entries(call.metadata).map(([key, value]) => `${key} ${value}`)].join(" · ");
  row.className = ["call", call.state, firing && `firing ${firing.emotion}`].filter(Boolean).join(" ");
  write(part("id"), call.call_id);
  part("id").title = call.call_id;
  write(part("about"), about);
  part("about").title = about;
  write(part("time"), duration(callNow(call)));
  write(part("sounds"), sounds(call, firing));
  for (const ribbon of call.ribbons.values()) if (call.visible && ribbon.width) paintRibbon(call, ribbon);
}

function sounds(call, firing) {
  if (call.state === "ended") return `ended: ${call.reason}`;
  if (firing) return `▲ ${firing.track === "caller" ? "" : `${firing.track} `}${firing.text}`;
  const last = call.ribbons.get("caller").readings.at(-1);
  if (!last) return "no speech yet";
  const [[emotion, probability]] = ranked(last);
  const words = `${ADJECTIVES[emotion]} (${probability.toFixed(2)})`;
  return callNow(call) - last.end_s > 5 ? `last sounded ${words}` : `sounds ${words}`;
}

function ranked(reading) {
  return Object.entries(reading.probabilities).sort((a, b) => b[1] - a[1]);
}

// A ribbon is one track of one call over the last SPAN_S, now at its right end: anger above the middle line,
// happiness below, neither on it; the alerts run along its edges, anger on top.

function ribbonOf(call, track) {
  let ribbon = call.ribbons.get(track);
  if (ribbon) return ribbon;
  const canvas = document.createElement("canvas");
  canvas.className = "ribbon";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "slider");
  canvas.setAttribute("aria-readonly", "true");
  canvas.setAttribute("aria-label", `How the ${track} on call ${call.call_id} sounds; arrow keys go through it`);
  canvas.setAttribute("aria-valuenow", "0");
  canvas.setAttribute("aria-valuetext", "");
  ribbon = { call, track, canvas, readings: [], width: 0, height: 0 };
  call.ribbons.set(track, ribbon);
  if (track !== "caller") {
    const name = document.createElement("p");
    name.textContent = track;
    call.row.querySelector(".ribbons").append(name);
    write($("who"), "On this service the agent is analysed too, for a recorded purpose.");
  }
  call.row.querySelector(".ribbons").append(canvas);
  onCanvas.set(canvas, ribbon);
  sizes.observe(canvas);
  explain(ribbon);
  return ribbon;
}

const onCanvas = new WeakMap(); // canvas -> ribbon
const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const ribbon = onCanvas.get(target);
    ribbon.width = Math.round(contentRect.width);
    ribbon.height = Math.round(contentRect.height);
    toPaint.add(ribbon.call);
  }
  draw();
});

let palette;

function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const names = ["anger", "happiness", "neither", "silence", "line", "ink"];
  palette = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  palette.onHue = style.getPropertyValue("--on-hue").trim();
  for (const call of calls.values()) toPaint.add(call);
  draw();
}

function hueOf(emotion) {
  return emotion in LETTERS ? emotion : "neither";
}

// Four emotions share a probability of 1, so the likeliest has 0.25 at least.
function shade(probability) {
  return 0.15 + 0.85 * Math.max(0, (probability - 0.25) / 0.75);
}

function paintRibbon(call, ribbon) {
  const { canvas, width, height, readings } = ribbon;
  const scale = devicePixelRatio;
  canvas.width = Math.round(width * scale); // clears it too
  canvas.height = Math.round(height * scale);
  const ctx = canvas.getContext("2d");
  ctx.scale(scale, scale);

  const now_s = callNow(call);
  const x = (at_s) => Math.max(0, Math.round(width - ((now_s - at_s) / SPAN_S) * width));
  const edge = Math.max(4, Math.round(height * 0.13)); // of an alert
  const top = edge + 2;
  const bottom = height - edge - 2;
  const middle = Math.round(height / 2);
  const lanes = {
    anger: [top, middle - top],
    happiness: [middle, bottom - middle],
    neither: [middle - Math.round(height * 0.13), 2 * Math.round(height * 0.13)],
  };

  const began = x(0);
  ctx.fillStyle = palette.silence;
  ctx.fillRect(began, top, width - began, bottom - top);
  ctx.fillStyle = palette.line;
  ctx.fillRect(began, middle, width - began, 1);
  for (let ago_s = 60; ago_s < SPAN_S && ago_s < now_s; ago_s += 60) ctx.fillRect(x(now_s - ago_s), top, 1, bottom - top);
  ctx.strokeStyle = palette.line;
  ctx.strokeRect(began + 0.5, top - 0.5, width - began - 1, bottom - top + 1);

  let run = null; // neighbouring readings of one hue
  const letter = () => {
    if (!run || !(run.hue in LETTERS) || run.to - run.from < 14) return;
    const [y, lane] = lanes[run.hue];
    ctx.font = `700 ${Math.round(lane * 0.8)}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "center";
    ctx.fillStyle = run.shade > 0.7 ? palette.onHue : palette.ink;
    ctx.fillText(LETTERS[run.hue], (run.from + run.to) / 2, y + lane / 2 + 0.5);
  };
  for (const reading of readings) {
    const [[emotion, probability]] = ranked(reading);
    const hue = hueOf(emotion);
    const [y, lane] = lanes[hue];
    const from = x(reading.end_s - reading.heard_s);
    const to = Math.max(from + 1, x(reading.end_s));
    if (to <= 1) continue;
    ctx.fillStyle = palette[hue];
    ctx.globalAlpha = shade(probability);
    ctx.fillRect(from, y, to - from, lane);
    ctx.globalAlpha = 1;
    // The outer edge in full, so that an improbable reading still shows on which side it lies.
    if (hue !== "neither") ctx.fillRect(from, hue === "anger" ? y : y + lane - 2, to - from, 2);
    if (run?.hue === hue && from - run.to <= 1) run.to = to;
    else {
      letter();
      run = { hue, from, to, shade: 1 };
    }
    run.shade = Math.min(run.shade, shade(probability));
  }
  letter();

  for (const alert of call.marks.values()) {
    if (alert.state === "lapsed" || alert.track !== ribbon.track) continue;
    const y = alert.emotion === "anger" ? 0 : height - edge;
    const from = x(alert.since_s);
    const fired = alert.fired_at_s === null ? null : x(alert.fired_at_s);
    const to = Math.max(from + 6, x(alert.resolved_at_s ?? now_s));
    if (to <= 6) continue;
    ctx.strokeStyle = ctx.fillStyle = palette[alert.emotion];
    ctx.lineWidth = 1.5;
    ctx.strokeRect(from + 0.75, y + 0.75, to - from - 1.5, edge - 1.5);
    if (fired !== null) ctx.fillRect(fired, y, Math.max(to - fired, 3), edge);
    ctx.lineWidth = 1;
  }

  const chosen = tip?.ribbon === ribbon ? tipReading() : null;
  if (chosen) {
    const from = x(chosen.end_s - chosen.heard_s);
    ctx.strokeStyle = palette.ink;
    ctx.lineWidth = 2;
    ctx.strokeRect(from, top, Math.max(3, x(chosen.end_s) - from), bottom - top);
  }
}

// The tip says in words what the ribbon says at one place: under the pointer, or at the reading the keys chose.

let tip = null; // { ribbon, x } or { ribbon, number }

function explain(ribbon) {
  const { canvas, readings } = ribbon;
  const show = (place) => {
    const before = tip?.ribbon;
    tip = place && { ribbon, ...place };
    if (before) toPaint.add(before.call);
    toPaint.add(ribbon.call);
    draw();
  };
  const hide = () => tip?.ribbon === ribbon && show(null);
  const point = (event) => show({ x: event.offsetX });
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", hide);
  canvas.addEventListener("blur", hide);
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) show({ number: readings.at(-1)?.number });
  });
  canvas.addEventListener("keydown", (event) => {
    const at = readings.findIndex((reading) => reading.number === tip?.number);
    const from = at < 0 ? readings.length : at;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: readings.length - 1 }[event.key];
    if (event.key === "Escape") show(null);
    if (to === undefined) return;
    event.preventDefault();
    show({ number: readings[Math.min(Math.max(to, 0), readings.length - 1)]?.number });
  });
}

function tipTime() {
  const { ribbon, x } = tip;
  return callNow(ribbon.call) - (1 - x / ribbon.width) * SPAN_S;
}

function tipReading() {
  const { readings } = tip.ribbon;
  if (!("x" in tip)) return readings.find((reading) => reading.number === tip.number);
  const at_s = tipTime();
  return readings.find((reading) => reading.end_s - reading.heard_s <= at_s && at_s <= reading.end_s);
}

function drawTip() {
  const node = $("tip");
  const words = tip && tipWords();
  node.hidden = !words;
  if (!words) return;
  write(node, words);
  const { canvas } = tip.ribbon;
  const box = canvas.getBoundingClientRect();
  const reading = tipReading();
  const ago_s = reading ? callNow(tip.ribbon.call) - reading.end_s : 0;
  const center = box.left + (tip.x ?? box.width * (1 - ago_s / SPAN_S));
  const left = Math.min(Math.max(center - node.offsetWidth / 2, 4), innerWidth - node.offsetWidth - 4);
  const above = box.top - node.offsetHeight - 4;
  node.style.transform = `translate(${left}px, ${above < 0 ? box.bottom + 4 : above}px)`;
  canvas.setAttribute("aria-valuemax", Math.round(callNow(tip.ribbon.call)));
  canvas.setAttribute("aria-valuenow", Math.round(reading?.end_s ?? 0));
  canvas.setAttribute("aria-valuetext", words);
}

function tipWords() {
  const reading = tipReading();
  if (reading) {
    const [first, ...others] = ranked(reading).map(([emotion, p]) => `${ADJECTIVES[emotion]} ${p.toFixed(2)}`);
    return `${stretch(reading.end_s - reading.heard_s, reading.end_s)}: sounds ${first}, ${others.join(", ")}`;
  }
  if (!("x" in tip)) return "no speech yet";
  const at_s = tipTime();
  return at_s < 0 ? null : `${at_s < 60 ? `${Math.round(at_s)} s` : duration(at_s)}: silence`;
}

// The alerts, newest first.

const cards = new Map(); // alert_id -> its node

function drawAlerts() {
  alertsChanged = false;
  const shown = [...alerts.values()].filter((alert) => alert.state !== "lapsed").sort((a, b) => b.since_at - a.since_at);
  for (const id of cards.keys()) if (!alerts.has(id)) cards.delete(id);
  place($("alerts"), shown.map(card));
  $("no-alerts").hidden = !joined || shown.length > 0;
}

function card(alert) {
  let node = cards.get(alert.alert_id);
  if (!node) {
    node = $("alert-template").content.firstElementChild.cloneNode(true);
    cards.set(alert.alert_id, node);
  }
  const part = (name) => node.querySelector(name);
  const call = calls.get(alert.call_id);
  const until_s = alert.resolved_at_s ?? (call ? callNow(call) : alert.since_s + clock() - alert.since_at);
  node.className = `alert ${alert.emotion} ${alert.state}`;
  write(part(".letter"), LETTERS[alert.emotion]);
  write(part(".says"), alert.track === "caller" ? alert.text : `${alert.track} ${alert.text}`);
  write(part(".state"), STATES[alert.state]);
  write(part("a"), alert.call_id);
  if (call) part("a").href = `#${call.row.id}`;
  else part("a").removeAttribute("href");
  const since = `since ${duration(alert.since_s)} of the call, ${wallTime(alert.since_at)}`;
  write(part(".when"), `${since}\nfor ${duration(until_s - alert.since_s)}, peak ${alert.peak.toFixed(2)}`);
  return node;
}

function announce(alert) {
  const words = document.createElement("p");
  words.textContent = `The ${alert.track} on call ${alert.call_id} ${alert.text}`;
  $("announcements").append(words);
  while ($("announcements").childElementCount > 5) $("announcements").firstElementChild.remove();
}

// Words for times.

function duration(for_s) {
  const whole = Math.max(0, Math.floor(for_s));
  const two = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function stretch(from_s, to_s) {
  const [from, to] = [Math.round(from_s), Math.round(to_s)];
  if (to >= 60) return from === to ? duration(to) : `${duration(from)}–${duration(to)}`;
  return from === to ? `${to} s` : `${from}–${to} s`;
}

const clockFace = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

function wallTime(epoch_s) {
  return clockFace.format(epoch_s * 1000);
}

readPalette();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readPalette);
addEventListener("scroll", () => tip && ((tip = null), draw()), { passive: true });
setInterval(tick, 1000);
stayJoined();
