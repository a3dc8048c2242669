// The types of what preact.js exports, as far as the page uses it.

export interface Signal<T> {
  value: T;
}

export interface ReadonlySignal<T> {
  readonly value: T;
}

export interface VNode {
  type: unknown;
}

// An event as a handler that stands in a template gets it. One that needs more of the event or of its element says so.
interface Handled extends KeyboardEvent {
  target: HTMLInputElement;
  currentTarget: HTMLDetailsElement;
}

type Given = {} | null | undefined | ((event: Handled) => unknown);
type Effect = () => void | (() => void);

export function html(texts: TemplateStringsArray, ...given: Given[]): VNode;
export function h(type: unknown, given: object | null, ...children: unknown[]): VNode;
export function Fragment(given: object): unknown;
export function render(node: VNode, place: Element): void;

export function signal<T>(value: T): Signal<T>;
export function computed<T>(compute: () => T): ReadonlySignal<T>;
export function effect(run: Effect): () => void;
export function batch<T>(run: () => T): T;

export function useSignal<T>(value: T): Signal<T>;
export function useComputed<T>(compute: () => T): ReadonlySignal<T>;
export function useEffect(run: Effect, whenever?: readonly unknown[]): void;
export function useLayoutEffect(run: Effect, whenever?: readonly unknown[]): void;
export function useRef<T>(value: T): { current: T };
