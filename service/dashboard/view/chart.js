// A chart by uPlot: what is given is drawn, in the page's colours and at the width of its place.

import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../vendor/preact.js";
import { palette } from "./paint.js";

const HEIGHT = 240;

/** @typedef {{ axes: object[], hooks?: object, [option: string]: unknown }} Options of uPlot */
/** @typedef {(span: Page.Span) => void} OnZoom */

/**
 * @param {{ label: string, data: (number | null)[][], options: (colours: Page.Colours) => Options, onZoom?: OnZoom,
 *   zoom?: Page.Span | null }} given `options` makes uPlot's options from the colours; `data` is what they draw
 */
export function Chart({ label, data, options, zoom = null, onZoom = undefined }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const latest = useRef({ data, onZoom });
  latest.current = { data, onZoom };
  const colours = palette.value;
  useEffect(() => {
    if (!colours || !place.current) return undefined;
    const own = options(colours);
    const axis = { stroke: colours.muted, grid: { stroke: colours.line, width: 1 }, ticks: { stroke: colours.line, width: 1 } };
    const hooks = { ...own.hooks, setSelect: [(/** @type {uPlot} */ u) => zoomTo(u, latest.current.onZoom)] };
    const chart = new uPlot(
      {
        width: place.current.clientWidth || 600,
        height: HEIGHT,
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: false } },
        ...own,
        axes: own.axes.map((one) => ({ ...axis, ...one })),
        hooks,
      },
      latest.current.data,
      place.current,
    );
    plot.current = chart;
    const observer = new ResizeObserver(([{ contentRect }]) => contentRect.width && chart.setSize({ width: contentRect.width, height: HEIGHT }));
    observer.observe(place.current);
    return () => {
      observer.disconnect();
      chart.destroy();
      plot.current = null;
    };
  }, [colours, options]);
  useEffect(() => {
    plot.current?.setData(data, !zoom);
    if (zoom) plot.current?.setScale("x", { min: zoom[0], max: zoom[1] });
  });
  return html`<div class="chart" role="img" aria-label=${label} ref=${place}></div>`;
}

/**
 * @param {uPlot} u
 * @param {OnZoom | undefined} onZoom
 */
function zoomTo(u, onZoom) {
  if (!onZoom || u.select.width < 4) return;
  onZoom([u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")]);
  u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
}
