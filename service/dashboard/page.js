// Small helpers for changing the page's elements.

export const $ = (id) => document.getElementById(id);

export function write(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

// Puts the nodes in order and moves only those out of place; a moved node would lose the focus.
export function place(list, nodes) {
  const focused = document.activeElement;
  let next = list.firstElementChild;
  for (const node of nodes) {
    if (next && node === next.nextElementSibling) {
      list.append(next); // one moves down instead of all the others up
      next = node;
    }
    if (node === next) next = next.nextElementSibling;
    else list.insertBefore(node, next);
  }
  while (next) {
    const gone = next;
    next = next.nextElementSibling;
    gone.remove();
  }
  if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
}

// Shows a link to another program's page if there is one; anything but a web address is none.
export function setLink(link, address) {
  const isWeb = /^https?:\/\//i.test(address ?? "");
  link.hidden = !isWeb;
  if (isWeb && link.getAttribute("href") !== address) link.href = address;
}
