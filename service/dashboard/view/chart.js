// A chart by uPlot: what is given is drawn, in the page's colours and at the width of its place.

import uPlot from "../vendor/uplot.js";
import { html, useEffect, useRef } from "../vendor/preact.js";
import { palette } from "./paint.js";

const HEIGHT = 240;

/**
 * @param {{ label: string, data: (number | null)[][], options: (colours: Record<string, string>) => object, onZoom?: Function,
 *   zoom?: [number, number] | null }} given `options` makes uPlot's options from the colours; `data` is what they draw
 */
export function Chart({ label, data, options, zoom = null, onZoom = undefined }) {
  const place = useRef(null);
  const plot = useRef(null);
  const latest = useRef({});
  latest.current = { data, zoom, onZoom };
  const colours = palette.value;
  useEffect(() => {
    if (!colours) return undefined;
    const own = options(colours);
    const axis = { stroke: colours.muted, grid: { stroke: colours.line, width: 1 }, ticks: { stroke: colours.line, width: 1 } };
    const hooks = { ...own.hooks, setSelect: [(u) => zoomTo(u, latest.current.onZoom)] };
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

function zoomTo(u, onZoom) {
  if (!onZoom || u.select.width < 4) return;
  onZoom([u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")]);
  u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
}
