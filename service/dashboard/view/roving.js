// One tab stop a list: the arrow keys move between its items and between an item's controls, and letters act on an item.

import { useLayoutEffect, useRef } from "../vendor/preact.js";

const CONTROLS = "[data-control]";

/**
 * @template {Event} Kind
 * @typedef {Kind & { currentTarget: HTMLElement, target: HTMLElement }} InList an event that reaches a list
 */

/**
 * Returns the properties of a list whose children are its items.
 *
 * @param {Record<string, string>} keys by key, the selector of the control that it presses in the item with the focus
 */
export function useRoving(keys = {}) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  const at = useRef({ item: /** @type {HTMLElement | null} */ (null), index: 0, hadFocus: false });
  useLayoutEffect(() => {
    const list = ref.current;
    if (!list) return;
    const items = itemsOf(list);
    const before = at.current;
    if (!before.item || !items.includes(before.item)) before.item = items[Math.min(before.index, items.length - 1)] ?? null;
    before.index = before.item ? items.indexOf(before.item) : 0;
    for (const item of items) item.tabIndex = item === before.item ? 0 : -1;
    for (const control of controlsOf(list)) control.tabIndex = -1;
    // What had the focus is gone: its neighbour has it now.
    if (before.hadFocus && document.activeElement === document.body) before.item?.focus();
  });
  /** @param {InList<FocusEvent>} event */
  const onFocusIn = ({ currentTarget: list, target }) => {
    const items = itemsOf(list);
    const index = items.findIndex((item) => item.contains(target));
    if (index < 0) return;
    if (at.current.item) at.current.item.tabIndex = -1;
    at.current = { item: items[index], index, hadFocus: true };
    items[index].tabIndex = 0;
  };
  /** @param {InList<FocusEvent>} event */
  const onFocusOut = ({ currentTarget: list, relatedTarget }) => {
    if (relatedTarget instanceof Node) at.current.hadFocus = list.contains(relatedTarget);
  };
  /** @param {InList<KeyboardEvent>} event */
  const onKeyDown = (event) => {
    const list = event.currentTarget;
    const item = itemsOf(list).find((one) => one.contains(event.target));
    if (!item || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea, canvas")) return;
    const to = destination(event.key, list, item, event.target);
    /** @type {HTMLElement | null} */
    const pressed = keys[event.key] ? item.querySelector(keys[event.key]) : null;
    if (!to && !pressed) return;
    if (event.key === "Enter" && event.target !== item) return; // it presses the control that has the focus
    event.preventDefault();
    if (pressed) pressed.click();
    else to?.focus();
  };
  return { ref, onFocusIn, onFocusOut, onKeyDown };
}

/**
 * Where a key leads from a place in a list; undefined if nowhere.
 *
 * @param {string} key
 * @param {HTMLElement} list
 * @param {HTMLElement} item
 * @param {HTMLElement} target what has the focus
 * @returns {HTMLElement | undefined}
 */
function destination(key, list, item, target) {
  const items = itemsOf(list);
  switch (key) {
    case "ArrowDown":
    case "j":
      return items[items.indexOf(item) + 1];
    case "ArrowUp":
    case "k":
      return items[items.indexOf(item) - 1];
    case "Home":
      return items[0];
    case "End":
      return items.at(-1);
    case "Escape":
      return item;
    case "ArrowRight":
    case "ArrowLeft": {
      const stops = [item, ...controlsOf(item).filter((control) => control.checkVisibility())];
      return stops[stops.indexOf(target) + (key === "ArrowRight" ? 1 : -1)];
    }
    default:
      return undefined;
  }
}

/** @param {HTMLElement} list */
function itemsOf(list) {
  return /** @type {HTMLElement[]} */ ([...list.children]);
}

/** @param {HTMLElement} element */
function controlsOf(element) {
  /** @type {NodeListOf<HTMLElement>} */
  const found = element.querySelectorAll(CONTROLS);
  return [...found];
}
