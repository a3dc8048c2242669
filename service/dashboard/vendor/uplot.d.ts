// The types of what uplot.js exports, as far as the page uses it.

type Column = (number | null)[];
type Span = { min: number; max: number };

export default class uPlot {
  constructor(options: object, data: Column[], place: HTMLElement);
  readonly ctx: CanvasRenderingContext2D;
  readonly bbox: { left: number; top: number; width: number; height: number }; // in pixels of the canvas
  readonly select: { left: number; width: number };
  readonly scales: { x: Span; y: Span };
  posToVal(at: number, scale: "x" | "y"): number;
  valToPos(value: number, scale: "x" | "y", inCanvas?: boolean): number;
  setData(data: Column[], resetScales?: boolean): void;
  setScale(scale: "x" | "y", span: Span): void;
  setSelect(area: { left: number; top: number; width: number; height: number }, tellHooks?: boolean): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
  static readonly paths: { bars(options: { size: [share: number, most: number] }): object };
}
