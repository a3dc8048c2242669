// The JSON that the service sends and takes. Made of /openapi.json and /asyncapi.json, not written:
// `python -m tests.service.dashboard.api_types` makes it anew.

declare namespace Api {
  /** The alerts of one emotion that fired on one day in one queue. */
  interface AlertCounts {
    day: string;
    queue: string | null;
    emotion: Emotion;
    fired: number;
    taken: number;
    muted: number;
    dismissed: Record<string, number>;
    false_alarm_share: number;
  }

  /** Alerts that fired, newest first; `next` is the `before` of the page that follows. */
  interface AlertPage {
    alerts: AlertView[];
    next: string | null;
  }

  /** Why an action on an alert was not done, and the alert as it is. */
  interface AlertProblem {
    type: string;
    title: string;
    status: number;
    detail: string;
    got: string | null;
    expected: string | null;
    reason: Reason | "id_in_use";
    by: string | null;
    at: number | null;
    alert: AlertView;
  }

  /** The state of an alert; `lapsed` is the end of one that was pending and never fired. */
  type AlertState = "pending" | "firing" | "resolved" | "lapsed";

  /** Counts of alerts by day, queue and emotion, in this order. */
  interface AlertSummary {
    counts: AlertCounts[];
  }

  /** The present state of one alert: what the voice did, and what people did. */
  interface AlertView {
    alert_id: string;
    version: number;
    session: string | null;
    call_id: string;
    queue: string | null;
    track: Track;
    emotion: Emotion;
    state: AlertState;
    since_s: number;
    fired_at_s: number | null;
    resolved_at_s: number | null;
    at: number | null;
    peak: number;
    probability: number;
    fire_at: number | null;
    taken: TakenView | null;
    note: NoteView | null;
    dismissed: DismissedView | null;
    muted_until: number | null;
    text: string;
  }

  /** One entry of the audit stream: who did what, when, and to which session or alert. */
  interface AuditEntry {
    id: string;
    at: number;
    name: string;
    action: string;
    session: string | null;
    alert_id: string | null;
    detail: string | null;
  }

  /** Entries, newest first; `next` is the `before` of the page that follows. */
  interface AuditPage {
    entries: AuditEntry[];
    next: string | null;
  }

  interface Body_decide_v1_calls__call_id__consent_put {
    consent: "given" | "refused";
  }

  /** One call with its latest readings, or those before them, and its alerts. */
  interface CallDetail {
    call_id: string;
    session: string;
    bridge: string;
    tracks: Track[];
    metadata: Record<string, string>;
    facts: CallFacts;
    consent: Consent;
    state: "live" | "ended";
    started_at: number;
    ended_at: number | null;
    reason: string | null;
    duration_s: number | null;
    last: Record<string, ReadingView>;
    readings: ReadingView[];
    next: string | null;
    alerts: AlertView[];
  }

  /** A session of which nothing is kept any more. */
  interface CallErased {
    session: string;
  }

  /** What is known of a call, in the same names for every provider; None: not known. */
  interface CallFacts {
    caller_number: string | null;
    called_number: string | null;
    queue: string | null;
    agent: string | null;
    language: string | null;
    call_url: string | null;
  }

  /** One call, with the last reading of each track. */
  interface CallView {
    call_id: string;
    session: string;
    bridge: string;
    tracks: Track[];
    metadata: Record<string, string>;
    facts: CallFacts;
    consent: Consent;
    state: "live" | "ended";
    started_at: number;
    ended_at: number | null;
    reason: string | null;
    duration_s: number | null;
    last: Record<string, ReadingView>;
  }

  /** A page of calls, and the event from which `GET /v1/events?after={cursor}` continues. */
  interface CallsAsOf {
    calls: CallView[];
    next: string | null;
    cursor: string;
    embedded: boolean;
  }

  /** Whether the caller agreed to be analysed. */
  type Consent = "unknown" | "given" | "refused";

  /** Something that is wrong although calls are taken. */
  interface Degraded {
    what: string;
    since: number;
  }

