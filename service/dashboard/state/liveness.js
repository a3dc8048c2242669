// Whether what the page shows is true now: only while heartbeats arrive that say that all events do.

const LIMIT_S = 10; // without a heartbeat; a service that beats more often is missed sooner
const RESTART_TOLD_S = 60; // after which calls that were lost with the service have been ended

export class Liveness {
  /**
   * @param {() => number} wall the browser's clock, epoch seconds
   * @param {() => number} monotonic seconds; it stops while the computer sleeps, the other may be set
   */
  constructor(wall = () => Date.now() / 1000, monotonic = () => performance.now() / 1000) {
    this.wall = wall;
    this.monotonic = monotonic;
    this.skew_s = 0; // the service's clock minus the browser's
    /** @type {number | null} */
    this.lostAt = wall(); // browser's clock: what is shown was true then; null while it is true now
    /** @type {Page.Because | null} */
    this.because = null; // why it is not
    /** @type {{ at: number, tick: number } | null} */
    this.confirmed = null; // the last heartbeat with which what is shown was true
    /** @type {number | null} */
    this.restartedAt = null; // service's clock, when the page has seen the service start again
    /** @type {Set<string>} */
    this.unconfirmed = new Set(); // sessions of live calls that no service confirms
    this.waiting_s = 0; // how long the oldest write has waited for Redis
    this.every_s = LIMIT_S;
    /** @type {string | null} */
    this.startId = null;
    this.late = false;
  }

  get isLive() {
    return this.lostAt === null;
  }

  // The service's clock, which stands still while it is not known whether what is shown is true.
  clock() {
    return (this.lostAt ?? this.wall()) + this.skew_s;
  }

  // How long the page believes that what it shows is true, after a heartbeat.
  get limit_s() {
    return Math.min(LIMIT_S, 2 * this.every_s);
  }

  get justRestarted() {
    return this.restartedAt !== null && this.clock() - this.restartedAt < RESTART_TOLD_S;
  }

  /**
   * The Date header counts whole seconds, so a smaller difference is none.
   *
   * @param {number} servedAt epoch seconds
   */
  setClock(servedAt) {
    const ahead_s = servedAt + 0.5 - this.wall();
    this.skew_s = Math.abs(ahead_s) > 2 ? ahead_s : 0;
  }

  /**
   * Takes a heartbeat in; returns whether everything should be fetched again, because another service sent it than the
   * one before, or because it came late.
   *
   * @param {Api.HeartbeatView} beat
   */
  received(beat) {
    const now = this.wall();
    this.every_s = beat.every_s;
    const restarted = this.startId !== null && this.startId !== beat.start_id;
    this.startId = beat.start_id;
    if (restarted) this.restartedAt = beat.started_at;
    this.unconfirmed = new Set(beat.unconfirmed);
    this.waiting_s = beat.oldest_waiting_write_s;
    const delay_s = now + this.skew_s - beat.at;
    const wasLate = this.late;
    this.late = delay_s > LIMIT_S;
    if (beat.redis !== "up") this.lost({ key: "redis_away" });
    else if (this.late) this.lost({ key: "events_late", n: Math.round(delay_s) });
    else {
      this.confirmed = { at: now, tick: this.monotonic() };
      this.lostAt = null;
      this.because = null;
    }
    return restarted || (this.late && !wasLate);
  }

  /**
   * Says from now on that what is shown may not be true any more; it was at the last heartbeat that said so.
   *
   * @param {Page.Because} because
   */
  lost(because) {
    this.lostAt ??= this.confirmed?.at ?? this.wall();
    this.because = because;
  }

  // Checks whether heartbeats have stopped; to be called every second.
  check() {
    if (!this.isLive || !this.confirmed) return;
    const silent_s = Math.max(this.wall() - this.confirmed.at, this.monotonic() - this.confirmed.tick);
    if (silent_s > this.limit_s) this.lost({ key: "silent", n: Math.round(silent_s) });
  }
}
