// What the page itself makes of what the service sends, and what browsers have that TypeScript 4.8 does not know.

declare namespace Page {
  /** A key of the page's words, and the values that its text has. */
  interface Because {
    key: string;
    [value: string]: unknown;
  }

  interface Alert extends Api.AlertView {
    since_at: number; // where its episode began, epoch seconds of the service
  }

  interface Call extends Omit<Api.CallView, "tracks"> {
    tracks: Map<string, Api.ReadingView[]>; // by track, in their order, as far back as a ribbon shows
    alerts: Map<string, Alert>; // by alert id
    analysedTo_s: number; // call time
    complete: boolean; // whether its earlier readings were fetched or are being fetched
  }

  /** A call with all its readings. */
  interface WholeCall extends Omit<Api.CallDetail, "alerts"> {
    alerts: (Api.AlertView & { since_at?: number })[];
    isCut: boolean; // it has more readings than are fetched
  }

  interface Snapshot extends Api.CallsAsOf {
    alerts: Api.AlertView[];
    mutes: Api.MuteView[];
    servedAt: number; // epoch seconds of the service
  }

  interface Filters {
    [name: string]: string | undefined;
    queue?: string;
    emotion?: string;
    state?: string;
    from?: string;
    to?: string;
    id?: string;
  }

  interface Address {
    view: "needs" | "calls" | "call" | "history";
    id: string;
    filters: Filters;
  }

  type AlertAction = "take" | "take-over" | "hand-over" | "note" | "dismiss" | "undo";

  /** What the body of an action has beside its id. */
  type ActionFields<Action extends AlertAction> = Omit<Api.Body<"POST", `v1/alerts/x/${Action}`>, "id">;

  /** An event at an element of this type. */
  type At<Target, Kind = Event> = Kind & { target: Target; currentTarget: Target };

  type Colours = Record<string, string>;
  type Span = [from_s: number, to_s: number];
}

interface Array<T> {
  findLast(holds: (item: T) => unknown): T | undefined;
}

interface Element {
  checkVisibility(): boolean;
}

interface URLSearchParams {
  readonly size: number;
}
