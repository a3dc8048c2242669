// Connects state, feed and views, and draws at most once an animation frame.

import { announce, drawAlerts } from "./alerts.js";
import { addRow, drawCalls, removeRow, wantVisibleReadings } from "./calls.js";
import { follow, rejoin } from "./feed.js";
import { askForLogin, logInByLink, offerLogout } from "./login.js";
import { checkLiveness } from "./liveness.js";
import { $, write } from "./page.js";
import { followProblems } from "./problems.js";
import { readPalette } from "./ribbon.js";
import { MAX_CALLS, alerts, calls, clock, isAlarm, on, state, tick } from "./state.js";
import { drawTip, hideTip } from "./tip.js";
import { wallTime } from "./words.js";

const RESTART_TOLD_S = 60; // after which calls that were lost with the service have been ended

let drawing = false;

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawHeader();
    drawCalls();
    drawAlerts();
    drawTip();
  });
}

function drawHeader() {
  const live = [...calls.values()].filter((call) => call.state === "live").length;
  const firing = [...alerts.values()].filter(isAlarm).length;
  write($("live-count"), state.callsLeftOut ? `${live}+` : live);
  write($("live-word"), live === 1 ? "live call" : "live calls");
  write($("firing-count"), firing);
  write($("firing-word"), firing === 1 ? "firing alert" : "firing alerts");
  $("firing").classList.toggle("some", firing > 0);
  $("embedded").hidden = !state.embedded;
  const title = firing ? `(${firing}) Kanjo` : "Kanjo";
  if (document.title !== title) document.title = title;

  const restarted = state.restartedAt !== null && clock() - state.restartedAt < RESTART_TOLD_S;
  $("restarted").hidden = !restarted;
  if (restarted) write($("restarted"), `The service started again at ${wallTime(state.restartedAt)}. Calls that it does not confirm are dimmed.`);

  const [connection, words] = connectionState();
  document.body.dataset.connection = connection;
  write($("connection"), words);
}

function connectionState() {
  if (!$("login").hidden) return ["connecting", "Not logged in"];
  if (state.lostAt === null) return ["live", "Live"];
  if (!state.confirmed && !state.lostBecause) return ["connecting", "Connecting"];
  const what = state.confirmed ? `As of ${wallTime(state.lostAt)}` : "No answer";
  return ["stale", `${what}: ${state.lostBecause}`];
}

Object.assign(on, { changed: draw, snapshotApplied: wantVisibleReadings, callAdded: addRow, callRemoved: removeRow, alertFired: announce, loginNeeded: askForLogin });
readPalette();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", readPalette);
addEventListener("scroll", hideTip, { passive: true });
setInterval(() => {
  checkLiveness();
  tick();
  if (state.callsLeftOut && calls.size < MAX_CALLS * 0.9) rejoin();
  drawHeader(); // a tab in the background draws no frames, but its title still counts
  draw();
}, 1000);
document.addEventListener("visibilitychange", () => {
  checkLiveness(); // the timers of a hidden page may have slept
  draw();
});
await logInByLink();
offerLogout();
follow();
followProblems();