  /** The body of a request to dismiss an alert. */
  interface Dismiss {
    id: string;
    why: Why;
  }

  /** Who dismissed an alert, and why. */
  interface DismissedView {
    why: Why;
    by: string;
    at: number;
  }

  /** How a voice sounds. */
  type Emotion = "anger" | "happiness" | "sadness" | "neutral";

  /** The body of a request to hand an alert over. */
  interface HandOver {
    id: string;
    to: string;
  }

  /** That a service lives, and how complete its view of the calls is. */
  interface HeartbeatView {
    at: number;
    every_s: number;
    start_id: string;
    started_at: number;
    redis: "up" | "away";
    oldest_waiting_write_s: number;
    live_calls: number;
    unconfirmed: string[];
  }

  /** What was wrong with the latest attempt that failed. */
  interface LastError {
    problem: string;
    at: number;
  }

  /** The body of a request to mute alerts: those that match all of what it names. */
  interface Mute {
    id: string;
    until: number;
    session?: string | null;
    queue?: string | null;
    emotion?: Emotion | null;
  }

  /** Alerts that are recorded but no alarms until a time: those that match all that is named. */
  interface MuteView {
    mute_id: string;
    session: string | null;
    queue: string | null;
    emotion: Emotion | null;
    until: number;
    by: string;
    at: number;
  }

  /** All mutes that have not ended, the first to end first. */
  interface MutesView {
    mutes: MuteView[];
  }

  /** The body of a request to note something about an alert. */
  interface Note {
    id: string;
    text: string;
  }

  /** The last note about an alert. */
  interface NoteView {
    text: string;
    by: string;
    at: number;
  }

  /** The writes that Redis has not received or can never apply; never their content. */
  interface OutboxState {
    pending_writes: number;
    oldest_pending_s: number;
    problems: Problem[];
    dead_letters: service__store__outbox__DeadLetter[];
  }

  /** Something that is wrong although calls are taken; never holds data of a call. */
  interface Problem {
    what: string;
    since: number;
  }

  /** The body of every error, as RFC 9457 has it. */
  interface ProblemDetails {
    type: string;
    title: string;
    status: number;
    detail: string;
    got: string | null;
    expected: string | null;
  }

  /** Whether a new call would be taken, and what is wrong: what viewers are told. */
  interface Readiness {
    ready: boolean;
    model_warm: boolean;
    not_stopping: boolean;
    room_for_calls: boolean;
    writes_kept: boolean;
    degraded: Degraded[];
  }

  /** How one window sounds. */
  interface ReadingView {
    call_id: string;
    number: number;
    track: Track;
    start_s: number;
    end_s: number;
    heard_s: number;
    probabilities: Record<string, number>;
    at: number;
  }

  /** Whether a new call would be taken and what it brings kept: what strangers are told. */
  interface Ready {
    ready: boolean;
  }

  /** The rule by which `decide` refuses an action. */
  type Reason = "taken" | "not_taken" | "dismissed" | "not_fired" | "to_oneself" | "not_the_last" | "not_ones_own" | "too_late";

  /** How one receiver fares; never its address or secret. */
  interface ReceiverState {
    name: string;
    preset: string;
    host: string;
    state: "at work" | "waiting" | "stopped";
    waiting: number;
    oldest_waiting_at: number | null;
    delivered: number;
    last_error: LastError | null;
  }

  type Resync = Record<string, unknown>;

  /** A role, and what it includes. */
  type Role = "metrics" | "viewer" | "operator" | "admin" | "bridge";

  /** Who is asking; without a role the page shows its login. */
  interface Session {
    name: string;
    role: Role | null;
    can_log_out: boolean;
    single_sign_on: boolean;
  }

  /** The body of a request to take an alert, or to take it over. */
  interface Take {
    id: string;
  }

  /** Who has taken an alert, since when, and who handed it over to them. */
  interface TakenView {
    by: string;
    at: number;
    handed_over_by: string | null;
  }

  /** Whose voice a track is. The agent's is analysed only if a purpose for it is recorded. */
  type Track = "caller" | "agent";

