// What is wrong with the service's store, in the page's header, each with its beginning.

import { $, place } from "./page.js";
import { wallTime } from "./words.js";

const EVERY_MS = 10_000;

export async function followProblems() {
  for (;;) {
    try {
      const response = await fetch("v1/outbox", { cache: "no-store", signal: AbortSignal.timeout(EVERY_MS) });
      if (response.ok) show((await response.json()).problems);
    } catch {
      // A service that does not answer is the feed's to tell.
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

function show(problems) {
  const items = problems.map((problem) => {
    const item = document.createElement("li");
    item.textContent = `${problem.what} (since ${wallTime(problem.since)})`;
    return item;
  });
  place($("problems"), items);
  $("problems").hidden = !items.length;
}
