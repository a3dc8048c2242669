// One tab stop a list: the arrow keys move between its items and between an item's controls, and letters act on an item.

import { useLayoutEffect, useRef } from "../vendor/preact.js";

const CONTROLS = "[data-control]";

/**
 * Returns the properties of a list whose children are its items.
 *
 * Args: `keys`: by key, the selector of the control that it presses in the item with the focus.
 */
export function useRoving(keys = {}) {
  const ref = useRef(null);
  const at = useRef({ item: null, index: 0, hadFocus: false });
  useLayoutEffect(() => {
    const list = ref.current;
    if (!list) return;
    const items = [...list.children];
    const before = at.current;
    if (!items.includes(before.item)) before.item = items[Math.min(before.index, items.length - 1)] ?? null;
    before.index = Math.max(0, items.indexOf(before.item));
    for (const item of items) item.tabIndex = item === before.item ? 0 : -1;
    for (const control of list.querySelectorAll(CONTROLS)) control.tabIndex = -1;
    // What had the focus is gone: its neighbour has it now.
    if (before.hadFocus && document.activeElement === document.body) before.item?.focus();
  });
  const itemOf = (target) => [...ref.current.children].find((item) => item.contains(target));
  const onFocusIn = ({ target }) => {
    const item = itemOf(target);
    if (!item) return;
    if (at.current.item) at.current.item.tabIndex = -1;
    at.current = { item, index: [...ref.current.children].indexOf(item), hadFocus: true };
    item.tabIndex = 0;
  };
  const onFocusOut = ({ relatedTarget }) => {
    if (relatedTarget) at.current.hadFocus = ref.current.contains(relatedTarget);
  };
  const onKeyDown = (event) => {
    const item = itemOf(event.target);
    if (!item || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea, canvas")) return;
    const to = destination(event.key, ref.current, item, event.target);
    const pressed = keys[event.key] && item.querySelector(keys[event.key]);
    if (!to && !pressed) return;
    if (event.key === "Enter" && event.target !== item) return; // it presses the control that has the focus
    event.preventDefault();
    if (pressed) pressed.click();
    else to.focus();
  };
  return { ref, onFocusIn, onFocusOut, onKeyDown };
}

function destination(key, list, item, target) {
  switch (key) {
    case "ArrowDown":
    case "j":
      return item.nextElementSibling;
    case "ArrowUp":
    case "k":
      return item.previousElementSibling;
    case "Home":
      return list.firstElementChild;
    case "End":
      return list.lastElementChild;
    case "Escape":
      return item;
    case "ArrowRight":
    case "ArrowLeft": {
      const stops = [item, ...[...item.querySelectorAll(CONTROLS)].filter((control) => control.checkVisibility())];
      return stops[stops.indexOf(target) + (key === "ArrowRight" ? 1 : -1)];
    }
    default:
      return undefined;
  }
}