  /** The body of a request to undo an action. */
  interface Undo {
    id: string;
    undoes: string;
  }

  /** The receivers and what was given up; never addresses, secrets or what was sent. */
  interface WebhooksState {
    receivers: ReceiverState[];
    file_problem: string | null;
    disk_problem: string | null;
    dead_letters: service__webhooks__delivery__DeadLetter[];
  }

  /** The reason that a person gives for dismissing an alert. */
  type Why = "not_angry" | "not_the_caller" | "other";

  /** An entry that can never be applied, without its body. */
  interface service__store__outbox__DeadLetter {
    id: number;
    kind: string;
    problem: string;
    at: number;
  }

  /** A delivery that was given up, without its content. */
  interface service__webhooks__delivery__DeadLetter {
    id: number;
    receiver: string;
    message: string;
    state: string;
    problem: string;
    attempts: number;
    at: number;
    dead_at: number;
  }

  interface Events {
    call_started: CallView;
    reading: ReadingView;
    alert: AlertView;
    mutes: MutesView;
    call_ended: CallView;
    call_erased: CallErased;
    heartbeat: HeartbeatView;
    resync: Resync;
  }

  type Route =
    | { method: "GET"; path: `session`; body: undefined; answer: Session }
    | { method: "GET"; path: `v1/calls` | `v1/calls?${string}`; body: undefined; answer: CallsAsOf }
    | { method: "GET"; path: `v1/calls/${string}` | `v1/calls/${string}?${string}`; body: undefined; answer: CallDetail }
    | { method: "DELETE"; path: `v1/calls/${string}`; body: undefined; answer: null }
    | { method: "GET"; path: `v1/alerts` | `v1/alerts?${string}`; body: undefined; answer: AlertPage }
    | { method: "POST"; path: `v1/alerts/${string}/take`; body: Take; answer: AlertView }
    | { method: "POST"; path: `v1/alerts/${string}/take-over`; body: Take; answer: AlertView }
    | { method: "POST"; path: `v1/alerts/${string}/hand-over`; body: HandOver; answer: AlertView }
    | { method: "POST"; path: `v1/alerts/${string}/note`; body: Note; answer: AlertView }
    | { method: "POST"; path: `v1/alerts/${string}/dismiss`; body: Dismiss; answer: AlertView }
    | { method: "POST"; path: `v1/alerts/${string}/undo`; body: Undo; answer: AlertView }
    | { method: "GET"; path: `v1/alerts/summary` | `v1/alerts/summary?${string}`; body: undefined; answer: AlertSummary }
    | { method: "GET"; path: `v1/mutes`; body: undefined; answer: MutesView }
    | { method: "POST"; path: `v1/mutes`; body: Mute; answer: MutesView }
    | { method: "DELETE"; path: `v1/mutes/${string}`; body: undefined; answer: MutesView }
    | { method: "GET"; path: `healthz`; body: undefined; answer: Record<string, unknown> }
    | { method: "GET"; path: `readyz`; body: undefined; answer: Readiness | Ready }
    | { method: "GET"; path: `v1/outbox`; body: undefined; answer: OutboxState }
    | { method: "GET"; path: `v1/audit` | `v1/audit?${string}`; body: undefined; answer: AuditPage }
    | { method: "PUT"; path: `v1/calls/${string}/consent`; body: Body_decide_v1_calls__call_id__consent_put; answer: null }
    | { method: "GET"; path: `v1/webhooks`; body: undefined; answer: WebhooksState };

  type Method = Route["method"];

  /** The paths that a method knows. */
  type Path<M extends Method> = Extract<Route, { method: M }>["path"];

  type RouteOf<M extends Method, P extends string, R extends Route = Route> =
    R extends { method: M; path: infer Known } ? (P extends Known ? R : never) : never;

  /** What a request is answered, and what it has to send. */
  type Answer<M extends Method, P extends string> = RouteOf<M, P>["answer"];
  type Body<M extends Method, P extends string> = RouteOf<M, P>["body"];
}
